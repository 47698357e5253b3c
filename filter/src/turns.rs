//! What is left to do for streams whose bodies are still being judged: a turn at a time, with the proxy's other connections
//! in between, and one stream at a time however many wait.
//!
//! The shortest timer is how it asks the proxy to be called again. A shared queue would come back sooner, but Envoy
//! empties it before it looks at its sockets again, so that nobody else would have had a turn.
//!
//! Each root context has a timer and turns of its own: after a change of the configuration the old root finishes its
//! streams beside the new one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use sentinel_adapter::{alarm::Alarm, breakers::Kind};
use sentinel_core::{Direction, Opinion, Question, Time, guard::breaker::Permit};

use crate::{
    host::{self, HostResult},
    http::Stream,
    vm,
};

/// A callout may be lost by its host without an answer; past its deadline and this, nobody waits for it any more.
const ANSWER_GRACE: Duration = Duration::from_millis(20);
/// How soon a question that its host has lost counts as unanswered.
const QUESTION_PERIOD: Duration = Duration::from_millis(50);
/// More are not open at a time in one VM.
const QUESTIONS_MAX: usize = 256;

pub(crate) struct Turns {
    /// False on hosts that do not call back; there everything is done at once.
    has_timer: bool,
    /// Of the roots that are there.
    roots: BTreeMap<u32, OfRoot>,
}

#[derive(Default)]
struct OfRoot {
    waiting: VecDeque<Turn>,
    /// The timer is set to [`TURN_PERIOD`].
    is_soon: bool,
    asked: Vec<Asked>,
}

/// From one turn to the next.
pub(crate) const TURN_PERIOD: Duration = Duration::from_millis(1);

pub(crate) struct Turn {
    pub(crate) root_id: u32,
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
    permit: Permit,
    deadline: Alarm,
    turn: Turn,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self { has_timer: false, roots: BTreeMap::new() }
    }

    pub(crate) const fn timer_works(&mut self, works: bool) {
        self.has_timer = works;
    }

    pub(crate) const fn can_wait(&self) -> bool {
        self.has_timer
    }

    pub(crate) fn root_began(&mut self, root_id: u32) {
        self.roots.entry(root_id).or_default();
    }

    /// A root goes after its streams. Should one be left all the same, another root does what it waits for. False: there is
    /// no other.
    pub(crate) fn root_ended(&mut self, root_id: u32) -> bool {
        let mut left = self.roots.remove(&root_id).unwrap_or_default();
        let Some((other_id, other)) = self.roots.iter_mut().next() else { return false };
        let turns = left.waiting.iter_mut().chain(left.asked.iter_mut().map(|asked| &mut asked.turn));
        turns.for_each(|turn| turn.root_id = *other_id);
        other.waiting.append(&mut left.waiting);
        other.asked.append(&mut left.asked);
        true
    }

    /// Called in a context of the root that the turn belongs to.
    pub(crate) fn push(&mut self, turn: Turn) {
        let root_id = turn.root_id;
        self.roots.entry(root_id).or_default().waiting.push_back(turn);
        self.wake(root_id);
    }

    /// For what only the root context can do, and what cannot wait for the next round of housekeeping.
    pub(crate) fn wake(&mut self, root_id: u32) {
        let root = self.roots.entry(root_id).or_default();
        if !root.is_soon {
            // Where this fails, the next tick comes all the same, only later.
            root.is_soon = host::set_tick_period(TURN_PERIOD).is_ok();
        }
    }

    /// How soon the next tick of this root is wanted, if anybody waits for it.
    pub(crate) fn period(&self, root_id: u32) -> Option<Duration> {
        let root = self.roots.get(&root_id)?;
        match (root.waiting.is_empty(), root.asked.is_empty()) {
            (false, _) => Some(TURN_PERIOD),
            (true, false) => Some(QUESTION_PERIOD),
            (true, true) => None,
        }
    }

    /// Whether the timer of this root is set for the sake of streams.
    pub(crate) fn is_soon(&self, root_id: u32) -> bool {
        self.roots.get(&root_id).is_some_and(|root| root.is_soon)
    }

    /// The same; whoever asks is about to set it anew.
    pub(crate) fn was_soon(&mut self, root_id: u32, is_soon: bool) -> bool {
        let root = self.roots.entry(root_id).or_default();
        std::mem::replace(&mut root.is_soon, is_soon)
    }

    fn next(&mut self, root_id: u32) -> Option<Turn> {
        self.roots.get_mut(&root_id)?.waiting.pop_front()
    }

    fn answered(&mut self, token: u32, root_id: u32) -> Option<Asked> {
        let asked = &mut self.roots.get_mut(&root_id)?.asked;
        let at = asked.iter().position(|asked| asked.token == token)?;
        Some(asked.swap_remove(at))
    }

    fn overdue(&mut self, root_id: u32, now: Time) -> Option<Asked> {
        let asked = &mut self.roots.get_mut(&root_id)?.asked;
        let at = asked.iter_mut().position(|asked| asked.deadline.is_due(now))?;
        Some(asked.swap_remove(at))
    }

    fn questions(&self) -> usize {
        self.roots.values().map(|root| root.asked.len()).sum()
    }
}

