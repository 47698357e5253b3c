//! What the host remembers: the shared half outlives a VM, the rest belongs to the current VM or exchange.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use wasmtime::{Memory, TypedFunc};

use super::callouts::Callouts;
use super::faults::Faults;
use super::metrics::Metrics;
use super::stream::Stream;
use crate::wire::Headers;

/// One line that the filter logged, or wrote to its standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl LogLevel {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical]
            .get(number as usize)
            .copied()
    }
}

/// The data of the wasmtime store.
pub(crate) struct HostState {
    // Of the current VM.
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,
    pub(crate) root_id: u32,
    pub(crate) effective: u32,
    /// Of each root context that is there.
    pub(crate) tick_periods_ms: BTreeMap<u32, u32>,
    // Of the current callback.
    pub(crate) stream: Option<Stream>,
    pub(crate) configuration: Option<Vec<u8>>,
    pub(crate) call_answer: Option<CallAnswer>,
    // Of the host.
    pub(crate) vm_id: String,
    pub(crate) vm_config: Vec<u8>,
    pub(crate) properties: Vec<(Vec<String>, Vec<u8>)>,
    pub(crate) clock_ns: u64,
    pub(crate) random: u64,
    pub(crate) next_context_id: u32,
    pub(crate) shared_data: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(crate) next_cas: u32,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) callouts: Callouts,
    pub(crate) faults: Faults,
    pub(crate) logs: Vec<LogLine>,
}

/// The answer to a callout, while the filter's callback for it runs.
#[derive(Debug, Default)]
pub(crate) struct CallAnswer {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    names: Vec<(String, Vec<u8>)>,
    items: BTreeMap<u32, VecDeque<Vec<u8>>>,
    pub(crate) registered: BTreeSet<u32>,
    pub(crate) ready: BTreeSet<u32>,
}

impl HostState {
    /// The current stream, where the callback that runs (or the context it chose) is that stream's.
    pub(crate) fn own_stream(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut().filter(|stream| stream.id == self.effective)
    }

    /// The root context that a call of the filter belongs to: streams are of the current one.
    pub(crate) fn effective_root(&self) -> u32 {
        match self.tick_periods_ms.contains_key(&self.effective) {
            true => self.effective,
            false => self.root_id,
        }
    }

    /// A new VM starts with empty memory; what is shared stays.
    pub(crate) fn forget_vm(&mut self) {
        self.memory = None;
        self.allocate = None;
        self.stream = None;
        self.configuration = None;
        self.call_answer = None;
        self.tick_periods_ms.clear();
        self.metrics.forget_ids();
        self.callouts.forget_pending();
        self.queues.registered.clear();
        self.queues.ready.clear();
    }

    /// SplitMix64: every random byte that the filter gets follows from the seed.
    pub(crate) fn random_u64(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl fmt::Debug for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostState")
            .field("root_id", &self.root_id)
            .field("clock_ns", &self.clock_ns)
            .field("stream", &self.stream)
            .field("callouts", &self.callouts)
            .finish_non_exhaustive()
    }
}

impl Queues {
    pub(crate) fn register(&mut self, vm_id: &str, name: &[u8]) -> u32 {
        let id = self.resolve(vm_id, name).unwrap_or_else(|| {
            self.names.push((vm_id.to_owned(), name.to_vec()));
            u32::try_from(self.names.len()).unwrap_or(u32::MAX)
        });
        self.items.entry(id).or_default();
        self.registered.insert(id);
        id
    }

    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let idx = self.names.iter().position(|(vm, queue)| vm == vm_id && queue == name)?;
        u32::try_from(idx + 1).ok()
    }

    pub(crate) fn enqueue(&mut self, id: u32, item: Vec<u8>) -> Option<()> {
        self.items.get_mut(&id)?.push_back(item);
        self.ready.insert(id);
        Some(())
    }

    /// None: no such queue. `Some(None)`: it is empty.
    pub(crate) fn dequeue(&mut self, id: u32) -> Option<Option<Vec<u8>>> {
        Some(self.items.get_mut(&id)?.pop_front())
    }
}
