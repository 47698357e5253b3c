//! What an identity provider and a wallet do, by hand: the collector has no part in it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Answer, Client};

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "sentinel";

pub(crate) struct Issuer {
    pub(crate) file: PathBuf,
    key: SigningKey,
}

impl Issuer {
    /// With its key document in a file.
    pub(crate) fn new(file: &Path) -> Self {
        let key = SigningKey::from_bytes(&[41; 32]);
        let x = base64url(key.verifying_key().as_bytes());
        let document = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]});
        std::fs::write(file, document.to_string()).unwrap();
        Self { file: file.to_owned(), key }
    }

    /// For ann, with these claims instead of the usual ones.
    pub(crate) fn token(&self, claims: &Value) -> String {
        sign(&self.key, claims)
    }

    pub(crate) fn signed_by_another(&self, claims: &Value) -> String {
        sign(&SigningKey::from_bytes(&[42; 32]), claims)
    }

    /// The claims say more than was signed.
    pub(crate) fn changed(&self, token: &str) -> String {
        let signature = token.rsplit('.').next().unwrap();
        let more = self.token(&json!({"roles": ["viewer", "auditor"], "more": 1}));
        format!("{}.{signature}", more.rsplit_once('.').unwrap().0)
    }

    pub(crate) fn unsigned(&self, claims: &Value) -> String {
        format!("{}.", unsigned(&json!({"alg": "none", "typ": "JWT"}), claims))
    }

    /// For whoever takes the key of one algorithm for another's.
    pub(crate) fn hs256_with_public_key(&self, claims: &Value) -> String {
        let text = unsigned(&json!({"alg": "HS256", "typ": "JWT", "kid": "one"}), claims);
        let mut code = Hmac::<Sha256>::new_from_slice(self.key.verifying_key().as_bytes()).unwrap();
        code.update(text.as_bytes());
        format!("{text}.{}", base64url(&code.finalize().into_bytes()))
    }
}

fn sign(key: &SigningKey, claims: &Value) -> String {
    let text = unsigned(&json!({"alg": "EdDSA", "typ": "JWT", "kid": "one"}), claims);
    let signature = key.sign(text.as_bytes()).to_bytes();
    format!("{text}.{}", base64url(&signature))
}

pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let now_s = now_ms() / 1_000;
    let mut all = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now_s, "exp": now_s + 600});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(all.to_string().as_bytes()))
}

pub(crate) struct Wallet {
    key: SigningKey,
    pub(crate) address: String,
}

impl Wallet {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let address = base58(key.verifying_key().as_bytes());
        Self { key, address }
    }

    pub(crate) async fn challenge(&self, client: &Client) -> Value {
        let body = json!({"address": self.address}).to_string();
        let client = client.with_authorization(None);
        client.send("POST", "/v1/auth/wallet/challenge", body.as_bytes()).await.ok()
    }

    pub(crate) fn sign(&self, challenge: &Value) -> String {
        base58(&self.key.sign(challenge["message"].as_str().unwrap().as_bytes()).to_bytes())
    }

    pub(crate) fn answer(&self, challenge: &Value) -> Value {
        json!({"address": self.address, "nonce": challenge["nonce"], "signature": self.sign(challenge)})
    }

    pub(crate) async fn sign_in(&self, client: &Client) -> Answer {
        let body = self.answer(&self.challenge(client).await).to_string();
        let client = client.with_authorization(None);
        client.send("POST", "/v1/auth/wallet/session", body.as_bytes()).await
    }
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    text
}

fn base58(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).map(|_| '1');
    zeros.chain(digits.iter().rev().map(|digit| char::from(DIGITS[*digit as usize]))).collect()
}
