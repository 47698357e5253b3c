//! The root: 32 random bytes, made once for a database and never changed, because the tag of a subject and the hash of a
//! word have to be the same in all years. It is stored wrapped; a new key-encryption key wraps it anew and changes
//! nothing that was derived.

use super::{
    blind::Blinder,
    bound::Bound,
    derive::{Purpose, derived},
    entropy::{Entropy, NoEntropy},
    kek::Ring,
    refused::Refused,
    secret::{Nonce, Secret},
    wrap::{Context, Wrapped},
};

#[derive(Debug)]
pub(crate) struct Root(Secret);

impl Root {
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        Secret::fresh(entropy).map(Self)
    }

    pub(crate) fn wrap(&self, ring: &Ring, nonce: Nonce) -> Result<Wrapped, Refused> {
        Wrapped::new(&self.0, ring.first(), &context(), nonce)
    }

    pub(crate) fn unwrap(wrapped: &Wrapped, ring: &Ring) -> Result<Self, Refused> {
        wrapped.open(ring, &context()).map(Self)
    }

    pub(crate) fn blinder(&self) -> Blinder {
        Blinder::new(&derived(&self.0, Purpose::BlindSubject), derived(&self.0, Purpose::BlindWord))
    }

    /// What the key of the log is made from.
    pub(crate) fn log_seed(&self) -> Secret {
        derived(&self.0, Purpose::Log)
    }

    /// For the codes in challenges for wallets.
    pub(crate) fn challenge_key(&self) -> Secret {
        derived(&self.0, Purpose::Challenge)
    }

    /// What the key of sessions is made from.
    pub(crate) fn session_seed(&self) -> Secret {
        derived(&self.0, Purpose::Session)
    }
}

fn context() -> Context {
    Context { purpose: Purpose::Wrap, bound: Bound::to("root 1") }
}
