//! Counting within a span of time that moves, in cells of a part of it: as much memory as there are cells, however much
//! is counted.

use std::collections::VecDeque;

/// Two numbers: of how many something was so, and of how many it could have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) of: u64,
    pub(crate) among: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Each with its number since 1970; in their order, none empty.
    cells: VecDeque<(i64, Sums)>,
}

/// How long a cell is, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells {
    pub(crate) cell_ms: i64,
    pub(crate) n_within: i64,
    pub(crate) n_before: i64,
}

impl Cells {
    pub(crate) fn of(within_ms: i64, before_ms: i64) -> Self {
        let cell_ms = (within_ms / CELLS_WITHIN).max(1);
        Self { cell_ms, n_within: CELLS_WITHIN, n_before: before_ms / cell_ms }
    }

    const fn number(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.cell_ms)
    }
}

impl Tally {
    /// What is older than is kept is not counted.
    pub(crate) fn add(&mut self, cells: Cells, at_ms: i64, added: Sums) {
        let number = cells.number(at_ms);
        let at = self.cells.partition_point(|(known, _)| *known < number);
        match self.cells.get_mut(at) {
            Some((known, sums)) if *known == number => {
                sums.of = sums.of.saturating_add(added.of);
                sums.among = sums.among.saturating_add(added.among);
            }
            _ => self.cells.insert(at, (number, added)),
        }
        let newest = self.cells.back().map_or(number, |(newest, _)| *newest);
        self.forget(cells, newest.saturating_mul(cells.cell_ms));
    }

    pub(crate) fn forget(&mut self, cells: Cells, now_ms: i64) {
        let oldest = cells.number(now_ms) - cells.n_within - cells.n_before;
        while self.cells.front().is_some_and(|(number, _)| *number < oldest) {
            self.cells.pop_front();
        }
    }

    /// Of the span that ends now: at least its length, at most a cell more.
    pub(crate) fn within(&self, cells: Cells, now_ms: i64) -> Sums {
        let from = cells.number(now_ms) - cells.n_within;
        self.sum(|number| number >= from)
    }

    /// Of the time before that.
    pub(crate) fn before(&self, cells: Cells, now_ms: i64) -> Sums {
        let to = cells.number(now_ms) - cells.n_within;
        self.sum(|number| number < to && number >= to - cells.n_before)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn sum(&self, wanted: impl Fn(i64) -> bool) -> Sums {
        let wanted = self.cells.iter().filter(|(number, _)| wanted(*number));
        wanted.fold(Sums::default(), |sum, (_, sums)| Sums {
            of: sum.of.saturating_add(sums.of),
            among: sum.among.saturating_add(sums.among),
        })
    }
}

const CELLS_WITHIN: i64 = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tally_is_the_sum_of_its_span_to_a_cell(
            times in prop::collection::vec(0_i64..200_000, 0..200),
            now_ms in 0_i64..200_000,
        ) {
            let cells = Cells::of(30_000, 60_000);
            let mut times: Vec<i64> = times.into_iter().filter(|at| *at <= now_ms).collect();
            times.sort_unstable();
            let mut tally = Tally::default();
            for at in &times {
                tally.add(cells, *at, Sums { of: 1, among: 2 });
            }
            tally.forget(cells, now_ms);
            let since = |ms: i64| times.iter().filter(|at| **at > now_ms - ms).count() as u64;
            let found = tally.within(cells, now_ms);
            prop_assert!((since(30_000)..=since(31_001)).contains(&found.of), "{found:?}");
            prop_assert_eq!(found.among, found.of * 2);
            let older = tally.before(cells, now_ms).of + found.of;
            prop_assert!((since(90_000)..=since(91_001)).contains(&older));
            prop_assert!(tally.cells.len() <= 92);
        }
    }
}
