//! An expression as a row of instructions, for the [machine](super::machine) to walk.

use alloc::{format, vec::Vec};

use super::{
    RegexError,
    set::Set,
    syntax::{Assert, Node, Times},
};

/// A larger program costs too much on every byte.
pub(super) const SIZE_MAX: usize = 1024;

/// Where nothing stands that repeats, the size does not bound the time it takes to write it out.
const VISITS_MAX: usize = 16 * SIZE_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A character of that set, then what follows.
    Set(u16),
    Assert(Assert),
    /// The first is preferred.
    Split(u16, u16),
    Jump(u16),
    Match,
}

#[derive(Debug)]
pub(super) struct Program {
    steps: Vec<Step>,
    sets: Vec<Fast>,
    /// What a match may begin with.
    pub(super) first_ascii: u128,
    pub(super) first_wide: bool,
}

/// A set with its ASCII characters at hand.
#[derive(Debug)]
struct Fast {
    ascii: u128,
    set: Set,
}

impl Program {
    pub(super) fn new(tree: &Node) -> Result<Self, RegexError> {
        let program = Self { steps: Vec::new(), sets: Vec::new(), first_ascii: 0, first_wide: false };
        let mut writer = Writer { program, n_visits: 0 };
        writer.node(tree)?;
        writer.push(Step::Match)?;
        let mut program = writer.program;
        program.note_firsts();
        Ok(program)
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn step(&self, at: u16) -> Step {
        self.steps.get(usize::from(at)).copied().unwrap_or(Step::Match)
    }

    pub(super) fn has(&self, set: u16, c: char) -> bool {
        let Some(fast) = self.sets.get(usize::from(set)) else { return false };
        match u8::try_from(c) {
            Ok(byte @ 0..0x80) => fast.ascii >> byte & 1 == 1,
            _ => fast.set.has(c),
        }
    }

    fn note_firsts(&mut self) {
        let (mut seen, mut open) = (Vec::new(), Vec::from([0]));
        while let Some(at) = open.pop() {
            if seen.contains(&at) {
                continue;
            }
            seen.push(at);
            match self.step(at) {
                Step::Set(set) => {
                    let Some(fast) = self.sets.get(usize::from(set)) else { continue };
                    self.first_ascii |= fast.ascii;
                    self.first_wide |= fast.set.is_wide();
                }
                Step::Assert(_) => open.push(at + 1),
                Step::Split(first, second) => open.extend([first, second]),
                Step::Jump(to) => open.push(to),
                Step::Match => {}
            }
        }
    }
}

struct Writer {
    program: Program,
    n_visits: usize,
}

impl Writer {
    fn node(&mut self, node: &Node) -> Result<(), RegexError> {
        self.n_visits += 1;
        if self.n_visits > VISITS_MAX {
            return Err(too_large());
        }
        match node {
            Node::Empty => Ok(()),
            Node::Set(set) => {
                let known = self.program.sets.iter().position(|known| known.set == *set);
                let idx = known.unwrap_or_else(|| {
                    self.program.sets.push(Fast { ascii: set.ascii(), set: set.clone() });
                    self.program.sets.len() - 1
                });
                self.push(Step::Set(idx as u16)).map(drop)
            }
            Node::Assert(assert) => self.push(Step::Assert(*assert)).map(drop),
            Node::Row(nodes) => nodes.iter().try_for_each(|node| self.node(node)),
            Node::Either(branches) => self.either(branches),
            Node::Repeat(node, times) => self.repeat(node, *times),
        }
    }

    fn either(&mut self, branches: &[Node]) -> Result<(), RegexError> {
        let mut ends = Vec::new();
        for (idx, branch) in branches.iter().enumerate() {
            if idx + 1 == branches.len() {
                self.node(branch)?;
                continue;
            }
            let split = self.push(Step::Jump(0))?;
            self.node(branch)?;
            ends.push(self.push(Step::Jump(0))?);
            self.set(split, Step::Split(split + 1, self.here()));
        }
        let here = self.here();
        ends.into_iter().for_each(|end| self.set(end, Step::Jump(here)));
        Ok(())
    }

    fn repeat(&mut self, node: &Node, Times { min, max, is_greedy }: Times) -> Result<(), RegexError> {
        let fork = |inside, outside| match is_greedy {
            true => Step::Split(inside, outside),
            false => Step::Split(outside, inside),
        };
        for _ in 0..min {
            self.node(node)?;
        }
        let Some(max) = max else {
            let split = self.push(Step::Jump(0))?;
            self.node(node)?;
            self.push(Step::Jump(split))?;
            self.set(split, fork(split + 1, self.here()));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Step::Jump(0))?);
            self.node(node)?;
        }
        let here = self.here();
        splits.into_iter().for_each(|split| self.set(split, fork(split + 1, here)));
        Ok(())
    }

    fn here(&self) -> u16 {
        self.program.steps.len() as u16
    }

    fn push(&mut self, step: Step) -> Result<u16, RegexError> {
        if self.program.len() == SIZE_MAX {
            return Err(too_large());
        }
        self.program.steps.push(step);
        Ok(self.here() - 1)
    }

    fn set(&mut self, at: u16, step: Step) {
        if let Some(slot) = self.program.steps.get_mut(usize::from(at)) {
            *slot = step;
        }
    }
}

fn too_large() -> RegexError {
    RegexError(format!("takes more than {SIZE_MAX} steps written out; repeat less often"))
}
