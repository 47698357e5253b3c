//! A CA of our own and certificates that it signs, in as little DER as RFC 5280 asks for. Tests of other places have this
//! file, too.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};

/// An authority that nobody else knows.
pub(crate) struct Authority(SigningKey);

/// What a server's certificate says.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    /// Names, and addresses.
    pub(crate) names: &'a [&'a str],
    /// As `YYMMDDhhmmssZ`, or with all four digits of the year.
    pub(crate) from: &'a str,
    pub(crate) until: &'a str,
    pub(crate) seed: u8,
}

/// In PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Server<'_> {
    /// For this machine, good now.
    pub(crate) const fn local() -> Self {
        let names: &[&str] = &["localhost", "127.0.0.1", "::1"];
        Self { names, from: "200101000000Z", until: "491231235959Z", seed: 7 }
    }
}

impl Authority {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    /// Its own certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        let is_ca = extension(&[0x55, 0x1d, 0x13], true, &der(0x30, &[&[0x01, 0x01, 0xff]]));
        let server = Server { seed: 0, ..Server::local() };
        pem("CERTIFICATE", &self.sign(&self.0, &server, &self.name(), &[is_ca]))
    }

    pub(crate) fn issue(&self, server: &Server<'_>) -> Pair {
        let key = SigningKey::from_bytes(&[server.seed; 32]);
        let names: Vec<Vec<u8>> = server.names.iter().map(|name| alternative(name)).collect();
        let names = der(0x30, &names.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let alternatives = extension(&[0x55, 0x1d, 0x11], false, &names);
        let certificate = self.sign(&key, server, &common_name("server"), &[alternatives]);
        let key = pem("PRIVATE KEY", &[KEY_HEAD, &[server.seed; 32]].concat());
        Pair { certificate: pem("CERTIFICATE", &certificate), key }
    }

    /// Into `cert.pem`, `key.pem` and `ca.pem`; says where these are.
    pub(crate) fn write(&self, server: &Server<'_>, folder: &Path) -> [PathBuf; 3] {
        let Pair { certificate, key } = self.issue(server);
        let texts = [("cert.pem", certificate), ("key.pem", key), ("ca.pem", self.certificate())];
        texts.map(|(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
    }

    fn name(&self) -> Vec<u8> {
        common_name(&format!("authority {}", self.0.to_bytes()[0]))
    }

    fn sign(&self, key: &SigningKey, server: &Server<'_>, subject: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
        let validity = [server.from, server.until].map(time);
        let validity = der(0x30, &[&validity[0], &validity[1]]);
        let public = der(0x30, &[ALGORITHM, &der(0x03, &[&[0], key.verifying_key().as_bytes()])]);
        let extensions = extensions.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let extensions = der(0xa3, &[&der(0x30, &extensions)]);
        let version: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
        let serial: &[u8] = &[0x02, 0x01, server.seed + 1];
        let issuer = self.name();
        let parts = [version, serial, ALGORITHM, &issuer, &validity, subject, &public, &extensions];
        let body = der(0x30, &parts);
        let signature = self.0.sign(&body).to_bytes();
        der(0x30, &[&body, ALGORITHM, &der(0x03, &[&[0], &signature])])
    }
}

/// A PKCS #8 key is this and 32 bytes (RFC 8410).
const KEY_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Ed25519, as an algorithm in a certificate.
const ALGORITHM: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

fn common_name(text: &str) -> Vec<u8> {
    let value = der(0x0c, &[text.as_bytes()]);
    der(0x30, &[&der(0x31, &[&der(0x30, &[&[0x06, 0x03, 0x55, 0x04, 0x03], &value])])])
}

fn alternative(name: &str) -> Vec<u8> {
    match name.parse() {
        Ok(IpAddr::V4(address)) => der(0x87, &[&address.octets()]),
        Ok(IpAddr::V6(address)) => der(0x87, &[&address.octets()]),
        Err(_) => der(0x82, &[name.as_bytes()]),
    }
}

/// With two digits of the year, and with four (RFC 5280 §4.1.2.5).
fn time(text: &str) -> Vec<u8> {
    der(if text.len() == 13 { 0x17 } else { 0x18 }, &[text.as_bytes()])
}

fn extension(id: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[0x01, 0x01, 0xff] } else { &[] };
    der(0x30, &[&der(0x06, &[id]), critical, &der(0x04, &[value])])
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
