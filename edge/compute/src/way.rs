//! One direction of an exchange: feeds the guard what comes, and applies the steps that it answers with. It decides nothing.

use fastly::http::{HeaderName, HeaderValue};
use sentinel_core::{Body, Direction, HeaderEdit, Reply, Step, Steps};
use sentinel_guard::{Guard, Passage};

use crate::{calls, clock};

#[derive(Debug)]
pub(crate) struct Way {
    direction: Direction,
    /// Bytes that came and were neither released nor replaced.
    held: Vec<u8>,
    /// Bytes that may go on.
    ready: Vec<u8>,
    edits: Vec<HeaderEdit>,
    /// Headers may go on.
    pub(crate) has_gone: bool,
    /// What was released is the last of it.
    pub(crate) has_ended: bool,
    /// An answer of ours, instead of all that.
    pub(crate) reply: Option<Reply>,
}

impl Way {
    pub(crate) fn new(direction: Direction) -> Self {
        let (held, ready, edits) = (Vec::new(), Vec::new(), Vec::new());
        Self { direction, held, ready, edits, has_gone: false, has_ended: false, reply: None }
    }

    /// A chunk came. Bytes that nobody reads are only counted.
    pub(crate) fn feed(&mut self, guard: &mut Guard, passage: &mut Passage, chunk: &[u8], end: bool) {
        if self.held.is_empty() && !passage.reads(self.direction) {
            passage.passed(self.direction, chunk.len(), clock::now());
            self.ready.extend_from_slice(chunk);
            return;
        }
        self.held.extend_from_slice(chunk);
        let mut steps = Steps::new();
        guard.body(passage, self.direction, chunk, end, clock::now(), &mut steps);
        self.apply(guard, passage, steps);
    }

    pub(crate) fn end(&mut self, guard: &mut Guard, passage: &mut Passage) {
        self.feed(guard, passage, &[], true);
    }

    /// An instance has one exchange at a time, so a turn that is left to others comes at once.
    pub(crate) fn apply(&mut self, guard: &mut Guard, passage: &mut Passage, mut steps: Steps) {
        while !steps.is_empty() {
            let mut next = Steps::new();
            for step in steps {
                match step {
                    // What shares of limits are wanted, the guard has taken.
                    Step::Hold | Step::Lease(_) => {}
                    Step::Later => guard.go_on(passage, self.direction, clock::now(), &mut next),
                    Step::Ask(question) => {
                        let call = guard.ask(passage, &question, clock::now());
                        let body = call.and_then(calls::ask);
                        guard.answer(passage, self.direction, body.as_deref(), clock::now(), &mut next);
                    }
                    Step::Headers(edits) => self.edits.extend(edits),
                    Step::Release(body) => self.release(body),
                    Step::End => self.has_ended = true,
                    Step::Reply(reply) => self.reply = Some(reply),
                }
            }
            steps = next;
        }
    }

    fn release(&mut self, body: Body) {
        match body {
            Body::AsReceived => self.ready.append(&mut self.held),
            Body::Replaced(bytes) => {
                self.held.clear();
                self.ready.extend(bytes);
            }
        }
        self.has_gone = true;
    }

    /// Takes everything that may go on by now.
    pub(crate) fn take_ready(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    /// Changes of headers in their order: `Some` sets one, `None` takes it away.
    pub(crate) fn take_edits(&mut self) -> impl Iterator<Item = (HeaderName, Option<HeaderValue>)> {
        std::mem::take(&mut self.edits).into_iter().filter_map(|edit| match edit {
            HeaderEdit::Set(name, value) => {
                Some((HeaderName::try_from(&*name).ok()?, Some(HeaderValue::try_from(value).ok()?)))
            }
            HeaderEdit::Remove(name) => Some((HeaderName::try_from(&*name).ok()?, None)),
        })
    }
}
