//! Sealed files, for backups: encrypted and read back in chunks of 64 KiB, in constant memory.
//!
//! A file begins with a header: magic (8 bytes), version (1), the file's own key wrapped (77), kind and name of the file,
//! each with its length. The wrapping binds version, kind and name. Then come chunks, each encrypted with
//! ChaCha20-Poly1305 under the file's key and followed by its tag. The nonce is the number of the chunk (11 bytes) and a
//! byte that is 1 for the last one: the STREAM construction. The key is new for each file, so numbers may begin at zero.
//!
//! Invariant: [`Opener`] gives only bytes that were sealed at this place of this file, and it says that the file is at its
//! end only when it is. Until it has said so, what was read is the beginning of the file and no more. There is one way to
//! write any content: the last chunk is empty only if everything is.

mod header;
mod opener;
mod sealer;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

use super::{aead::TAG_BYTES, refused::Refused, secret::Secret};

pub(crate) use header::Label;
pub(crate) use header::{kek_of, rewrapped_header};
pub(crate) use opener::Opener;
pub(crate) use sealer::Sealer;

const CHUNK_BYTES: usize = 64 << 10;

/// Why a sealed file is not read on. As an [`std::io::Error`] it is the source of one of kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamRefused {
    #[error("it is no sealed file")]
    NotSealed,
    #[error("the key of the file: {0}")]
    Key(#[source] Refused),
    #[error("chunk {0} was changed, moved or cut off within")]
    Chunk(u64),
    #[error("the file was cut off after chunk {0}")]
    CutOff(u64),
    #[error("bytes follow the end of the file, which is chunk {0}")]
    Trailing(u64),
}

impl From<StreamRefused> for std::io::Error {
    fn from(refused: StreamRefused) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, refused)
    }
}

/// The cipher of one file.
struct Chunks(ChaCha20Poly1305);

impl Chunks {
    fn new(key: &Secret) -> Self {
        Self(ChaCha20Poly1305::new(key.bytes().into()))
    }

    fn encrypt(&self, number: u64, last: bool, chunk: &mut [u8]) -> Result<[u8; TAG_BYTES], Refused> {
        let tag = self.0.encrypt_inout_detached(&nonce(number, last).into(), &[], chunk.into());
        tag.map(Into::into).map_err(|_| Refused::TooLong)
    }

    /// Leaves the chunk as it was if it is not the right one.
    fn decrypt(&self, number: u64, last: bool, chunk: &mut [u8], tag: &[u8; TAG_BYTES]) -> bool {
        self.0.decrypt_inout_detached(&nonce(number, last).into(), &[], chunk.into(), tag.into()).is_ok()
    }
}

fn nonce(number: u64, last: bool) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [0, 0, 0, a, b, c, d, e, f, g, h, u8::from(last)]
}

/// A file of whole chunks whose last one is followed by an empty one, which [`Sealer`] never writes.
#[cfg(test)]
pub(super) fn with_empty_last_chunk(file: &[u8], ring: &super::kek::Ring) -> std::io::Result<Vec<u8>> {
    let mut rest = file;
    let (_, key) = header::Header::read(&mut rest)?.open(ring)?;
    let (chunks, header) = (Chunks::new(&key), &file[..file.len() - rest.len()]);
    let (mut chunk, tag) = (rest[..CHUNK_BYTES].to_vec(), rest[CHUNK_BYTES..].try_into().unwrap());
    assert!(chunks.decrypt(0, true, &mut chunk, &tag));
    let tag = chunks.encrypt(0, false, &mut chunk).unwrap();
    let end = chunks.encrypt(1, true, &mut []).unwrap();
    Ok([header, &chunk, &tag, &end].concat())
}
