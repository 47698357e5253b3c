//! Tools whose definition is not the one that was seen before: a server that people have approved can change what it
//! tells the model without telling them.
//!
//! The core keeps nothing from one exchange to the next, so a host lends it a memory ([`ToolMemory`]). What is kept there
//! are numbers that name no tool, in a fixed number of slots of a bounded size.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use sentinel_model::{Channel, Family};

use super::{Contexts, Hit, RuleIdx, RuleInfo};
use crate::{hash, seen::Seen, traffic::Tool};

/// Slots of a [`ToolMemory`]. A value of one has at most 384 bytes.
pub const TOOL_SLOTS: u16 = 4096;

/// Definitions in one slot; the oldest gives way.
const SLOT_RECORDS_MAX: usize = 8;

/// Definitions of one tool, so that one which is never the same twice does not push out the others.
const KNOWN_PER_TOOL_MAX: usize = 4;

const KEY_BYTES: usize = 16;
const RECORD_BYTES: usize = KEY_BYTES + 32;

/// What a host keeps over exchanges, for all of its workers if it can. One that forgets, or that cannot keep anything,
/// costs findings and nothing else.
pub trait ToolMemory: fmt::Debug {
    /// What was remembered last in a slot below [`TOOL_SLOTS`].
    fn recall(&mut self, slot: u16) -> Option<Vec<u8>>;

    fn remember(&mut self, slot: u16, value: &[u8]);
}

pub(crate) fn rule_info() -> RuleInfo {
    RuleInfo {
        id: String::from("injection/tool-drift"),
        version: 1,
        family: Family::Injection,
        level: 2,
        score: 0.6,
    }
}

/// The tools of one server, held against what it said before.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    memory: Option<Box<dyn ToolMemory>>,
    server: [u8; 32],
    /// Definitions that are new, until the body they stand in goes on.
    news: Vec<Record>,
}

type Key = [u8; KEY_BYTES];

/// One definition of one tool of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    key: Key,
    digest: [u8; 32],
}

impl Offers {
    pub(crate) fn keep_in(&mut self, memory: Box<dyn ToolMemory>) {
        self.memory = Some(memory);
    }

    /// Servers behind one host are told apart by their route. The path is left out: some have a session in it.
    pub(crate) fn are_of(&mut self, host: &str, route: &str) {
        self.server = hash::sha256(alloc::format!("{}\n{route}", host.to_ascii_lowercase()).as_bytes());
    }

    pub(crate) const fn can_be_compared(&self) -> bool {
        self.memory.is_some()
    }

    /// Those that have had another definition. What is new is remembered only by [`Offers::settle`].
    pub(crate) fn changed(&mut self, rule: RuleIdx, tools: &[Tool]) -> Vec<Hit> {
        tools.iter().filter(|tool| self.is_changed(tool)).map(|tool| hit(rule, tool)).collect()
    }

    fn is_changed(&mut self, tool: &Tool) -> bool {
        let Some(memory) = &mut self.memory else { return false };
        let record = Record { key: key_of(&self.server, &tool.name), digest: tool.digest };
        let known = recalled(memory.as_mut(), slot_of(&record.key));
        if known.contains(&record) {
            return false;
        }
        self.news.push(record);
        known.iter().any(|other| other.key == record.key)
    }

    /// The body has been decided. What nobody got to see is not known, and so it is found again the next time.
    pub(crate) fn settle(&mut self, goes_on: bool) {
        let news = core::mem::take(&mut self.news);
        let Some(memory) = self.memory.as_mut().filter(|_| goes_on) else { return };
        for record in news {
            let slot = slot_of(&record.key);
            let mut records = recalled(memory.as_mut(), slot);
            if !records.contains(&record) {
                add(&mut records, record);
                memory.remember(slot, &written(&records));
            }
        }
    }
}

/// The definition as a whole; there is no text in it to be masked.
fn hit(rule: RuleIdx, tool: &Tool) -> Hit {
    const NO_SEGMENT: u32 = u32::MAX;
    Hit {
        rule,
        channel: Channel::ToolDefinition,
        segment: NO_SEGMENT,
        seen: Seen::Folded,
        span: tool.span,
        contexts: Contexts::default(),
        score: None,
    }
}

fn key_of(server: &[u8; 32], name: &str) -> Key {
    let mut text = Vec::from(&server[..]);
    text.extend_from_slice(name.as_bytes());
    hash::sha256(&text).first_chunk().copied().unwrap_or_default()
}

fn slot_of(key: &Key) -> u16 {
    let [low, high, ..] = key;
    u16::from_le_bytes([*low, *high]) % TOOL_SLOTS
}

fn add(records: &mut Vec<Record>, record: Record) {
    let same = |other: &Record| other.key == record.key;
    let oldest_of_tool = records.iter().position(same);
    let n_of_tool = records.iter().filter(|other| same(other)).count();
    let gives_way = match (n_of_tool >= KNOWN_PER_TOOL_MAX, records.len() >= SLOT_RECORDS_MAX) {
        (true, _) => oldest_of_tool,
        (false, true) => Some(0),
        (false, false) => None,
    };
    if let Some(idx) = gives_way {
        records.remove(idx);
    }
    records.push(record);
}

