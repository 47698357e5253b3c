//! Bundles that are right, and files that no honest writer makes: any manifest text, rightly signed.

use ed25519_dalek::{Signer, SigningKey};
use sentinel_bundle::{Bundle, BundleError, Draft, Hash, Kind, PublicKey, SecretKey};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const POLICY: &[u8] = br#"{"schema":"sentinel.policy/1"}"#;

pub(crate) fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

pub(crate) fn public(n: u8) -> PublicKey {
    secret(n).public().unwrap()
}

pub(crate) fn draft() -> Draft<'static> {
    Draft {
        name: "shop",
        version: 7,
        not_before: NOW - 10,
        expires: NOW + 10,
        parts: vec![
            ("deny.txt", Kind::Feed, b"203.0.113.9"),
            ("policy.json", Kind::Policy, POLICY),
            ("compact.smdl", Kind::Model, b"SMDL and so on"),
        ],
        evaluation: Some(Hash::of(b"a report")),
    }
}

pub(crate) fn open(bytes: &[u8]) -> Result<Bundle<'_>, BundleError> {
    Bundle::open(bytes, &[public(1)], NOW, None)
}

/// A file around any manifest, signed by the first key.
pub(crate) fn signed(manifest: &str, parts: &[u8]) -> Vec<u8> {
    let message = [b"sentinel.bundle/1\n", manifest.as_bytes()].concat();
    let signature = SigningKey::from_bytes(&[1; 32]).sign(&message).to_bytes();
    framed(manifest.as_bytes(), &[(public(1).id().0, signature)], parts)
}

pub(crate) fn framed(manifest: &[u8], signatures: &[([u8; 8], [u8; 64])], parts: &[u8]) -> Vec<u8> {
    let mut file = b"SNTB\x01\x00".to_vec();
    file.extend((signatures.len() as u16).to_le_bytes());
    file.extend((manifest.len() as u32).to_le_bytes());
    file.extend(manifest);
    for (key, signature) in signatures {
        file.extend(key);
        file.extend(signature);
    }
    file.extend(parts);
    file
}

/// The first signature of a file that has one.
pub(crate) fn signature_of(bytes: &[u8], manifest: &[u8]) -> ([u8; 8], [u8; 64]) {
    let (key, rest) = bytes[12 + manifest.len()..].split_first_chunk().unwrap();
    (*key, *rest.first_chunk().unwrap())
}
