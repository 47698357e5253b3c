//! Gauges that are sums over all VMs of the proxy. Each VM has its share of them, which is raised and lowered, and noted in
//! shared data: whoever notes there next takes back the shares of VMs that have died.
//!
//! Invariant: where shared data works, each gauge is the sum of the noted shares, because only who has swapped the note
//! moves the gauges.

use sentinel_adapter::breakers::Kind;
use sentinel_core::Time;

use crate::{
    host::{self, HostError},
    metrics::Metrics,
};

/// Which gauges these are: waiting events, the strain of the memory, exchanges in progress, and the state of each breaker.
pub(crate) const GAUGES: usize = 3 + Kind::ALL.len();

pub(crate) type Values = [u32; GAUGES];

/// What this VM has put into the sums.
#[derive(Default)]
pub(crate) struct Shares {
    shown: Values,
    noted_at: Time,
}

/// The share of one VM, as it is noted.
struct Noted {
    vm: [u8; NAME_BYTES],
    at_ms: u64,
    values: Values,
}

impl Shares {
    /// Before the first tick of any VM, since a note that nobody has written yet cannot be swapped.
    pub(crate) fn prepare() {
        if host::shared_data_versioned(KEY).is_none() {
            let _ = host::set_shared_data(KEY, &write(&[]));
        }
    }

    /// Called on ticks only: a proxy tries a configuration on a VM that it throws away without a word, but never gives it
    /// a tick.
    pub(crate) fn show(&mut self, vm: &str, values: Values, metrics: &Metrics, now: Time) {
        let age_ms = now.millis().saturating_sub(self.noted_at.millis());
        let is_fresh = age_ms < RENEWED_AFTER_MS && self.noted_at <= now;
        if values == self.shown && is_fresh {
            return;
        }
        self.noted_at = now;
        self.move_to(vm, Some(values), metrics, now);
    }

    /// The VM is about to go.
    pub(crate) fn give_back(&mut self, vm: &str, metrics: &Metrics, now: Time) {
        if self.shown != Values::default() {
            self.move_to(vm, None, metrics, now);
        }
    }

    fn move_to(&mut self, vm: &str, values: Option<Values>, metrics: &Metrics, now: Time) {
        let wanted = values.unwrap_or_default();
        let offsets = note(vm, values, now).unwrap_or_else(|| {
            // Nothing can be noted here. The gauges are right as long as every VM lives.
            std::array::from_fn(|idx| difference(wanted.get(idx), self.shown.get(idx)))
        });
        metrics.shift(&offsets);
        self.shown = wanted;
    }
}

/// Notes the share and forgets the dead; answers by how much the sums change.
fn note(vm: &str, values: Option<Values>, now: Time) -> Option<[i64; GAUGES]> {
    let name = name_of(vm);
    for _ in 0..TRIES {
        let (bytes, version) = host::shared_data_versioned(KEY)?;
        let before = read(&bytes);
        let mut after: Vec<&Noted> =
            before.iter().filter(|noted| noted.vm != name && !noted.is_dead(now)).collect();
        let ours = values.filter(|values| *values != Values::default());
        let ours = ours.map(|values| Noted { vm: name, at_ms: now.millis(), values });
        after.extend(&ours);
        let after_bytes = write(&after);
        if after_bytes == bytes {
            return Some([0; GAUGES]);
        }
        match host::swap_shared_data(KEY, &after_bytes, Some(version)) {
            Ok(()) => {
                let sum = |idx: usize, list: &mut dyn Iterator<Item = &Noted>| -> i64 {
                    list.map(|noted| difference(noted.values.get(idx), None)).sum()
                };
                return Some(std::array::from_fn(|idx| {
                    sum(idx, &mut after.iter().copied()) - sum(idx, &mut before.iter())
                }));
            }
            Err(HostError::VERSION_CONFLICT) => {}
            Err(_) => return None,
        }
    }
    None
}

fn difference(a: Option<&u32>, b: Option<&u32>) -> i64 {
    let number = |n: Option<&u32>| i64::from(n.copied().unwrap_or_default());
    number(a) - number(b)
}

impl Noted {
    /// A VM that lives renews its note. One whose clock was set back is as good as new.
    const fn is_dead(&self, now: Time) -> bool {
        now.millis().saturating_sub(self.at_ms) > DEAD_AFTER_MS
    }
}

fn read(bytes: &[u8]) -> Vec<Noted> {
    let one = |bytes: &[u8]| {
        let (vm, bytes) = bytes.split_first_chunk()?;
        let (at_ms, mut bytes) = bytes.split_first_chunk()?;
        let mut values = Values::default();
        for value in &mut values {
            let (number, rest) = bytes.split_first_chunk()?;
            (*value, bytes) = (u32::from_le_bytes(*number), rest);
        }
        Some(Noted { vm: *vm, at_ms: u64::from_le_bytes(*at_ms), values })
    };
    let notes = bytes.get(1..).unwrap_or_default();
    notes.chunks_exact(NOTE_BYTES).filter_map(one).collect()
}

fn write(list: &[&Noted]) -> Vec<u8> {
    // Never an empty value, which a host may take for none.
    let mut bytes = vec![1];
    for noted in list {
        bytes.extend_from_slice(&noted.vm);
        bytes.extend_from_slice(&noted.at_ms.to_le_bytes());
        noted.values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }
    bytes
}

fn name_of(vm: &str) -> [u8; NAME_BYTES] {
    let mut bytes = vm.bytes();
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

/// Its layout is part of its name: another version of this module has notes of its own.
const KEY: &str = "sentinel.shares/2";
const NAME_BYTES: usize = 32;
const NOTE_BYTES: usize = NAME_BYTES + 8 + 4 * GAUGES;
/// Others were faster so often that something must be wrong.
const TRIES: usize = 32;
const RENEWED_AFTER_MS: u64 = 10_000;
const DEAD_AFTER_MS: u64 = 60_000;
