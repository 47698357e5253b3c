//! The certificate and its key, as they were in their files when they were last good.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::alert::not_after_ms;
use crate::config::TlsFiles;

#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    config: Arc<ServerConfig>,
    ends_ms: Option<i64>,
}

impl Certificate {
    pub(crate) fn read(files: TlsFiles) -> Result<Self, String> {
        let current = RwLock::new(config(&files)?);
        Ok(Self { files, current })
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        vec![self.files.cert.clone(), self.files.key.clone()]
    }

    /// For connections from now on. What cannot be used changes nothing.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let fresh = config(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// When the first certificate that it shows is not valid any more.
    pub(crate) fn ends_ms(&self) -> Option<i64> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).ends_ms
    }
}

fn config(TlsFiles { cert, key }: &TlsFiles) -> Result<Current, String> {
    let at = |path: &PathBuf, error: &dyn Display| format!("tls: {}: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| at(cert, &error))?;
    if chain.is_empty() {
        return Err(at(cert, &"there is no certificate in it"));
    }
    let ends_ms = chain.first().and_then(|first| not_after_ms(first));
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
    let provider = Arc::new(ring::default_provider());
    // Also whether the key is that of the certificate.
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| at(cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), ends_ms })
}
