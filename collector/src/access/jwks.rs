//! The keys that an issuer has published (RFC 7517).
//!
//! Documents of providers name many keys that are of no use here; those are left out with a note, so that a new kind of
//! key at the provider locks nobody out.

use serde_json::{Map, Value};

use super::base64url;
use super::jws::{KEYS_MAX, Key, KeySet};
use super::strict_json;

/// A larger document is refused.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Where a document comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file that only the operator reads.
    File,
    /// An address that anyone may read. A shared secret in it is known to all, who then could sign.
    Published,
}

#[derive(Debug)]
pub(crate) struct Jwks {
    pub(crate) keys: KeySet,
    /// Why keys were left out, a sentence each.
    pub(crate) notes: Vec<String>,
}

pub(crate) fn parse(document: &[u8], origin: Origin) -> Result<Jwks, String> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(format!(
            "the key document has {} bytes, at most {DOCUMENT_BYTES_MAX} are read",
            document.len()
        ));
    }
    let members = strict_json::object(document).map_err(|reason| format!("the key document: {reason}"))?;
    let Some(Value::Array(entries)) = members.get("keys") else {
        return Err("the key document has no list \"keys\"".to_owned());
    };
    let mut keys: Vec<Key> = Vec::new();
    let mut notes = Vec::new();
    for (idx, entry) in entries.iter().enumerate() {
        let key = match entry {
            Value::Object(entry) => read(entry, origin),
            _ => Err("it is no object"),
        };
        let key = key.and_then(|key| match &key.id {
            _ if keys.len() == KEYS_MAX => Err("there are 16 keys already"),
            Some(id) if keys.iter().any(|known| known.id.as_ref() == Some(id)) => {
                Err("an earlier key has the same id")
            }
            _ => Ok(key),
        });
        match key {
            Ok(key) => keys.push(key),
            Err(reason) if notes.len() < NOTES_MAX => {
                notes.push(format!("keys[{idx}] is left out: {reason}"))
            }
            Err(_) => {}
        }
    }
    Ok(Jwks { keys: KeySet::new(keys)?, notes })
}

fn read(entry: &Map<String, Value>, origin: Origin) -> Result<Key, &'static str> {
    let text = |name: &str| match entry.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err("a member of it is no text"),
    };
    let bytes = |name: &str| text(name)?.and_then(base64url::decode).ok_or("it has no key in base64url");
    if text("use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("it is not for signatures");
    }
    if let Some(operations) = entry.get("key_ops") {
        let verifies = operations.as_array().is_some_and(|all| all.iter().any(|each| each == "verify"));
        if !verifies {
            return Err("it is not for verifying");
        }
    }
    let id = text("kid")?.map(str::to_owned);
    match (text("kty")?, text("crv")?, text("alg")?) {
        (Some("OKP"), Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) if entry.contains_key("d") => {
            Err("its secret half was published")
        }
        (Some("OKP"), Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => {
            let public = bytes("x")?.try_into().map_err(|_| "a public key has 32 bytes")?;
            Key::ed25519(id, &public)
        }
        (Some("oct"), None, None | Some("HS256")) if origin == Origin::Published => {
            Err("a shared secret that is published is none")
        }
        (Some("oct"), None, None | Some("HS256")) => Key::hs256(id, bytes("k")?),
        _ => Err("only Ed25519 and, from a file, HS256 are read"),
    }
}

const NOTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const OCT: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;

    fn parse_keys(keys: &[&str], origin: Origin) -> Jwks {
        parse(format!(r#"{{"keys":[{}], "more": 1}}"#, keys.join(",")).as_bytes(), origin).unwrap()
    }

    fn note(key: &str) -> String {
        let jwks = parse_keys(&[key], Origin::File);
        assert_eq!((jwks.keys.len(), jwks.notes.len()), (0, 1), "{key}");
        jwks.notes[0].clone()
    }

    /// RFC 8037, appendix A.2 and A.4, with the key as a provider would publish it.
    #[test]
    fn a_key_of_a_document_verifies() {
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
            hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let full = ED25519.replace('}', r#","use":"sig","alg":"EdDSA","kid":"1","key_ops":["verify"]}"#);
        for key in [ED25519, &full] {
            let jwks = parse_keys(&[key], Origin::Published);
            assert!(jwks.notes.is_empty() && jwks.keys.verify(token).is_ok(), "{:?}", jwks.notes);
        }
    }

    #[test]
    fn a_shared_secret_counts_only_from_a_file() {
        assert_eq!(parse_keys(&[OCT, ED25519], Origin::File).keys.len(), 2);
        let published = parse_keys(&[OCT, ED25519], Origin::Published);
        assert_eq!(published.keys.len(), 1);
        assert_eq!(published.notes, ["keys[0] is left out: a shared secret that is published is none"]);
    }

    #[test]
    fn other_keys_are_left_out_with_the_reason() {
        let with = |key: &str, more: &str| key.replace('}', &format!(",{more}}}"));
        for (key, reason) in [
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"1"}"#.to_owned(), "only Ed25519"),
            (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(), "only Ed25519"),
            (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(), "only Ed25519"),
            (with(ED25519, r#""alg":"HS256""#), "only Ed25519"),
            (with(OCT, r#""alg":"EdDSA""#), "only Ed25519"),
            (with(OCT, r#""alg":"HS512""#), "only Ed25519"),
            (with(OCT, r#""alg":"none""#), "only Ed25519"),
            (with(ED25519, r#""use":"enc""#), "not for signatures"),
            (with(ED25519, r#""key_ops":["sign"]"#), "not for verifying"),
            (with(ED25519, r#""kid":1"#), "no text"),
            (with(ED25519, r#""d":"AA""#), "secret half was published"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned(), "32 bytes"),
            (r#"{"kty":"OKP","crv":"Ed25519"}"#.to_owned(), "no key"),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#
                    .to_owned(),
                "weak",
            ),
            (r#"{"kty":"oct","k":"AAAA"}"#.to_owned(), "at least 32 bytes"),
            ("1".to_owned(), "no object"),
        ] {
            let note = note(&key);
            assert!(note.starts_with("keys[0] is left out: ") && note.contains(reason), "{key}: {note}");
        }
        let named = with(ED25519, r#""kid":"1""#);
        let twice = parse_keys(&[&named, &with(OCT, r#""kid":"1""#)], Origin::File);
        assert_eq!((twice.keys.len(), twice.notes.len()), (1, 1));
        let many = parse_keys(&[ED25519; 100], Origin::File);
        assert_eq!((many.keys.len(), many.notes.len()), (KEYS_MAX, NOTES_MAX));
    }

    #[test]
    fn what_is_no_key_document_is_an_error() {
        for document in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(parse(document.as_bytes(), Origin::File).is_err(), "{document}");
        }
        assert!(parse(&vec![b' '; DOCUMENT_BYTES_MAX + 1], Origin::File).unwrap_err().contains("bytes"));
    }

    proptest! {
        #[test]
        fn any_document_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, Origin::File);
        }
    }
}
