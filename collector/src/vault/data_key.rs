//! Data keys: each seals the payloads of one period, and of one subject where there is one. To forget a subject, or a
//! period, its keys are destroyed; what they sealed stays where it is and says nothing any more.
//!
//! Invariant: a wrapped data key opens only as the key of its own id, period and subject.

use std::num::NonZeroI64;

use super::{
    blind::SubjectTag,
    bound::Bound,
    derive::Purpose,
    entropy::{Entropy, NoEntropy},
    kek::Ring,
    refused::Refused,
    secret::{Nonce, Secret},
    wrap::{Context, Wrapped},
};

/// Drawn by chance, so that replicas need not agree on a sequence and an id says nothing of when or whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(pub(crate) i64);

/// When a period began, in ms since 1970. Not its number: numbers would mean other days once the length is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Period(pub(crate) i64);

/// What a data key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) period: Period,
    pub(crate) subject: Option<SubjectTag>,
}

#[derive(Debug)]
pub(crate) struct DataKey {
    id: KeyId,
    scope: Scope,
    secret: Secret,
}

impl KeyId {
    /// 1 to 2^63 - 1.
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes)?;
        Ok(Self((i64::from_be_bytes(bytes) & i64::MAX).max(1)))
    }
}

impl Period {
    /// The one that holds a time. Times before 1970 have periods, too.
    pub(crate) fn of(time_ms: i64, length_ms: NonZeroI64) -> Self {
        let into = time_ms.checked_rem_euclid(length_ms.get()).unwrap_or(0);
        Self(time_ms.saturating_sub(into))
    }
}

impl DataKey {
    pub(crate) fn fresh(id: KeyId, scope: Scope, entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self { id, scope, secret: Secret::fresh(entropy)? })
    }

    pub(crate) fn wrap(&self, ring: &Ring, nonce: Nonce) -> Result<Wrapped, Refused> {
        Wrapped::new(&self.secret, ring.first(), &context(self.id, &self.scope), nonce)
    }

    pub(crate) fn unwrap(wrapped: &Wrapped, id: KeyId, scope: Scope, ring: &Ring) -> Result<Self, Refused> {
        let secret = wrapped.open(ring, &context(id, &scope))?;
        Ok(Self { id, scope, secret })
    }

    /// The same key, wrapped by the first key of the ring. What it has sealed is not touched.
    pub(crate) fn rewrap(
        wrapped: &Wrapped,
        id: KeyId,
        scope: &Scope,
        ring: &Ring,
        nonce: Nonce,
    ) -> Result<Wrapped, Refused> {
        wrapped.moved(ring, &context(id, scope), nonce)
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }
}

fn context(id: KeyId, scope: &Scope) -> Context {
    let subject = scope.subject.as_ref().map(|tag| tag.0.as_slice());
    let bound = Bound::to("data key 1").number(id.0).number(scope.period.0).maybe(subject);
    Context { purpose: Purpose::Wrap, bound }
}
