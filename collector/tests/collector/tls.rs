//! Connections with TLS: with the certificate of the files, also after they have changed, and without waiting for anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sentinel_collector::{Collector, Config, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Authority, Pair, Server};
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
    let Pair { certificate, key } = pair(seed, end);
    replace(&folder.file("cert.pem"), &certificate);
    replace(&folder.file("key.pem"), &key);
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
    replace(&folder.file("cert.pem"), &pair(2, END).certificate);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(get(&running.client, "/health").await.unwrap().1, certificate(1));
    write(&folder, 2);
    let begun = Instant::now();
    while get(&running.client, "/health").await.unwrap().1 != certificate(2) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not taken up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn whoever_is_slow_at_the_handshake_keeps_nobody_waiting() {
    let folder = Folder::new();
    let running = serve(&folder).await;
    let mut silent = Vec::new();
    let mut took = Vec::new();
    // The best of several: a busy machine keeps everybody waiting now and then.
    for _ in 0..4 {
        for _ in 0..200 {
            silent.push(TcpStream::connect(running.client.address).await.unwrap());
        }
        let begun = Instant::now();
        assert!(get(&running.client, "/health").await.unwrap().0.starts_with("HTTP/1.1 200"));
        took.push(begun.elapsed());
        if begun.elapsed() < Duration::from_secs(3) {
            break;
        }
    }
    assert!(took.iter().any(|took| *took < Duration::from_secs(3)), "{took:?}");
    // And is not waited for for ever.
    let last = tokio::time::timeout(Duration::from_secs(120), silent[0].read_u8()).await;
    assert!(last.unwrap().is_err(), "the connection is closed");
}

#[tokio::test]
async fn there_is_no_start_with_a_key_of_another_certificate() {
    let folder = Folder::new();
    write(&folder, 1);
    replace(&folder.file("cert.pem"), &pair(2, END).certificate);
    let config = Config { tls: Some(files(&folder)), ..config(&folder.database()) };
    let error = Collector::bind(config).await.unwrap_err();
    assert!(error.is_config() && error.to_string().contains("cert.pem"), "{error}");
}

/// The answer, and the certificate that it came with, which our authority has signed for this name.
async fn get(client: &Client, path: &str) -> std::io::Result<(String, Vec<u8>)> {
    let socket = TcpStream::connect(client.address).await?;
    let name = ServerName::try_from(NAME).unwrap();
    let mut socket = TlsConnector::from(Arc::new(trusting())).connect(name, socket).await?;
    let served = socket.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    socket.write_all(client.head("GET", path, 0).as_bytes()).await?;
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), served))
}

fn trusting() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority().certificate())).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// What a server of a test needs to speak TLS to whoever believes [`authority`].
pub(crate) fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let Pair { certificate, key } = authority().issue(&Server::local());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der(&certificate)], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Its certificate, as a file.
pub(crate) fn ca_file(folder: &Folder) -> PathBuf {
    let path = folder.file("ca.pem");
    std::fs::write(&path, authority().certificate()).unwrap();
    path
}

fn authority() -> Authority {
    Authority::new(9)
}

fn pair(seed: u8, until: &str) -> Pair {
    authority().issue(&Server { names: &[NAME], until, seed, ..Server::local() })
}

fn certificate(seed: u8) -> Vec<u8> {
    der(&pair(seed, END).certificate).to_vec()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

const NAME: &str = "sentinel.example";
const END: &str = "491231235959Z";
