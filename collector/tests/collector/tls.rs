//! Connections with TLS: with the certificate of the files, also after they have changed, and without waiting for anybody.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use sentinel_collector::{Collector, Config, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::support::{Client, Folder, Running, config, start};

async fn serve(folder: &Folder) -> Running {
    write(folder, 1);
    start(Config { tls: Some(files(folder)), ..config(&folder.database()) }).await
}

pub(crate) fn files(folder: &Folder) -> TlsFiles {
    TlsFiles { cert: folder.file("cert.pem"), key: folder.file("key.pem") }
}

fn write(folder: &Folder, seed: u8) {
    write_until(folder, seed, END);
}

/// A certificate that is valid until then, with its key.
pub(crate) fn write_until(folder: &Folder, seed: u8, end: &str) {
    replace(&folder.file("cert.pem"), &pem("CERTIFICATE", &certificate_until(seed, end)));
    replace(&folder.file("key.pem"), &pem("PRIVATE KEY", &[KEY_HEAD, &[seed; 32]].concat()));
}

fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, path).unwrap();
}

#[tokio::test]
async fn answers_come_over_tls_and_say_so_and_plain_http_gets_none() {
    let folder = Folder::new();
    let running = serve(&folder).await;
    let (answer, served) = get(&running.client, "/v1/whoami").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    assert_eq!(served, certificate(1));
    let mut plain = TcpStream::connect(running.client.address).await.unwrap();
    plain.write_all(running.client.head("GET", "/health", 0).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_bad_one_is_not() {
    let folder = Folder::new();
    let running = serve(&folder).await;
    replace(&folder.file("key.pem"), "no key at all");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(get(&running.client, "/health").await.unwrap().1, certificate(1));
    // The certificate first and its key later, as many tools write them.
    replace(&folder.file("cert.pem"), &pem("CERTIFICATE", &certificate(2)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(get(&running.client, "/health").await.unwrap().1, certificate(1));
    write(&folder, 2);
    let begun = Instant::now();
    while get(&running.client, "/health").await.unwrap().1 != certificate(2) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is not taken up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn whoever_is_slow_at_the_handshake_keeps_nobody_waiting() {
    let folder = Folder::new();
    let running = serve(&folder).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(running.client.address).await.unwrap());
    }
    let begun = Instant::now();
    assert!(get(&running.client, "/health").await.unwrap().0.starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // And is not waited for for ever.
    let last = tokio::time::timeout(Duration::from_secs(20), silent[0].read_u8()).await;
    assert!(last.unwrap().is_err(), "the connection is closed");
}

#[tokio::test]
async fn there_is_no_start_with_a_key_of_another_certificate() {
    let folder = Folder::new();
    write(&folder, 1);
    replace(&folder.file("cert.pem"), &pem("CERTIFICATE", &certificate(2)));
    let config = Config { tls: Some(files(&folder)), ..config(&folder.database()) };
    let error = Collector::bind(config).await.unwrap_err();
    assert!(error.is_config() && error.to_string().contains("cert.pem"), "{error}");
}

/// The answer, and the certificate that it came with.
async fn get(client: &Client, path: &str) -> std::io::Result<(String, Vec<u8>)> {
    let seen = Arc::new(Seen { certificate: Mutex::default(), provider: ring::default_provider() });
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Seen>::clone(&seen))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let socket = TcpStream::connect(client.address).await?;
    let name = ServerName::try_from("sentinel.example").unwrap();
    let mut socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    socket.write_all(client.head("GET", path, 0).as_bytes()).await?;
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    let certificate = seen.certificate.lock().unwrap().clone();
    Ok((String::from_utf8_lossy(&bytes).into_owned(), certificate))
}

/// Takes any certificate and says which; that the server has its key is checked.
#[derive(Debug)]
struct Seen {
    certificate: Mutex<Vec<u8>>,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.certificate.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A PKCS #8 key is this and 32 bytes (RFC 8410).
const KEY_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Ed25519, as an algorithm in a certificate.
const ALGORITHM: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const END: &str = "491231235959Z";

fn certificate(seed: u8) -> Vec<u8> {
    certificate_until(seed, END)
}

/// Signed by itself, in DER: as little as RFC 5280 asks for.
fn certificate_until(seed: u8, end: &str) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let name =
        der(0x30, &[&der(0x31, &[&der(0x30, &[&[0x06, 0x03, 0x55, 0x04, 0x03], &der(0x0c, &[b"test"])])])]);
    let validity = der(
        0x30,
        &[
            &der(0x17, &[b"200101000000Z"]),
            &der(if end.len() == END.len() { 0x17 } else { 0x18 }, &[end.as_bytes()]),
        ],
    );
    let public = der(0x30, &[ALGORITHM, &der(0x03, &[&[0], key.verifying_key().as_bytes()])]);
    let host = der(0x30, &[&der(0x82, &[b"sentinel.example"])]);
    let extension = der(0x30, &[&[0x06, 0x03, 0x55, 0x1d, 0x11], &der(0x04, &[&host])]);
    let extensions = der(0xa3, &[&der(0x30, &[&extension])]);
    let version: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
    let serial: &[u8] = &[0x02, 0x01, seed];
    let body = der(0x30, &[version, serial, ALGORITHM, &name, &validity, &name, &public, &extensions]);
    let signature = key.sign(&body).to_bytes();
    der(0x30, &[&body, ALGORITHM, &der(0x03, &[&[0], &signature])])
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..128 => vec![short as u8],
        middle @ 128..256 => vec![0x81, middle as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag], &length[..], &content].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= group.len() { digit } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
