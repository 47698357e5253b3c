//! The data keys that are open in memory: so many and no more, those used last. It asks no store; what it does not have,
//! the caller reads and brings.
//!
//! The store counts erasures: each destruction of keys adds one to a number, in the same transaction. Whoever reads rows
//! of keys reads that number with them, and says it here. So a key that another replica has destroyed is forgotten by
//! whoever next looks at the store, and a row that was read before a destruction cannot bring the key back after it.
//!
//! Invariant: after [`Keyring::destroy`], or [`Keyring::see`] of a later number, no lookup gives a destroyed key. Who holds
//! one from before may finish the payload in hand; with the last holder the key is wiped.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::Arc,
};

use super::{
    data_key::{DataKey, KeyId, Scope},
    kek::Ring,
    refused::Refused,
    wrap::Wrapped,
};

/// How often the store has destroyed keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Erasures(pub(crate) u64);

/// A data key as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) id: KeyId,
    pub(crate) scope: Scope,
    pub(crate) state: KeyState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    Live(Wrapped),
    Destroyed { at_ms: i64 },
}

/// A key for the work in hand, not to be kept.
pub(crate) type Held = Arc<DataKey>;

#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    Open(Held),
    Destroyed {
        #[cfg_attr(
            not(test),
            expect(dead_code, reason = "answers say that a text is gone; the log has when")
        )]
        at_ms: i64,
    },
    /// Read its row and admit it.
    Unknown,
}

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// Read it again.
    #[error("the row was read before keys were destroyed")]
    Stale,
    #[error("the key does not open: {0}")]
    Refused(#[from] Refused),
}

#[derive(Debug)]
pub(crate) struct Keyring {
    keys_max: NonZeroUsize,
    seen: Erasures,
    slots: HashMap<KeyId, Slot>,
    /// Live keys only.
    by_scope: HashMap<Scope, KeyId>,
    /// Which slot was used at which tick; the first is the next to go.
    by_use: BTreeMap<u64, KeyId>,
    tick: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    state: SlotState,
}

#[derive(Debug)]
enum SlotState {
    Open(Held),
    Destroyed { at_ms: i64 },
}

impl Keyring {
    pub(crate) fn new(keys_max: NonZeroUsize) -> Self {
        Self {
            keys_max,
            seen: Erasures::default(),
            slots: HashMap::new(),
            by_scope: HashMap::new(),
            by_use: BTreeMap::new(),
            tick: 0,
        }
    }

    /// The store's number. A later one than was seen means that keys were destroyed elsewhere: all are forgotten, since
    /// which ones is not known here. Erasures are rare, and reading a key again is cheap.
    pub(crate) fn see(&mut self, erasures: Erasures) {
        if erasures > self.seen {
            self.seen = erasures;
            self.clear();
        }
    }

    /// The live key for what is sealed now; without one, the caller looks into the store, and makes one if it has none.
    pub(crate) fn for_sealing(&mut self, scope: &Scope) -> Option<Held> {
        let id = *self.by_scope.get(scope)?;
        match self.for_opening(id) {
            Lookup::Open(key) => Some(key),
            Lookup::Destroyed { .. } | Lookup::Unknown => None,
        }
    }

    pub(crate) fn for_opening(&mut self, id: KeyId) -> Lookup {
        let Some(slot) = self.slots.get_mut(&id) else { return Lookup::Unknown };
        self.by_use.remove(&slot.used);
        self.tick += 1;
        slot.used = self.tick;
        self.by_use.insert(slot.used, id);
        match &slot.state {
            SlotState::Open(key) => Lookup::Open(Arc::clone(key)),
            SlotState::Destroyed { at_ms } => Lookup::Destroyed { at_ms: *at_ms },
        }
    }

    /// Takes a row of the store, read together with its number of erasures.
    pub(crate) fn admit(&mut self, row: &KeyRow, erasures: Erasures, ring: &Ring) -> Result<(), NotAdmitted> {
        self.see(erasures);
        if erasures < self.seen {
            return Err(NotAdmitted::Stale);
        }
        let state = match &row.state {
            KeyState::Live(wrapped) => {
                SlotState::Open(Arc::new(DataKey::unwrap(wrapped, row.id, row.scope, ring)?))
            }
            KeyState::Destroyed { at_ms } => SlotState::Destroyed { at_ms: *at_ms },
        };
        self.put(row.id, state);
        Ok(())
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "stores say how many were destroyed, and not which"))]
    /// After the store has destroyed these keys, with its number from the same transaction. If that is the very next
    /// number the other keys stay.
    pub(crate) fn destroy(&mut self, ids: &[KeyId], at_ms: i64, erasures: Erasures) {
        if erasures.0 > self.seen.0.saturating_add(1) {
            self.clear();
        }
        self.seen = self.seen.max(erasures);
        ids.iter().for_each(|id| self.put(*id, SlotState::Destroyed { at_ms }));
    }

    /// Of the largest of its tables.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len().max(self.by_scope.len()).max(self.by_use.len())
    }

    fn put(&mut self, id: KeyId, state: SlotState) {
        self.forget(id);
        while self.slots.len() >= self.keys_max.get() {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.forget(oldest);
        }
        if let SlotState::Open(key) = &state {
            self.by_scope.insert(*key.scope(), id);
        }
        self.tick += 1;
        self.by_use.insert(self.tick, id);
        self.slots.insert(id, Slot { used: self.tick, state });
    }

    fn forget(&mut self, id: KeyId) {
        let Some(slot) = self.slots.remove(&id) else { return };
        self.by_use.remove(&slot.used);
        if let SlotState::Open(key) = slot.state
            && self.by_scope.get(key.scope()) == Some(&id)
        {
            self.by_scope.remove(key.scope());
        }
    }

    fn clear(&mut self) {
        self.slots.clear();
        self.by_scope.clear();
        self.by_use.clear();
    }
}
