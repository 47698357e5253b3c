//! Where chance comes from: an argument everywhere, and the operating system in the end.

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
