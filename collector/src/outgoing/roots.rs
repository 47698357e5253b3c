//! Whose certificates are believed: those of the system, and those of files that the operator names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[derive(Clone, Debug)]
pub struct Roots {
    files: Vec<PathBuf>,
    named: Vec<CertificateDer<'static>>,
    of_system: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// The system's, and those of these files, PEM. A file that cannot be used is an error; of the system's, what cannot be
    /// used is left out.
    pub fn read(files: &[PathBuf]) -> Result<Self, String> {
        let named: Result<Vec<_>, String> = files.iter().map(|file| read(file)).collect();
        let of_system = rustls_native_certs::load_native_certs();
        if of_system.certs.is_empty() {
            let errors: Vec<String> = of_system.errors.iter().map(ToString::to_string).collect();
            tracing::debug!(?errors, "the system has no certificates of CAs");
        }
        Ok(Self { files: files.to_vec(), named: named?.concat(), of_system: of_system.certs })
    }

    /// In DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.named.iter().chain(&self.of_system).map(AsRef::as_ref)
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn client(&self) -> Result<ClientConfig, String> {
        let mut store = RootCertStore::empty();
        for certificate in &self.named {
            store.add(certificate.clone()).map_err(|error| format!("a CA certificate: {error}"))?;
        }
        store.add_parsable_certificates(self.of_system.iter().cloned());
        let mut config = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("tls: {error}"))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The one implementation of TLS's cryptography in this program.
pub fn crypto() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let at = |reason: &dyn std::fmt::Display| format!("ca file {}: {reason}", file.display());
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| at(&error))?;
    match found.is_empty() {
        true => Err(at(&"there is no certificate in it")),
        false => Ok(found),
    }
}
