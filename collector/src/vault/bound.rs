//! What a ciphertext is bound to: bytes that are authenticated with it and not stored in it.
//!
//! Invariant: two different lists of parts give different bytes. Each part has its kind and, where it is not of a fixed
//! length, its length before it; the label says how many parts follow and what they are.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound(Vec<u8>);

impl Bound {
    /// `label` is one for each use, with its version.
    pub(super) fn to(label: &'static str) -> Self {
        Self(Vec::with_capacity(96)).bytes(b"sentinel vault").bytes(label.as_bytes())
    }

    pub(super) fn bytes(mut self, part: &[u8]) -> Self {
        self.0.push(b'b');
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    pub(super) fn number(mut self, part: i64) -> Self {
        self.0.push(b'n');
        self.0.extend_from_slice(&part.to_be_bytes());
        self
    }

    pub(super) fn maybe(self, part: Option<&[u8]>) -> Self {
        match part {
            Some(part) => self.bytes(part),
            None => self.absent(),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn absent(mut self) -> Self {
        self.0.push(b'-');
        self
    }
}
