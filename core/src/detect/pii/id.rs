//! Numbers that a state gives to a person, as a table: a pattern, a check, and what else has to speak for it.

use super::{
    Candidate, Entity, Evidence, Scan, americas, asia_pacific,
    context::{self, Topics},
    europe,
    run::Run,
};

pub(super) struct Id {
    pub(super) entity: Entity,
    /// `#` is a digit, `@` a letter, `?` either; anything else is itself. Separators do not count.
    pub(super) pattern: &'static str,
    pub(super) valid: fn(&[u8]) -> bool,
    pub(super) evidence: Evidence,
    pub(super) topics: Topics,
    pub(super) alone: Alone,
}

/// When a number needs no words near it.
pub(super) enum Alone {
    Never,
    Always,
    /// Written in these groups.
    As(&'static [&'static str]),
}

const TABLES: [&[Id]; 3] = [americas::IDS, europe::IDS, asia_pacific::IDS];

const N_IDS: usize = {
    let [americas, europe, asia_pacific] = TABLES;
    americas.len() + europe.len() + asia_pacific.len()
};

/// The lengths that patterns have, as bits.
const LENGTHS: u64 = {
    let mut lengths = 0;
    let mut len = 0;
    while len <= LENGTH_MAX {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within bounds")]
        let is_used = STARTS[len] < STARTS[len + 1];
        lengths |= (is_used as u64) << len;
        len += 1;
    }
    lengths
};

/// What the checks of one length cost.
const IDS_WORK: u32 = 4;

/// No pattern is longer.
const LENGTH_MAX: usize = 18;

/// All of them, by length and then as the tables have them; those of length `n` stand from `STARTS[n]` on.
static BY_LENGTH: [&Id; N_IDS] = SORTED.0;
const STARTS: [usize; LENGTH_MAX + 2] = SORTED.1;
const SORTED: ([&Id; N_IDS], [usize; LENGTH_MAX + 2]) = sorted();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which stops at a wrong index")]
const fn sorted() -> ([&'static Id; N_IDS], [usize; LENGTH_MAX + 2]) {
    let mut ids = [&TABLES[0][0]; N_IDS];
    let mut starts = [0; LENGTH_MAX + 2];
    let mut n_ids = 0;
    let mut len = 0;
    while len <= LENGTH_MAX {
        starts[len] = n_ids;
        let mut tables: &[&[Id]] = &TABLES;
        while let [table, rest @ ..] = tables {
            let mut left: &[Id] = table;
            while let [id, rest @ ..] = left {
                if id.pattern.len() == len {
                    ids[n_ids] = id;
                    n_ids += 1;
                }
                left = rest;
            }
            tables = rest;
        }
        len += 1;
    }
    assert!(n_ids == N_IDS, "a pattern is longer than LENGTH_MAX");
    starts[LENGTH_MAX + 1] = n_ids;
    (ids, starts)
}

/// Each length of the run that some pattern has.
pub(super) fn offer(scan: &mut Scan<'_>, run: &Run) {
    let mut lengths = run.lengths() & LENGTHS;
    while lengths != 0 {
        let len = lengths.trailing_zeros() as usize;
        lengths &= lengths - 1;
        let Some(&[from, to]) = STARTS.get(len..).and_then(|starts| starts.first_chunk()) else { return };
        let Some((chars, end)) = run.first(len).zip(run.end_of(len)) else { continue };
        if !scan.text.stands_alone(run.start, end) {
            continue;
        }
        scan.budget.spend(IDS_WORK);
        for id in BY_LENGTH.get(from..to).unwrap_or_default() {
            if let Some(candidate) = id.find(scan, run, chars, end) {
                scan.offer(candidate);
            }
        }
    }
}

impl Id {
    /// The first characters of a run, which stand alone and are as many as the pattern has.
    fn find(&self, scan: &mut Scan<'_>, run: &Run, chars: &[u8], end: usize) -> Option<Candidate> {
        if self.entity.level() > scan.level || !self.fits(chars) || !(self.valid)(chars) {
            return None;
        }
        let start = run.start;
        let is_shaped = match self.alone {
            Alone::Never => false,
            Alone::Always => true,
            Alone::As(shapes) => shapes.iter().any(|shape| run.has_shape(shape)),
        };
        // Dots make a decimal, an address, a version.
        if run.is_decimal(chars.len()) || (!is_shaped && run.is_dotted(chars.len())) {
            return None;
        }
        let says = self.topics != context::NONE && self.is_said(scan, start, end);
        let is_enough = is_shaped || says;
        let evidence = if says { self.evidence.max(Evidence::Context) } else { self.evidence };
        is_enough.then_some(Candidate::new(self.entity, start, end, evidence))
    }

    #[cfg(test)]
    pub(super) fn is_valid(&self, number: &str) -> bool {
        (self.valid)(number.as_bytes())
    }

    /// What has no checksum has to be the number that is spoken of.
    fn is_said(&self, scan: &mut Scan<'_>, start: usize, end: usize) -> bool {
        match self.evidence {
            Evidence::Checksum => scan.says(start, end, self.topics),
            _ => scan.context.nearest(start, end, scan.budget) & self.topics != context::NONE,
        }
    }

    fn fits(&self, chars: &[u8]) -> bool {
        self.pattern.bytes().zip(chars).all(|(pattern, c)| match pattern {
            b'#' => c.is_ascii_digit(),
            b'@' => c.is_ascii_lowercase(),
            b'?' => true,
            _ => pattern == *c,
        })
    }
}
