//! Events that wait for the collector, in the order of their numbers, and what happens when there is no room for one more.

use std::collections::VecDeque;

use sentinel_core::{config::OnFull, event::EVENT_BYTES_MAX};

/// Whatever is configured, waiting events take no more memory than this.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Default)]
pub struct Queue {
    list: VecDeque<Waiting>,
    bytes: usize,
    /// How many of them are about exchanges that nothing was done about.
    plain: usize,
}

#[derive(Debug)]
pub struct Waiting {
    pub seq: u64,
    pub json: Vec<u8>,
    /// Nothing was done about the exchange.
    pub is_plain: bool,
}

/// What gave way to an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct GaveWay {
    pub dropped: usize,
    /// Left out by [`OnFull::Sample`].
    pub sampled: usize,
}

impl Queue {
    /// `chance` is asked for where one of several has to go.
    pub fn push(
        &mut self,
        event: Waiting,
        on_full: OnFull,
        events_max: usize,
        mut chance: impl FnMut() -> u32,
    ) -> GaveWay {
        self.bytes += event.json.len();
        self.plain += usize::from(event.is_plain);
        self.list.push_back(event);
        // What is under way when the buffer of a proxy that blocks fills up is still worth its event.
        let events_max = if on_full == OnFull::Block { usize::MAX } else { events_max };
        let mut gave_way = GaveWay::default();
        while self.list.len() > events_max || self.bytes > QUEUE_BYTES_MAX {
            if on_full == OnFull::Sample && self.plain > 0 {
                self.drop_plain(chance());
                gave_way.sampled += 1;
            } else {
                self.pop();
                gave_way.dropped += 1;
            }
        }
        gave_way
    }

    pub fn is_full(&self, events_max: usize) -> bool {
        self.list.len() >= events_max || self.bytes + EVENT_BYTES_MAX > QUEUE_BYTES_MAX
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.list.iter()
    }

    /// Everything up to a number is done with; answers how many events that were.
    pub fn settle(&mut self, last_seq: u64) -> usize {
        let before = self.list.len();
        while self.list.front().is_some_and(|event| event.seq <= last_seq) {
            self.pop();
        }
        before - self.list.len()
    }

    /// The first one behind a place that chance chooses.
    fn drop_plain(&mut self, chance: u32) {
        let start = chance as usize % self.list.len().max(1);
        let at =
            |from: usize| self.list.iter().skip(from).position(|event| event.is_plain).map(|at| from + at);
        if let Some(event) = at(start).or_else(|| at(0)).and_then(|at| self.list.remove(at)) {
            self.forget(&event);
        }
    }

    fn pop(&mut self) {
        if let Some(event) = self.list.pop_front() {
            self.forget(&event);
        }
    }

    fn forget(&mut self, event: &Waiting) {
        self.bytes = self.bytes.saturating_sub(event.json.len());
        self.plain = self.plain.saturating_sub(usize::from(event.is_plain));
    }
}