/// One stream has its turn; and questions that nobody answered are given up.
pub(crate) fn tick(root_id: u32) {
    let now = host::now();
    while let Some(asked) = vm::with(|vm| vm.turns.overdue(root_id, now)) {
        vm::with(|vm| vm.breakers.answered(Kind::Opinions, asked.permit, false, now, vm::chance()));
        answer(&asked.turn, root_id, None);
    }
    if let Some(turn) = vm::with(|vm| vm.turns.next(root_id)) {
        run(turn, root_id);
    }
}

/// The answer to a callout, if it was a question of a stream.
pub(crate) fn answered(token: u32, root_id: u32, opinions: impl FnOnce() -> Option<Vec<Opinion>>) -> bool {
    let Some(asked) = vm::with(|vm| vm.turns.answered(token, root_id)) else { return false };
    let opinions = opinions();
    let is_answer = opinions.is_some();
    vm::with(|vm| {
        vm.breakers.answered(Kind::Opinions, asked.permit, is_answer, host::now(), vm::chance());
    });
    answer(&asked.turn, root_id, opinions);
    true
}

fn run(turn: Turn, root_id: u32) {
    match &turn.wish {
        Wish::GoOn => {
            match in_stream(&turn, root_id, |stream| stream.timed(|stream| stream.go_on(turn.direction))) {
                Ok(Some(wish)) => vm::with(|vm| vm.turns.push(Turn { wish, ..turn })),
                Ok(None) => {}
                // The next tick tries again.
                Err(_) => vm::with(|vm| vm.turns.push(turn)),
            }
        }
        Wish::Ask(question) => match ask(&turn, question) {
            Some(call) => vm::with(|vm| {
                let Call { token, permit, deadline } = call;
                let root = vm.turns.roots.entry(root_id).or_default();
                root.asked.push(Asked { token, permit, deadline, turn });
            }),
            None => answer(&turn, root_id, None),
        },
    }
}

fn answer(turn: &Turn, root_id: u32, opinions: Option<Vec<Opinion>>) {
    // Where this fails, the stream hangs until its client goes: nothing that was not judged goes on.
    let _ = in_stream(turn, root_id, |stream| stream.timed(|stream| stream.answer(turn.direction, opinions)));
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

struct Call {
    token: u32,
    permit: Permit,
    deadline: Alarm,
}

/// Made in the root context, where the answer comes, too. Nobody is asked while the collector gives no opinions, or while so
/// many questions are open that it would not answer this one in time, either.
fn ask(turn: &Turn, question: &Question) -> Option<Call> {
    let now = host::now();
    let permit = vm::with(|vm| {
        let has_room = vm.turns.questions() < QUESTIONS_MAX;
        if has_room { vm.breakers.ask(Kind::Opinions, now, vm::chance()) } else { None }
    })?;
    let timeout = Duration::from_millis(question.deadline_ms.into());
    match turn.stream.borrow().ask(question, timeout) {
        Ok(token) => Some(Call { token, permit, deadline: Alarm::after(now, timeout + ANSWER_GRACE) }),
        Err(_) => {
            vm::with(|vm| vm.breakers.answered(Kind::Opinions, permit, false, now, vm::chance()));
            None
        }
    }
}
