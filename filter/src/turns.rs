//! What is left to do for streams whose bodies are still being judged: a turn at a time, with the proxy's other connections
//! in between, and one stream at a time however many wait.
//!
//! A shared queue of this VM's own is how it asks the proxy to be called again: what is put into it comes back as soon
//! as the proxy has seen to its other events. Nobody waits for a timer.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use sentinel_core::{Direction, Opinion, Question, Time};

use crate::{
    host::{self, HostResult},
    http::Stream,
    vm,
};

/// A callout may be lost by its host without an answer; past its deadline and this, nobody waits for it any more.
const ANSWER_GRACE: Duration = Duration::from_millis(20);

pub(crate) struct Turns {
    /// `None` on hosts that cannot call back; there everything is done at once.
    queue: Option<u32>,
    waiting: VecDeque<Turn>,
    /// The host is going to call.
    is_called: bool,
    asked: Vec<Asked>,
}

pub(crate) struct Turn {
    pub(crate) context_id: u32,
    pub(crate) direction: Direction,
    pub(crate) stream: Rc<RefCell<Stream>>,
    pub(crate) wish: Wish,
}

/// What a stream wants of its next turn.
#[derive(Debug)]
pub(crate) enum Wish {
    GoOn,
    Ask(Question),
}

/// A question under way.
struct Asked {
    token: u32,
    deadline: Time,
    turn: Turn,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { queue: None, waiting: VecDeque::new(), is_called: false, asked: Vec::new() }
    }

    /// Called by each root context: the host calls the one that asked last.
    pub(crate) fn register(&mut self, vm_name: &str) {
        self.queue = host::register_queue(&format!("sentinel.turns/{vm_name}")).ok();
    }

    pub(crate) const fn can_wait(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn push(&mut self, turn: Turn) {
        self.waiting.push_back(turn);
        self.call();
    }

    fn call(&mut self) {
        if let Some(queue) = self.queue.filter(|_| !self.is_called && !self.waiting.is_empty()) {
            // A host that fails here is asked again by the next tick.
            self.is_called = host::enqueue(queue).is_ok();
        }
    }

    fn next(&mut self) -> Option<Turn> {
        if let Some(queue) = self.queue {
            host::dequeue(queue);
        }
        self.is_called = false;
        self.waiting.pop_front()
    }

    fn answered(&mut self, token: u32) -> Option<Turn> {
        let at = self.asked.iter().position(|asked| asked.token == token)?;
        Some(self.asked.swap_remove(at).turn)
    }

    fn overdue(&mut self, now: Time) -> Option<Turn> {
        let at = self.asked.iter().position(|asked| asked.deadline < now)?;
        Some(self.asked.swap_remove(at).turn)
    }
}

/// The host has called: one stream has its turn.
pub(crate) fn run_next(root_id: u32) {
    let turn = vm::with(|vm| vm.turns.next());
    if turn.is_none_or(|turn| run(turn, root_id).is_ok()) {
        vm::with(|vm| vm.turns.call());
    }
}

/// What the host should have called for long ago, and questions that nobody answered.
pub(crate) fn tick(root_id: u32) {
    let now = host::now();
    while let Some(turn) = vm::with(|vm| vm.turns.overdue(now)) {
        answer(&turn, root_id, None);
    }
    if vm::with(|vm| vm.turns.waiting.len()) > 0 {
        run_next(root_id);
    }
}

/// The answer to a callout, if it was a question of a stream.
pub(crate) fn answered(token: u32, root_id: u32, opinions: impl FnOnce() -> Option<Vec<Opinion>>) -> bool {
    let Some(turn) = vm::with(|vm| vm.turns.answered(token)) else { return false };
    answer(&turn, root_id, opinions());
    true
}

/// An error: the host did not let us choose the stream. It stays in the list for the next tick.
fn run(turn: Turn, root_id: u32) -> HostResult<()> {
    match &turn.wish {
        Wish::GoOn => match in_stream(&turn, root_id, |stream| stream.go_on(turn.direction)) {
            Ok(Some(wish)) => vm::with(|vm| vm.turns.push(Turn { wish, ..turn })),
            Ok(None) => {}
            Err(error) => {
                vm::with(|vm| vm.turns.waiting.push_back(turn));
                return Err(error);
            }
        },
        Wish::Ask(question) => match ask(&turn, question) {
            Ok((token, deadline)) => vm::with(|vm| vm.turns.asked.push(Asked { token, deadline, turn })),
            Err(_) => answer(&turn, root_id, None),
        },
    }
    Ok(())
}

fn answer(turn: &Turn, root_id: u32, opinions: Option<Vec<Opinion>>) {
    // Where this fails, the stream hangs until its client goes: nothing that was not judged goes on.
    let _ = in_stream(turn, root_id, |stream| stream.answer(turn.direction, opinions));
}

/// Runs `f` with the stream as the context of host calls. A stream that is over has nothing left to do.
fn in_stream(
    turn: &Turn,
    root_id: u32,
    f: impl FnOnce(&mut Stream) -> Option<Wish>,
) -> HostResult<Option<Wish>> {
    if turn.stream.borrow().is_over() {
        return Ok(None);
    }
    host::in_context(turn.context_id, root_id, || f(&mut turn.stream.borrow_mut()))
}

/// Made in the root context, where the answer comes, too.
fn ask(turn: &Turn, question: &Question) -> HostResult<(u32, Time)> {
    let timeout = Duration::from_millis(question.deadline_ms.into());
    let token = turn.stream.borrow().ask(question, timeout)?;
    let nanos = u64::try_from((timeout + ANSWER_GRACE).as_nanos()).unwrap_or(u64::MAX);
    Ok((token, Time(host::now().0.saturating_add(nanos))))
}

/// Whether somebody waits for an answer, so that ticks have to come often.
pub(crate) fn has_questions() -> bool {
    vm::with(|vm| !vm.turns.asked.is_empty())
}
