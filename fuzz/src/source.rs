//! Choices made from the fuzzer's bytes. When they run out every choice is the first one, so a short input is a
//! simple one.

use crate::drive::{Cuts, Ending};

/// Stands between a body and the choices about it. No text has this byte, so a seed that is only text has default
/// choices, and a body with this byte still works: the last one counts.
const CHOICES_FOLLOW: u8 = 0xff;

#[derive(Clone, Debug)]
pub struct Source<'a> {
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    pub const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// A body, and a source of choices from what follows it.
    pub fn after_body(data: &'a [u8]) -> (&'a [u8], Self) {
        match data.iter().rposition(|byte| *byte == CHOICES_FOLLOW) {
            Some(at) => (&data[..at], Self::new(&data[at + 1..])),
            None => (data, Self::new(b"")),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.rest.split_first().unwrap_or((&0, b""));
        self.rest = rest;
        *first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        let value = match n {
            0..=256 => usize::from(self.byte()),
            _ => usize::from(self.byte()) << 8 | usize::from(self.byte()),
        };
        value.checked_rem(n).unwrap_or(0)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// At most `max` bytes, less than 256 of them.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let len = self.below(max + 1).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    pub fn text(&mut self, max: usize) -> String {
        String::from_utf8_lossy(self.bytes(max)).into_owned()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub fn cuts(&mut self) -> Cuts {
        match self.byte() {
            0 => Cuts::Every(7),
            n @ 1..=15 => Cuts::Every(usize::from(n)),
            n => Cuts::At((0..n % 8).map(|_| self.below(usize::from(u16::MAX))).collect()),
        }
    }

    pub fn ending(&mut self) -> Ending {
        self.pick(&[Ending::Alone, Ending::WithLast, Ending::Trailers])
    }
}
