//! Walks a text with all the ways that a program may go at once, so that nothing is ever read twice for one search.
//!
//! A way is where it stands in the program and where its match began. Two ways at the same place have the same future,
//! and the one that is preferred stays: there are never more ways than steps.

use alloc::vec::Vec;
use core::ops::Range;

use super::{
    program::{Program, Step},
    syntax::Assert,
};
use crate::detect::Budget;

/// A longer match is cut here, so that a search that found one does not read on without end.
const MATCH_BYTES_MAX: usize = 768;

/// A step of the machine is cheaper than comparing a word.
const STEPS_PER_WORK: u32 = 4;

/// Passing over a byte that begins nothing is nearly free.
const SKIPS_PER_STEP: usize = 16;

/// Memory for searches, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    now: Ways,
    next: Ways,
    stack: Vec<u16>,
    /// Steps that are not paid for yet.
    owed: u32,
}

#[derive(Debug, Default)]
struct Ways {
    /// The preferred one first.
    list: Vec<(u16, u32)>,
    /// By step: the round in which it was reached last.
    reached: Vec<u32>,
    round: u32,
}

impl Ways {
    fn clear(&mut self, size: usize) {
        self.list.clear();
        if self.round == u32::MAX {
            self.reached.clear();
            self.round = 0;
        }
        self.round += 1;
        if self.reached.len() < size {
            self.reached.resize(size, 0);
        }
    }

    /// Whether a step is reached for the first time.
    fn is_new(&mut self, step: u16) -> bool {
        let Some(round) = self.reached.get_mut(usize::from(step)) else { return false };
        let is_new = *round != self.round;
        *round = self.round;
        is_new
    }
}

/// A place in a text.
#[derive(Clone, Copy)]
struct At<'t> {
    text: &'t str,
    byte: usize,
    /// More text may follow, so that nobody knows what holds at its end.
    may_go_on: bool,
}

impl<'t> At<'t> {
    fn next_char(self) -> Option<char> {
        self.text.get(self.byte..)?.chars().next()
    }

    fn holds(self, assert: Assert) -> bool {
        if self.may_go_on && self.byte == self.text.len() {
            return true;
        }
        let before = || self.text.get(..self.byte).and_then(|before| before.chars().next_back());
        let is_boundary = || before().is_some_and(is_word) != self.next_char().is_some_and(is_word);
        match assert {
            Assert::TextStart => self.byte == 0,
            Assert::TextEnd => self.byte == self.text.len(),
            Assert::LineStart => before().is_none_or(|c| c == '\n'),
            Assert::LineEnd => self.next_char().is_none_or(|c| c == '\n'),
            Assert::Boundary => is_boundary(),
            Assert::NoBoundary => !is_boundary(),
        }
    }

