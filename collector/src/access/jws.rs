//! Signed tokens in compact form (RFC 7515): the signature, not what is claimed.
//!
//! Invariant: the key says with which algorithm it is used, the token never does. A key is of one algorithm, a token that
//! names another is refused before anything is computed, and so `none` and a public key taken for a shared secret
//! cannot happen. A token of which a single bit was changed is refused.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::base64url;
use super::ed25519::PublicKey;
use super::strict_json;
use super::token_error::TokenError;

pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// A token without a key id is tried with each.
pub(crate) const KEYS_MAX: usize = 16;
/// RFC 7518, section 3.2: at least as long as the hash.
pub(crate) const SHARED_SECRET_BYTES_MIN: usize = 32;

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Ed25519(PublicKey),
    Hs256(Vec<u8>),
}

/// The keys of one issuer.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

/// What a trusted key has signed.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The `typ` of the header.
    pub(crate) kind: Option<String>,
    pub(crate) payload: Vec<u8>,
}

impl Key {
    pub(crate) fn ed25519(id: Option<String>, public: &[u8; 32]) -> Result<Self, &'static str> {
        Ok(Self { id, kind: Kind::Ed25519(PublicKey::from_bytes(public)?) })
    }

    pub(crate) fn hs256(id: Option<String>, secret: Vec<u8>) -> Result<Self, &'static str> {
        match secret.len() >= SHARED_SECRET_BYTES_MIN {
            true => Ok(Self { id, kind: Kind::Hs256(secret) }),
            false => Err("a shared secret has at least 32 bytes"),
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self.kind {
            Kind::Ed25519(_) => "EdDSA",
            Kind::Hs256(_) => "HS256",
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::Ed25519(key) => signature.try_into().is_ok_and(|bytes| key.has_signed(message, bytes)),
            // `verify_slice` compares in constant time, and the whole length.
            Kind::Hs256(secret) => Hmac::<Sha256>::new_from_slice(secret)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok()),
        }
    }
}

impl KeySet {
    /// Two keys of one id, or too many keys, are an error.
    pub(crate) fn new(keys: Vec<Key>) -> Result<Self, &'static str> {
        if keys.len() > KEYS_MAX {
            return Err("there are more than 16 keys");
        }
        let twice = |(idx, key): (usize, &Key)| {
            key.id.is_some() && keys.iter().take(idx).any(|earlier| earlier.id == key.id)
        };
        match keys.iter().enumerate().any(twice) {
            true => Err("two keys have the same id"),
            false => Ok(Self(keys)),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// What the token carries, if one of the keys has signed it.
    pub(crate) fn verify(&self, token: &str) -> Result<Signed, TokenError> {
        let malformed = TokenError::Malformed;
        if token.is_empty() {
            return Err(TokenError::Missing("everything: it is empty"));
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed("it is longer than 8 KiB"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed("it has no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(malformed("it has no three parts"))?;
        if payload.contains('.') {
            return Err(malformed("it has more than three parts"));
        }
        let decode =
            |part| base64url::decode(part).ok_or(malformed("a part is no base64url without padding"));
        let header = strict_json::object(&decode(header)?)
            .map_err(|_| malformed("its header is no JSON object with each member once"))?;
        let keys = self.candidates(&header)?;
        let signature = decode(signature)?;
        if !keys.iter().any(|key| key.has_signed(signed.as_bytes(), &signature)) {
            return Err(TokenError::Signature);
        }
        Ok(Signed { kind: optional_text(&header, "typ")?.map(str::to_owned), payload: decode(payload)? })
    }

    /// Whether the token names a key that is not here. For one that [`Self::verify`] has refused, and so bounded.
    pub(crate) fn lacks_key_of(&self, token: &str) -> bool {
        let header = token.split('.').next().and_then(base64url::decode);
        let header = header.and_then(|header| strict_json::object(&header).ok());
        match header.as_ref().and_then(|header| header.get("kid")).and_then(Value::as_str) {
            Some(id) => !self.0.iter().any(|key| key.id.as_deref() == Some(id)),
            None => self.0.is_empty(),
        }
    }

    /// A key with the id that the header names; without one, keys without an id; without an id in the header, all.
    fn candidates(&self, header: &Map<String, Value>) -> Result<Vec<&Key>, TokenError> {
        let algorithm = optional_text(header, "alg")?.ok_or(TokenError::Missing("the algorithm"))?;
        // An extension that the issuer calls critical changes what the token means, and none is known here.
        if header.contains_key("crit") {
            return Err(TokenError::Malformed("its header asks for an extension"));
        }
        let mut keys: Vec<&Key> = match optional_text(header, "kid")? {
            None => self.0.iter().collect(),
            Some(id) => match self.0.iter().find(|key| key.id.as_deref() == Some(id)) {
                Some(key) => vec![key],
                None => self.0.iter().filter(|key| key.id.is_none()).collect(),
            },
        };
        if keys.is_empty() {
            // Also if no key is configured at all, an algorithm that no key ever has is worth naming.
            let known = matches!(algorithm, "EdDSA" | "HS256");
            return Err(if known { TokenError::UnknownKey } else { TokenError::Algorithm });
        }
        keys.retain(|key| key.algorithm() == algorithm);
        if keys.is_empty() { Err(TokenError::Algorithm) } else { Ok(keys) }
    }
}

/// A token of our own.
pub(crate) fn sign(kind: &str, payload: &Value, key: &SigningKey) -> String {
    let header = json!({"alg": "EdDSA", "typ": kind});
    let encode = |value: &Value| base64url::encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(payload));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", base64url::encode(&signature))
}

fn optional_text<'m>(header: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, TokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Malformed("a member of its header is no text")),
    }
}

/// The secret is left out.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm()).finish()
    }
}

#[cfg(test)]
mod tests;
