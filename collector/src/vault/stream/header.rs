//! The first bytes of a sealed file.

use std::io::{self, Read};

use super::StreamRefused;
use crate::vault::{
    bound::Bound,
    derive::Purpose,
    kek::{Kek, KekId, Ring},
    refused::Refused,
    secret::{Nonce, Secret},
    wrap::{Context, WRAPPED_BYTES, Wrapped},
};

const MAGIC: &[u8; 8] = b"SNTLSEAL";
const VERSION: u8 = 1;

/// What a sealed file says it is. Not secret: it stands in the open, and is authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    kind: String,
    name: String,
}

pub(super) struct Header {
    label: Label,
    key: Wrapped,
}

impl Label {
    /// `None` if one of them has more than 255 bytes.
    pub(crate) fn new(kind: &str, name: &str) -> Option<Self> {
        let fits = kind.len().max(name.len()) <= usize::from(u8::MAX);
        fits.then(|| Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// Such as `database`: what its reader expects.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    fn context(&self) -> Context {
        let bound = Bound::to("file 1").bytes(self.kind.as_bytes()).bytes(self.name.as_bytes());
        Context { purpose: Purpose::Backup, bound }
    }
}

impl Header {
    pub(super) fn new(label: Label, key: &Secret, kek: &Kek, nonce: Nonce) -> Result<Self, Refused> {
        let key = Wrapped::new(key, kek, &label.context(), nonce)?;
        Ok(Self { label, key })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[VERSION], &self.key.to_bytes()].concat();
        for text in [&self.label.kind, &self.label.name] {
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    pub(super) fn read(from: &mut dyn Read) -> io::Result<Self> {
        let magic: [u8; MAGIC.len()] = exactly(from)?;
        if magic != *MAGIC {
            return Err(StreamRefused::NotSealed.into());
        }
        let [version] = exactly(from)?;
        if version != VERSION {
            return Err(StreamRefused::Key(Refused::Version(version)).into());
        }
        let key: [u8; WRAPPED_BYTES] = exactly(from)?;
        let key = Wrapped::parse(&key).map_err(StreamRefused::Key)?;
        Ok(Self { key, label: Label { kind: text(from)?, name: text(from)? } })
    }

    /// The label and the key, which open together or not at all.
    pub(super) fn open(self, ring: &Ring) -> Result<(Label, Secret), StreamRefused> {
        let key = self.key.open(ring, &self.label.context()).map_err(StreamRefused::Key)?;
        Ok((self.label, key))
    }
}

/// Which key opens a sealed file, as it says itself.
pub(crate) fn kek_of(from: &mut dyn Read) -> io::Result<KekId> {
    Ok(Header::read(from)?.key.kek())
}

/// The header of a sealed file with its key wrapped by the first key of the ring. It is as long as the old one: written
/// over it, it makes the file the new key's, and the rest stays as it is.
pub(crate) fn rewrapped_header(from: &mut dyn Read, ring: &Ring, nonce: Nonce) -> io::Result<Vec<u8>> {
    let Header { label, key } = Header::read(from)?;
    let key = key.moved(ring, &label.context(), nonce).map_err(StreamRefused::Key)?;
    Ok(Header { label, key }.to_bytes())
}

fn text(from: &mut dyn Read) -> io::Result<String> {
    let [length] = exactly(from)?;
    let mut bytes = vec![0; usize::from(length)];
    fill(from, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| StreamRefused::NotSealed.into())
}

fn exactly<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(from, &mut bytes)?;
    Ok(bytes)
}

fn fill(from: &mut dyn Read, bytes: &mut [u8]) -> io::Result<()> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamRefused::NotSealed.into(),
        _ => error,
    })
}
