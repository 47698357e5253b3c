//! Where chance comes from: an argument everywhere, and the operating system in the end.

use zeroize::{Zeroize, Zeroizing};

/// What [`Pooled`] asks for at once.
const POOL_BYTES: usize = 4 << 10;

/// Fills bytes that nobody can foresee. It may fail, and then nothing is sealed: a guessable key is worse than none.
pub(crate) trait Entropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoEntropy;

/// The operating system's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

impl Entropy for System {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

/// Asks for many bytes at once and deals each out once, wiping it: for nonces and salts at a rate at which a call to the
/// system for each would cost as much as a fifth of the sealing.
pub(crate) struct Pooled<E> {
    from: E,
    pool: Zeroizing<Vec<u8>>,
}

impl<E: Entropy> Pooled<E> {
    pub(crate) fn new(from: E) -> Self {
        Self { from, pool: Zeroizing::new(Vec::with_capacity(POOL_BYTES)) }
    }
}

impl<E: Entropy> Entropy for Pooled<E> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if bytes.len() > POOL_BYTES {
            return self.from.fill(bytes);
        }
        if self.pool.len() < bytes.len() {
            self.pool.resize(POOL_BYTES, 0);
            if let Err(none) = self.from.fill(&mut self.pool) {
                self.pool.clear();
                return Err(none);
            }
        }
        let rest = self.pool.len() - bytes.len();
        let dealt = self.pool.get_mut(rest..).unwrap_or_default();
        bytes.copy_from_slice(dealt);
        dealt.zeroize();
        self.pool.truncate(rest);
        Ok(())
    }
}

impl<E> std::fmt::Debug for Pooled<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pooled({} bytes)", self.pool.len())
    }
}
