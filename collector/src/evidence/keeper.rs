//! Keys at work: the ring that wraps, the root that blinds, and the data keys that the store keeps wrapped.
//!
//! Invariant: a data key is in the store before anything is sealed with it.

use std::num::{NonZeroI64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{DataKeyRow, Sealed, SubjectTag};
use crate::store::{KeyChange, Store, StoreError};
use crate::vault::{
    Blinder, Commitment, DataKey, Entropy, Erasures, Held, KeyId, KeyRow, KeyState, Keyring, Lookup,
    NoEntropy, Nonce, NotAdmitted, Payload, Period, Place, Refused, Ring, Root, Salt, Scope, System, Wrapped,
};

pub(crate) struct Keeper {
    store: Arc<dyn Store>,
    ring: Ring,
    root: Root,
    blinder: Blinder,
    period_ms: NonZeroI64,
    open: Mutex<Keyring>,
    /// The number of erasures that was seen last.
    seen: AtomicU64,
}

/// Why a key is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{what}: {reason}")]
    Key { what: &'static str, reason: Refused },
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// What is behind a ciphertext.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Open(Payload<Vec<u8>>),
    /// Its key is destroyed, or its time is over.
    Gone,
}

impl Keeper {
    /// Takes up the root of the database, or gives it one.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        ring: Ring,
        period_ms: NonZeroI64,
    ) -> Result<Self, KeeperError> {
        let root = match store.secret(ROOT.to_owned()).await? {
            Some(wrapped) => unwrapped(&wrapped, &ring)?,
            None => {
                let wrapped = Root::fresh(&mut System)?
                    .wrap(&ring, Nonce::fresh(&mut System)?)
                    .map_err(|reason| KeeperError::Key { what: "the root was not wrapped", reason })?;
                let put = KeyChange::PutSecret { name: ROOT.to_owned(), wrapped: wrapped.to_bytes() };
                store.change_keys(put).await?;
                // Another collector may have been faster; what is in the store counts.
                let there = store.secret(ROOT.to_owned()).await?;
                unwrapped(&there.ok_or_else(|| StoreError("the root is not there".to_owned()))?, &ring)?
            }
        };
        let blinder = root.blinder();
        let open = Mutex::new(Keyring::new(KEYS_MAX));
        let seen = AtomicU64::new(0);
        Ok(Self { store, ring, root, blinder, period_ms, open, seen })
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn subject(&self, id: &str) -> SubjectTag {
        self.blinder.subject(id).0
    }

    /// A keyed number for an exact text, other for each kind.
    pub(crate) fn number(&self, kind: &str, text: &str) -> i64 {
        self.blinder.number(kind, text)
    }

    pub(crate) fn digest(&self, text: &str) -> Vec<u8> {
        self.blinder.subject(text).0.to_vec()
    }

    pub(crate) fn words<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Vec<i64> {
        let words = self.blinder.of_event(texts, WORDS_MAX).words;
        words.into_iter().map(|word| word.0.cast_signed()).collect()
    }

    /// `None` if it has no words, or more than can be asked for: a part of a question is another question.
    pub(crate) fn words_of_question(&self, text: &str) -> Option<Vec<i64>> {
        let asked = self.blinder.of_question(text, WORDS_MAX);
        let words: Vec<i64> = asked.words.into_iter().map(|word| word.0.cast_signed()).collect();
        (asked.complete && !words.is_empty()).then_some(words)
    }

    /// The key for what is sealed now; it is in the store.
    pub(crate) async fn sealing_key(
        &self,
        now_ms: i64,
        subject: Option<SubjectTag>,
    ) -> Result<Held, KeeperError> {
        let period = Period::of(now_ms, self.period_ms);
        let scope = Scope { period, subject: subject.map(crate::vault::SubjectTag) };
        for _ in 0..TRIES {
            if let Some(key) = self.keyring().for_sealing(&scope) {
                return Ok(key);
            }
            let erasures = self.erasures().await?;
            match self.store.data_key_of(period.0, subject).await? {
                Some(row) => self.admit(&row, erasures)?,
                None => self.make(scope, now_ms).await?,
            }
        }
        Err(StoreError("a data key was destroyed again and again".to_owned()).into())
    }

    async fn make(&self, scope: Scope, now_ms: i64) -> Result<(), KeeperError> {
        let key = DataKey::fresh(KeyId::fresh(&mut System)?, scope, &mut System)?;
        let wrapped = key
            .wrap(&self.ring, Nonce::fresh(&mut System)?)
            .map_err(|reason| KeeperError::Key { what: "a data key was not wrapped", reason })?;
        let row = DataKeyRow {
            id: key.id().0,
            period: scope.period.0,
            subject: scope.subject.map(|tag| tag.0),
            wrapped: Some(wrapped.to_bytes()),
            created_ms: now_ms,
            destroyed_ms: None,
        };
        self.store.change_keys(KeyChange::Put(row)).await?;
        Ok(())
    }

    pub(crate) fn seal(
        key: &DataKey,
        place: &Place<'_>,
        body: &[u8],
        chance: &mut dyn Entropy,
    ) -> Result<(Sealed, Commitment), KeeperError> {
        let payload = Payload { body, salt: Salt::fresh(chance)? };
        let commitment = payload.commitment();
        let bytes = key
            .seal(place, &payload, Nonce::fresh(chance)?)
            .map_err(|reason| KeeperError::Key { what: "an event was not sealed", reason })?;
        Ok((Sealed { key: key.id().0, bytes }, commitment))
    }

    pub(crate) async fn unseal(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Content, KeeperError> {
        match self.opening_key(sealed.key).await? {
            None => Ok(Content::Gone),
            Some(key) => key
                .open(place, &sealed.bytes)
                .map(Content::Open)
                .map_err(|reason| KeeperError::Key { what: "an event does not open", reason }),
        }
    }

    /// `None` if it was destroyed.
    async fn opening_key(&self, id: i64) -> Result<Option<Held>, KeeperError> {
        for _ in 0..TRIES {
            match self.keyring().for_opening(KeyId(id)) {
                Lookup::Open(key) => return Ok(Some(key)),
                Lookup::Destroyed { .. } => return Ok(None),
                Lookup::Unknown => {}
            }
            let erasures = self.erasures().await?;
            let Some(row) = self.store.data_key(id).await? else {
                return Err(StoreError(format!("data key {id} is not in the database")).into());
            };
            self.admit(&row, erasures)?;
        }
        Err(StoreError("data keys were destroyed again and again".to_owned()).into())
    }

    fn admit(&self, row: &DataKeyRow, erasures: Erasures) -> Result<(), KeeperError> {
        // A row that was read too early is read again by whoever asks.
        match self.keyring().admit(&key_row(row)?, erasures, &self.ring) {
            // A row that was read too early is read again by whoever asks.
            Ok(()) | Err(NotAdmitted::Stale) => Ok(()),
            Err(NotAdmitted::Refused(reason)) => {
                Err(KeeperError::Key { what: "a data key does not open", reason })
            }
        }
    }

    /// Forgets what another collector has destroyed; whether there was something.
    pub(crate) async fn refresh(&self) -> Result<bool, StoreError> {
        let erasures = self.erasures().await?;
        self.keyring().see(erasures);
        Ok(self.seen.swap(erasures.0, Ordering::Relaxed) != erasures.0)
    }

    pub(crate) async fn erase(&self, subject: SubjectTag, at_ms: i64) -> Result<u64, StoreError> {
        let n_keys = self.store.change_keys(KeyChange::Erase { subject, at_ms }).await?;
        self.refresh().await?;
        Ok(n_keys)
    }

    /// Wraps every key with the first key of the ring; says how many were moved. Until it ends, both keys are needed.
    pub(crate) async fn rewrap(&self) -> Result<usize, KeeperError> {
        let wrong = |reason| KeeperError::Key { what: "a key was not wrapped anew", reason };
        let first = self.ring.first().id();
        let mut n_moved = 0;
        let root = self.root.wrap(&self.ring, Nonce::fresh(&mut System)?).map_err(wrong)?;
        let replace = KeyChange::ReplaceSecret { name: ROOT.to_owned(), wrapped: root.to_bytes() };
        self.store.change_keys(replace).await?;
        let mut after = 0;
        loop {
            let rows = self.store.data_keys(after, KEYS_AT_ONCE).await?;
            let Some(last) = rows.last() else { return Ok(n_moved) };
            after = last.id;
            for row in &rows {
                let KeyRow { id, scope, state: KeyState::Live(wrapped) } = key_row(row)? else { continue };
                if wrapped.kek() == first {
                    continue;
                }
                let moved = DataKey::rewrap(&wrapped, id, &scope, &self.ring, Nonce::fresh(&mut System)?);
                let wrapped = moved.map_err(wrong)?.to_bytes();
                self.store.change_keys(KeyChange::Rewrap { id: row.id, wrapped }).await?;
                n_moved += 1;
            }
        }
    }

    /// Whether anything in the database opens only with another key than the first of the ring.
    pub(crate) async fn needs_others(&self) -> Result<bool, KeeperError> {
        let first = self.ring.first().id();
        let wrong = |reason| KeeperError::Key { what: "a key cannot be read", reason };
        if let Some(root) = self.store.secret(ROOT.to_owned()).await?
            && Wrapped::parse(&root).map_err(wrong)?.kek() != first
        {
            return Ok(true);
        }
        let mut after = 0;
        loop {
            let rows = self.store.data_keys(after, KEYS_AT_ONCE).await?;
            let Some(last) = rows.last() else { return Ok(false) };
            after = last.id;
            for row in &rows {
                if matches!(key_row(row)?.state, KeyState::Live(wrapped) if wrapped.kek() != first) {
                    return Ok(true);
                }
            }
        }
    }

    async fn erasures(&self) -> Result<Erasures, StoreError> {
        Ok(Erasures(u64::try_from(self.store.erasures().await?).unwrap_or(0)))
    }

    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("ring", &self.ring.ids().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

fn unwrapped(bytes: &[u8], ring: &Ring) -> Result<Root, KeeperError> {
    let wrong = |reason| KeeperError::Key { what: "the database was sealed with another key", reason };
    Wrapped::parse(bytes).and_then(|wrapped| Root::unwrap(&wrapped, ring)).map_err(wrong)
}

fn key_row(row: &DataKeyRow) -> Result<KeyRow, KeeperError> {
    let wrong = |reason| KeeperError::Key { what: "a data key cannot be read", reason };
    let state = match (&row.wrapped, row.destroyed_ms) {
        (Some(wrapped), _) => KeyState::Live(Wrapped::parse(wrapped).map_err(wrong)?),
        (None, at_ms) => KeyState::Destroyed { at_ms: at_ms.unwrap_or(0) },
    };
    let subject = row.subject.map(crate::vault::SubjectTag);
    Ok(KeyRow { id: KeyId(row.id), scope: Scope { period: Period(row.period), subject }, state })
}

const ROOT: &str = "root";
const WORDS_MAX: usize = 256;
const TRIES: usize = 4;
const KEYS_AT_ONCE: usize = 500;
/// About 2 MB.
const KEYS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
