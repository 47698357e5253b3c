//! XChaCha20-Poly1305 over a buffer, with the types of this module.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};

use super::{
    refused::Refused,
    secret::{NONCE_BYTES, Secret},
};

pub(super) const TAG_BYTES: usize = 16;

/// Encrypts in place; what comes back proves key, nonce, place and every byte.
pub(super) fn encrypt(
    key: &Secret,
    nonce: &[u8; NONCE_BYTES],
    bound: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG_BYTES], Refused> {
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), bound, text.into());
    tag.map(Into::into).map_err(|_| Refused::TooLong)
}

/// Decrypts in place, or leaves the bytes as they were.
pub(super) fn decrypt(
    key: &Secret,
    nonce: &[u8; NONCE_BYTES],
    bound: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), Refused> {
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let opened = cipher.decrypt_inout_detached(nonce.into(), bound, text.into(), tag.into());
    opened.map_err(|_| Refused::Forged)
}
