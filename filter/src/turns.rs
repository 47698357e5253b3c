//! What is left to do for streams whose bodies are still being judged: a turn at a time, with the proxy's other connections
//! in between, and one stream at a time however many wait.
//!
//! The shortest timer is how it asks the proxy to be called again. A shared queue would come back sooner, but Envoy
//! empties it before it looks at its sockets again, so that nobody else would have had a turn.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use sentinel_core::{Direction, Opinion, Question, Time};

use crate::{
    host::{self, HostResult},
    http::Stream,
    vm,
};

/// A callout may be lost by its host without an answer; past its deadline and this, nobody waits for it any more.
const ANSWER_GRACE: Duration = Duration::from_millis(20);
/// How soon a question that its host has lost counts as unanswered.
const QUESTION_PERIOD: Duration = Duration::from_millis(50);

pub(crate) struct Turns {
    /// False on hosts that do not call back; there everything is done at once.
    has_timer: bool,
    waiting: VecDeque<Turn>,
    /// The timer is set to [`TURN_PERIOD`].
    is_soon: bool,
    asked: Vec<Asked>,
}

/// From one turn to the next.
pub(crate) const TURN_PERIOD: Duration = Duration::from_millis(1);

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
        Self { has_timer: false, waiting: VecDeque::new(), is_soon: false, asked: Vec::new() }
    }

    pub(crate) const fn timer_works(&mut self, works: bool) {
        self.has_timer = works;
    }

    pub(crate) const fn can_wait(&self) -> bool {
        self.has_timer
    }

    pub(crate) fn push(&mut self, turn: Turn) {
        self.waiting.push_back(turn);
        if !self.is_soon {
            // Where this fails, the next tick comes all the same, only later.
            self.is_soon = host::set_tick_period(TURN_PERIOD).is_ok();
        }
    }

    /// How soon the next tick is wanted, if anybody waits for it.
    pub(crate) fn period(&self) -> Option<Duration> {
        match (self.waiting.is_empty(), self.asked.is_empty()) {
            (false, _) => Some(TURN_PERIOD),
            (true, false) => Some(QUESTION_PERIOD),
            (true, true) => None,
        }
    }

    /// Whether the timer is set for the sake of streams.
    pub(crate) const fn is_soon(&self) -> bool {
        self.is_soon
    }

    /// The same; whoever asks is about to set it anew.
    pub(crate) fn was_soon(&mut self, is_soon: bool) -> bool {
        std::mem::replace(&mut self.is_soon, is_soon)
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

/// One stream has its turn; and questions that nobody answered are given up.
pub(crate) fn tick(root_id: u32) {
    let now = host::now();
    while let Some(turn) = vm::with(|vm| vm.turns.overdue(now)) {
        answer(&turn, root_id, None);
    }
    if let Some(turn) = vm::with(|vm| vm.turns.waiting.pop_front()) {
        run(turn, root_id);
    }
}

/// The answer to a callout, if it was a question of a stream.
pub(crate) fn answered(token: u32, root_id: u32, opinions: impl FnOnce() -> Option<Vec<Opinion>>) -> bool {
    let Some(turn) = vm::with(|vm| vm.turns.answered(token)) else { return false };
    answer(&turn, root_id, opinions());
    true
}

fn run(turn: Turn, root_id: u32) {
    match &turn.wish {
        Wish::GoOn => match in_stream(&turn, root_id, |stream| stream.go_on(turn.direction)) {
            Ok(Some(wish)) => vm::with(|vm| vm.turns.push(Turn { wish, ..turn })),
            Ok(None) => {}
            // The next tick tries again.
            Err(_) => vm::with(|vm| vm.turns.waiting.push_back(turn)),
        },
        Wish::Ask(question) => match ask(&turn, question) {
            Ok((token, deadline)) => vm::with(|vm| vm.turns.asked.push(Asked { token, deadline, turn })),
            Err(_) => answer(&turn, root_id, None),
        },
    }
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