/// What is in a slot. A value that somebody else wrote there is no reason to fail.
fn recalled(memory: &mut dyn ToolMemory, slot: u16) -> Vec<Record> {
    let value = memory.recall(slot).unwrap_or_default();
    let (records, _) = value.as_chunks::<RECORD_BYTES>();
    let read = |record: &[u8; RECORD_BYTES]| {
        Some(Record { key: *record.first_chunk()?, digest: *record.last_chunk()? })
    };
    records.iter().take(SLOT_RECORDS_MAX).filter_map(read).collect()
}

fn written(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| record.key.into_iter().chain(record.digest)).collect()
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, format, rc::Rc};
    use core::cell::RefCell;

    use super::*;
    use crate::span::Span;

    #[derive(Clone, Debug, Default)]
    struct Slots(Rc<RefCell<BTreeMap<u16, Vec<u8>>>>);

    impl ToolMemory for Slots {
        fn recall(&mut self, slot: u16) -> Option<Vec<u8>> {
            self.0.borrow().get(&slot).cloned()
        }

        fn remember(&mut self, slot: u16, value: &[u8]) {
            assert!(slot < TOOL_SLOTS && value.len() <= SLOT_RECORDS_MAX * RECORD_BYTES);
            self.0.borrow_mut().insert(slot, value.into());
        }
    }

    fn offers(slots: &Slots, host: &str, route: &str) -> Offers {
        let mut offers = Offers::default();
        offers.are_of(host, route);
        offers.keep_in(Box::new(slots.clone()));
        offers
    }

    fn tool(name: &str, digest: u8) -> Tool {
        Tool { name: name.into(), digest: [digest; 32], span: Span::new(1, 2) }
    }

    /// How many are changed, in a body that goes on.
    fn sees(offers: &mut Offers, tools: &[Tool]) -> usize {
        let changed = offers.changed(RuleIdx(0), tools).len();
        offers.settle(true);
        changed
    }

    #[test]
    fn a_change_is_seen_once_and_a_way_back_is_no_change() {
        let slots = Slots::default();
        let mut offers = offers(&slots, "a.example", "mcp");
        let n: Vec<usize> = [1, 1, 2, 2, 1, 3].map(|digest| sees(&mut offers, &[tool("add", digest)])).into();
        assert_eq!(n, [0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn other_names_hosts_and_routes_are_other_tools() {
        let slots = Slots::default();
        assert_eq!(sees(&mut offers(&slots, "a.example", "mcp"), &[tool("add", 1)]), 0);
        assert_eq!(sees(&mut offers(&slots, "a.example", "mcp"), &[tool("sub", 2)]), 0);
        assert_eq!(sees(&mut offers(&slots, "b.example", "mcp"), &[tool("add", 2)]), 0);
        assert_eq!(sees(&mut offers(&slots, "a.example", "other"), &[tool("add", 2)]), 0);
        assert_eq!(sees(&mut offers(&slots, "A.EXAMPLE", "mcp"), &[tool("add", 2)]), 1);
    }

    #[test]
    fn what_is_refused_stays_a_change() {
        let slots = Slots::default();
        let mut offers = offers(&slots, "a.example", "mcp");
        sees(&mut offers, &[tool("add", 1)]);
        for _ in 0..2 {
            assert_eq!(offers.changed(RuleIdx(0), &[tool("add", 2)]).len(), 1);
            offers.settle(false);
        }
    }

    #[test]
    fn a_tool_that_always_changes_pushes_out_no_other() {
        let mut records = Vec::new();
        let record = |key, digest| Record { key: [key; KEY_BYTES], digest: [digest; 32] };
        add(&mut records, record(1, 0));
        (0..100).for_each(|digest| add(&mut records, record(2, digest)));
        assert!(records.contains(&record(1, 0)) && records.contains(&record(2, 99)));
        assert_eq!(records.len(), 1 + KNOWN_PER_TOOL_MAX);
        (3..20).for_each(|key| add(&mut records, record(key, 0)));
        assert_eq!(records.len(), SLOT_RECORDS_MAX);
    }

    #[test]
    fn memory_is_bounded_and_an_odd_value_in_it_does_no_harm() {
        let slots = Slots::default();
        let mut offers = offers(&slots, "a.example", "mcp");
        for slot in 0..TOOL_SLOTS {
            slots.clone().remember(slot, b"not ours");
        }
        for n in 0..2000 {
            sees(&mut offers, &[tool(&format!("t{n}"), 1)]);
        }
        assert_eq!(slots.0.borrow().len(), usize::from(TOOL_SLOTS));
        assert_eq!(sees(&mut Offers::default(), &[tool("add", 1)]), 0);
    }
}
