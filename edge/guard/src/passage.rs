//! One exchange under a guard: what decides about it, what only watches, and how far it has come.

use std::rc::Rc;

use sentinel_adapter::watcher::Watcher;
use sentinel_core::{Direction, Exchange, Time, event::Arm, guard::breaker::Permit};

use crate::guard::Active;

/// Handed out by [`Guard::begin`](crate::Guard::begin), and given back to
/// [`Guard::finish`](crate::Guard::finish) when both directions are over.
#[derive(Debug)]
pub struct Passage {
    pub(crate) active: Rc<Active>,
    pub(crate) arm: Arm,
    pub(crate) exchange: Exchange,
    pub(crate) shadow: Option<Watcher>,
    /// An opinion is being asked for.
    pub(crate) asked: Option<Permit>,
}

impl Passage {
    /// Whether anybody wants the bytes of this direction. Where nobody does, only their number counts.
    pub fn reads(&self, direction: Direction) -> bool {
        self.exchange.reads(direction) || self.shadow.as_ref().is_some_and(|shadow| shadow.reads(direction))
    }

    /// Bytes of a direction that nobody reads went on.
    pub fn passed(&mut self, direction: Direction, bytes: usize, now: Time) {
        self.exchange.passed(direction, bytes, now);
    }

    /// Whether a failure of the guard itself has to stop this direction.
    pub fn is_closed_on_faults(&self, direction: Direction) -> bool {
        self.exchange.is_closed_on_faults(direction)
    }
}
