//! Keys for programs: `sk_`, eight characters that name the key, `_`, and 43 that are secret.
//!
//! Invariant: the secret is shown once, when it is made; what is stored is its hash. A key works until it is revoked or
//! ends. One that has a successor works on until its grace is over, so that a fleet can change keys without a pause, and
//! nothing makes that time longer afterwards.

use std::fmt;

use super::base64url;
use super::permission::Permissions;
use super::principal::Principal;
use super::role::Roles;
use super::secret::SecretHash;

/// Five bytes name the key, 32 are the secret.
pub(crate) const RANDOM_BYTES: usize = 37;
pub(crate) const LABEL_BYTES_MAX: usize = 64;
pub(crate) const GRACE_MS_DEFAULT: i64 = 24 * 3_600_000;
pub(crate) const GRACE_MS_MAX: i64 = 30 * 24 * 3_600_000;

/// What names a key, in lists and in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId([u8; ID_CHARS]);

/// A key as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    pub(crate) id: KeyId,
    pub(crate) hash: SecretHash,
    pub(crate) grant: Grant,
    pub(crate) created_ms: i64,
    pub(crate) revoked_ms: Option<i64>,
    pub(crate) replaced: Option<Replaced>,
}

/// What a key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// For people who look at a list of keys.
    pub(crate) label: String,
    pub(crate) roles: Roles,
    /// Narrows what the roles allow.
    pub(crate) scope: Option<Permissions>,
    pub(crate) not_after_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) by: KeyId,
    /// Until then both work.
    pub(crate) until_ms: i64,
}

/// A new key, and the only time that its text is known.
pub(crate) struct Issued {
    pub(crate) key: ApiKey,
    pub(crate) text: String,
}

/// A text that has the form of a key.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'t> {
    pub(crate) id: KeyId,
    text: &'t str,
}

/// Why a key is refused: for the log. Who presents one learns only that it does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    Wrong,
    Revoked,
    Ended,
    Replaced,
}

impl ApiKey {
    pub(crate) fn issue(grant: Grant, random: &[u8; RANDOM_BYTES], now_ms: i64) -> Result<Issued, String> {
        grant.check(now_ms)?;
        let [a, b, c, d, e, secret @ ..] = random;
        let id = KeyId::of([*a, *b, *c, *d, *e]);
        let text = format!("{PREFIX}{id}_{}", base64url::encode(secret));
        let hash = SecretHash::of(&text);
        Ok(Issued {
            key: Self { id, hash, grant, created_ms: now_ms, revoked_ms: None, replaced: None },
            text,
        })
    }

    /// A successor for the same purpose that lasts as long again, while this key goes on for `grace_ms`.
    pub(crate) fn rotate(
        &mut self,
        random: &[u8; RANDOM_BYTES],
        grace_ms: i64,
        now_ms: i64,
    ) -> Result<Issued, String> {
        if let Some(refusal) = self.refusal(now_ms) {
            return Err(format!("key {} cannot be rotated: {refusal}", self.id));
        }
        if let Some(replaced) = self.replaced {
            return Err(format!("key {} has a successor already: {}", self.id, replaced.by));
        }
        if !(0..=GRACE_MS_MAX).contains(&grace_ms) {
            return Err("the grace is from nothing to 30 days".to_owned());
        }
        let lasts_ms = self.grant.not_after_ms.map(|end_ms| end_ms.saturating_sub(self.created_ms));
        let not_after_ms = lasts_ms.map(|lasts_ms| now_ms.saturating_add(lasts_ms));
        let issued = Self::issue(Grant { not_after_ms, ..self.grant.clone() }, random, now_ms)?;
        if issued.key.id == self.id {
            return Err("the new key has the name of the old one; try again".to_owned());
        }
        self.replaced = Some(Replaced { by: issued.key.id, until_ms: now_ms.saturating_add(grace_ms) });
        Ok(issued)
    }

    /// At once. The first time stays.
    pub(crate) fn revoke(&mut self, now_ms: i64) {
        self.revoked_ms.get_or_insert(now_ms);
    }

    pub(crate) fn let_in(&self, presented: Presented<'_>, now_ms: i64) -> Result<Principal, KeyRefusal> {
        // First of all, so that only who has the secret can cause another refusal.
        if presented.id != self.id || !self.hash.is_of(presented.text) {
            return Err(KeyRefusal::Wrong);
        }
        match self.refusal(now_ms) {
            Some(refusal) => Err(refusal),
            None => Ok(Principal::api_key(self.id.as_str(), self.grant.roles, self.grant.scope)),
        }
    }

    /// Whether it would be refused though the secret is right.
    pub(crate) fn refusal(&self, now_ms: i64) -> Option<KeyRefusal> {
        if self.revoked_ms.is_some() {
            return Some(KeyRefusal::Revoked);
        }
        if self.grant.not_after_ms.is_some_and(|end_ms| now_ms >= end_ms) {
            return Some(KeyRefusal::Ended);
        }
        self.replaced.filter(|replaced| now_ms >= replaced.until_ms).map(|_| KeyRefusal::Replaced)
    }
}

impl Grant {
    fn check(&self, now_ms: i64) -> Result<(), String> {
        if self.label.is_empty()
            || self.label.len() > LABEL_BYTES_MAX
            || self.label.contains(char::is_control)
        {
            return Err(format!("a label has 1 to {LABEL_BYTES_MAX} bytes and no control characters"));
        }
        if self.roles.is_empty() {
            return Err("a key has at least one role".to_owned());
        }
        if let Some(scope) = self.scope {
            let allowed = self.roles.permissions();
            if let Some(more) = scope.iter().find(|permission| !allowed.has(*permission)) {
                return Err(format!("the scope {more} is more than the roles {} allow", self.roles));
            }
            if scope.is_empty() {
                return Err("the scope is empty, which allows nothing; leave it out to allow all".to_owned());
            }
        }
        match self.not_after_ms {
            Some(end_ms) if end_ms <= now_ms => Err("the end of the key is not in the future".to_owned()),
            _ => Ok(()),
        }
    }
}

impl<'t> Presented<'t> {
    /// `None` if it is no text of a key; another kind of token then.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(ID_CHARS)?;
        let secret = base64url::decode(secret.strip_prefix('_')?)?;
        (secret.len() == SECRET_BYTES).then_some(Self { id: KeyId::parse(id)?, text })
    }
}

impl KeyId {
    /// Five bits a character, of letters and digits that are not taken for each other.
    fn of(bytes: [u8; 5]) -> Self {
        let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut at = 40;
        Self([0; ID_CHARS].map(|_| {
            at -= 5;
            ID_ALPHABET.get((bits >> at & 31) as usize).copied().unwrap_or_default()
        }))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; ID_CHARS] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| ID_ALPHABET.contains(byte)).then_some(Self(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret is left out.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The secret is left out.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "the secret is wrong",
            Self::Revoked => "it was revoked",
            Self::Ended => "it has ended",
            Self::Replaced => "it has a successor and its grace is over",
        })
    }
}

const PREFIX: &str = "sk_";
const ID_CHARS: usize = 8;
const SECRET_BYTES: usize = 32;
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests;
