//! `br` (RFC 7932).

use alloc::{boxed::Box, vec, vec::Vec};
use core::fmt;

use brotli_decompressor::{
    Allocator, BrotliDecoderTakeOutput, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper,
    SliceWrapperMut,
};

use super::{InflateError, Sink};

type State = BrotliState<Heap, Heap, Heap>;

pub(super) struct Brotli {
    limit: usize,
    trees_max: usize,
    stage: Stage,
}

enum Stage {
    Start,
    Inside(Box<State>),
    Over,
}

impl Brotli {
    pub(super) const fn new(limit: usize, trees_max: usize) -> Self {
        Self { limit, trees_max, stage: Stage::Start }
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    pub(super) fn push(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        if matches!(self.stage, Stage::Start) {
            let Some(&first) = input.split_off_first() else { return Ok(()) };
            // Strict: without the "large window" that is not part of RFC 7932.
            // The library asks for a `u32` per tree, and for no other.
            let trees = Heap::new(self.trees_max);
            let state = State::new_strict(Heap::new(usize::MAX), trees, Heap::new(usize::MAX));
            self.stage = Stage::Inside(Box::new(state));
            self.feed(&[narrowed(first, self.limit)], sink)?;
        }
        self.feed(input, sink)
    }

    fn feed(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        if input.is_empty() {
            return Ok(());
        }
        let Stage::Inside(state) = &mut self.stage else { return Err(InflateError::Malformed) };
        let (mut left, mut at) = (input.len(), 0);
        loop {
            let result =
                BrotliDecompressStream(&mut left, &mut at, input, &mut 0, &mut 0, &mut [], &mut 0, state);
            let written = write_decoded(state, sink)?;
            match result {
                BrotliResult::ResultSuccess => break,
                BrotliResult::NeedsMoreInput if left == 0 => return Ok(()),
                BrotliResult::NeedsMoreOutput if written => {}
                _ => {
                    let exhausted = state.alloc_u32.exhausted;
                    let error = if exhausted { InflateError::TooLarge } else { InflateError::Malformed };
                    return write_rest(state, sink).and(Err(error));
                }
            }
        }
        self.stage = Stage::Over;
        if left == 0 { Ok(()) } else { Err(InflateError::Malformed) }
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The first byte of a stream, with a window no larger than a text of `limit` bytes can make use of.
///
/// The window matters only to a text that is longer than it, so up to the limit the stream decodes to the same, and
/// a few bytes cannot ask for 16 MiB. Windows of 256 KiB and more are 1 and three bits, windows below have other forms.
fn narrowed(first: u8, limit: usize) -> u8 {
    const WINDOW: u8 = 0b1110;
    let asked = first & WINDOW;
    if first & 1 == 0 || asked == 0 {
        return first;
    }
    // A window of 2ⁿ bytes reaches back 2ⁿ - 16.
    let useful = (1_u8..7).find(|n| (1_usize << (17 + n)) - 16 >= limit).unwrap_or(7) << 1;
    first & !WINDOW | asked.min(useful)
}

/// Whether there was anything.
fn write_decoded(state: &mut State, sink: &mut Sink<'_>) -> Result<bool, InflateError> {
    let mut any = false;
    loop {
        let decoded = BrotliDecoderTakeOutput(state, &mut 0);
        if decoded.is_empty() {
            return Ok(any);
        }
        any = true;
        sink.write(decoded)?;
    }
}

/// Writes what was decoded before an error. The library keeps it back then, although it would have given it out had
/// the input been cut there.
///
/// Literals that run over the end of their block are an error that it meets at their first one where the input is cut
/// among them, and else behind the last. So nothing of the overrun is written, and whether the block would have gone
/// over the limit decides the error, but of the literals in the block more or fewer may have been written.
fn write_rest(state: &State, sink: &mut Sink<'_>) -> Result<(), InflateError> {
    let rest = rest(state).unwrap_or_default();
    if state.meta_block_remaining_len >= 0 {
        return sink.write(rest);
    }
    let overrun = state.meta_block_remaining_len.unsigned_abs() as usize;
    let to_come = usize::try_from(state.loop_counter).unwrap_or_default();
    let in_block = rest.len().saturating_add(to_come).saturating_sub(overrun);
    let fits = in_block <= *sink.room;
    sink.write(rest.get(..in_block.min(*sink.room)).unwrap_or(rest))?;
    if fits { Ok(()) } else { Err(InflateError::TooLarge) }
}

fn rest(state: &State) -> Option<&[u8]> {
    let size = u64::try_from(state.ringbuffer_size).ok()?;
    let end = state.rb_roundtrips.checked_mul(size)?.checked_add(u64::try_from(state.pos).ok()?)?;
    let len = usize::try_from(end.checked_sub(state.partial_pos_out)?).ok()?;
    let start = usize::try_from(state.partial_pos_out.checked_rem(size)?).ok()?;
    state.ringbuffer.slice().get(start..start.checked_add(len)?)
}

struct Heap {
    /// How many more cells may be asked for, given back or not.
    left: usize,
    exhausted: bool,
}

impl Heap {
    const fn new(left: usize) -> Self {
        Self { left, exhausted: false }
    }
}

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Cells<T>;

    /// No cells, which the library takes for an error, if there are not enough left.
    fn alloc_cell(&mut self, len: usize) -> Cells<T> {
        let Some(left) = self.left.checked_sub(len) else {
            self.exhausted = true;
            return Cells::default();
        };
        self.left = left;
        Cells(vec![T::default(); len])
    }

    fn free_cell(&mut self, _cells: Cells<T>) {}
}

struct Cells<T>(Vec<T>);

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> SliceWrapper<T> for Cells<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cells<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_no_larger_than_the_limit_makes_use_of() {
        let widest = |limit| narrowed(0xff, limit);
        assert_eq!([0, (1 << 18) - 16].map(widest), [0xf3, 0xf3]);
        assert_eq!([(1 << 18) - 15, 1 << 20].map(widest), [0xf5, 0xf9]);
        assert_eq!([1 << 24, usize::MAX].map(widest), [0xff, 0xff]);
        // Windows of 64, 128 and 256 KiB and of 1 KiB.
        for first in [0b0110, 0b000_0001, 0b0011, 0b010_0001] {
            assert_eq!(narrowed(first, 0), first);
        }
    }
}
