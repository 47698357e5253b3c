//! Sealing a payload: what lies in the column instead of the text.
//!
//! Version (1 byte), nonce (24), body and salt encrypted (16 and more), tag (16): 57 bytes longer than the body. It is
//! bound to the row it belongs to, so that two sealed payloads cannot change places, and to nothing that may change.

use super::{
    aead::{TAG_BYTES, decrypt, encrypt},
    bound::Bound,
    data_key::DataKey,
    payload::{Payload, SALT_BYTES, Salt},
    refused::Refused,
    secret::{NONCE_BYTES, Nonce},
};

const VERSION: u8 = 1;
/// Before what is encrypted.
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
/// 16 MiB, far more than an event may have.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// The one place where a sealed payload opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// One word for each column that holds sealed payloads.
    pub(crate) column: &'static str,
    pub(crate) vm: &'a str,
    pub(crate) seq: i64,
}

impl Place<'_> {
    fn bound(&self) -> Bound {
        Bound::to("payload 1").bytes(self.column.as_bytes()).bytes(self.vm.as_bytes()).number(self.seq)
    }
}

impl DataKey {
    pub(crate) fn seal(
        &self,
        place: &Place<'_>,
        payload: &Payload<&[u8]>,
        nonce: Nonce,
    ) -> Result<Vec<u8>, Refused> {
        if payload.body.len() > PAYLOAD_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let nonce = nonce.into_bytes();
        let mut sealed = Vec::with_capacity(HEAD_BYTES + SALT_BYTES + payload.body.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(payload.body);
        sealed.extend_from_slice(&payload.salt.0);
        let text = sealed.get_mut(HEAD_BYTES..).unwrap_or_default();
        let tag = encrypt(self.secret(), &nonce, place.bound().as_bytes(), text)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    pub(crate) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Payload<Vec<u8>>, Refused> {
        let wrong = Refused::Form("a sealed payload has at least 57 bytes");
        let (version, rest) = sealed.split_first().ok_or(wrong)?;
        if *version != VERSION {
            return Err(Refused::Version(*version));
        }
        let (nonce, rest) = rest.split_first_chunk().ok_or(wrong)?;
        let (text, tag) = rest.split_last_chunk().ok_or(wrong)?;
        let body_bytes = text.len().checked_sub(SALT_BYTES).ok_or(wrong)?;
        let mut body = text.to_vec();
        decrypt(self.secret(), nonce, place.bound().as_bytes(), &mut body, tag)?;
        let salt = Salt(*body.last_chunk().ok_or(wrong)?);
        body.truncate(body_bytes);
        Ok(Payload { body, salt })
    }
}