    const fn moved(self, byte: usize) -> Self {
        At { byte, ..self }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Machine {
    /// The first match in a range. When the budget is spent there is none.
    pub(super) fn find(
        &mut self,
        program: &Program,
        text: &str,
        range: Range<usize>,
        budget: &mut Budget,
    ) -> Option<Range<usize>> {
        self.now.clear(program.len());
        let mut found: Option<Range<usize>> = None;
        let mut at = At { text, byte: range.start, may_go_on: false };
        loop {
            if self.now.list.is_empty() {
                if found.is_some() {
                    break;
                }
                let byte = self.skip(program, text, at.byte..range.end);
                at = at.moved(byte);
                // What was reached, and led nowhere, was reached somewhere else.
                self.now.clear(program.len());
            }
            if found.is_none() {
                self.reach(program, 0, at.byte as u32, at);
            }
            if !self.pay(budget) {
                return None;
            }
            let c = at.next_char().filter(|_| at.byte < range.end);
            let next = at.moved(at.byte + c.map_or(0, char::len_utf8));
            if let Some(start) = self.advance(program, c, next) {
                found = Some(start as usize..at.byte);
            }
            if c.is_none() {
                break;
            }
            at = next;
        }
        self.now.list.clear();
        found
    }

    /// Where something begins, in a range, that more text could turn into a match. When the budget is spent, anything
    /// might.
    pub(super) fn open(
        &mut self,
        program: &Program,
        text: &str,
        range: Range<usize>,
        budget: &mut Budget,
    ) -> Option<usize> {
        self.now.clear(program.len());
        let mut at = At { text, byte: range.start, may_go_on: true };
        while let Some(c) = at.next_char() {
            if at.byte <= range.end {
                self.reach(program, 0, at.byte as u32, at);
            }
            at = at.moved(at.byte + c.len_utf8());
            self.advance_all(program, c, at);
            if !self.pay(budget) {
                return Some(range.start);
            }
        }
        let open = self.now.list.iter().filter(|(step, _)| program.step(*step) != Step::Match);
        open.map(|(_, start)| *start as usize).min()
    }

    /// The next place where a match may begin, or the end.
    fn skip(&mut self, program: &Program, text: &str, range: Range<usize>) -> usize {
        let bytes = text.as_bytes().get(range.clone()).unwrap_or_default();
        let begins = |byte: &u8| match byte {
            0..0x80 => program.first_ascii >> byte & 1 == 1,
            0x80..0xc0 => false,
            _ => program.first_wide,
        };
        let skipped = bytes.iter().position(begins).unwrap_or(bytes.len());
        self.owed += (skipped / SKIPS_PER_STEP) as u32;
        range.start + skipped
    }

    fn pay(&mut self, budget: &mut Budget) -> bool {
        /// So many steps are paid for together.
        const STEPS_AT_ONCE: u32 = 64;
        if self.owed < STEPS_AT_ONCE {
            return true;
        }
        let steps = core::mem::take(&mut self.owed);
        budget.spend(steps / STEPS_PER_WORK)
    }

    /// All ways over one character. Answers where a match began that ends before it; what is preferred less is dropped.
    fn advance(&mut self, program: &Program, c: Option<char>, next: At<'_>) -> Option<u32> {
        self.step_ways(program, c, next, true)
    }

    fn advance_all(&mut self, program: &Program, c: char, next: At<'_>) {
        self.step_ways(program, Some(c), next, false);
    }

    fn step_ways(
        &mut self,
        program: &Program,
        c: Option<char>,
        next: At<'_>,
        ends_at_match: bool,
    ) -> Option<u32> {
        let ways = core::mem::take(&mut self.now.list);
        self.next.clear(program.len());
        let mut found = None;
        for (step, start) in &ways {
            self.owed += 1;
            match (program.step(*step), c) {
                (Step::Match, _) if ends_at_match => {
                    found = Some(*start);
                    break;
                }
                (Step::Set(set), Some(c))
                    if next.byte - *start as usize <= MATCH_BYTES_MAX && program.has(set, c) =>
                {
                    self.reach_next(program, step + 1, *start, next);
                }
                _ => {}
            }
        }
        self.now.list = ways;
        core::mem::swap(&mut self.now, &mut self.next);
        found
    }

    fn reach(&mut self, program: &Program, step: u16, start: u32, at: At<'_>) {
        let steps = follow(program, step, start, at, &mut self.now, &mut self.stack);
        self.owed += steps;
    }

    fn reach_next(&mut self, program: &Program, step: u16, start: u32, at: At<'_>) {
        let steps = follow(program, step, start, at, &mut self.next, &mut self.stack);
        self.owed += steps;
    }
}

/// Goes on from a step to all that are reached without a character. Answers how many steps that took.
fn follow(
    program: &Program,
    step: u16,
    start: u32,
    at: At<'_>,
    ways: &mut Ways,
    stack: &mut Vec<u16>,
) -> u32 {
    let mut n_steps = 0;
    stack.push(step);
    while let Some(step) = stack.pop() {
        n_steps += 1;
        if !ways.is_new(step) {
            continue;
        }
        match program.step(step) {
            Step::Set(_) | Step::Match => ways.list.push((step, start)),
            Step::Assert(assert) if at.holds(assert) => stack.push(step + 1),
            Step::Assert(_) => {}
            Step::Split(first, second) => stack.extend([second, first]),
            Step::Jump(to) => stack.push(to),
        }
    }
    n_steps
}
