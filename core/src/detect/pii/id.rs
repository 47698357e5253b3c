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

/// The lengths that patterns have, as bits.
const LENGTHS: u64 = {
    let mut lengths = 0;
    let mut tables: &[&[Id]] = &TABLES;
    while let [table, rest @ ..] = tables {
        let mut ids: &[Id] = table;
        while let [id, rest @ ..] = ids {
            lengths |= 1 << id.pattern.len();
            ids = rest;
        }
        tables = rest;
    }
    lengths
};

pub(super) fn offer(scan: &mut Scan<'_>, run: &Run) {
    if !run.ends_after_any(LENGTHS) {
        return;
    }
    for id in TABLES.into_iter().flatten() {
        if let Some(candidate) = id.find(scan, run) {
            scan.offer(candidate);
        }
    }
}

impl Id {
    fn find(&self, scan: &mut Scan<'_>, run: &Run) -> Option<Candidate> {
        let chars = run.first(self.pattern.len())?;
        if self.entity.level() > scan.level || !self.fits(chars) || !(self.valid)(chars) {
            return None;
        }
        let (start, end) = (run.start, run.end_of(self.pattern.len())?);
        if !scan.text.stands_alone(start, end) {
            return None;
        }
        let is_shaped = match self.alone {
            Alone::Never => false,
            Alone::Always => true,
            Alone::As(shapes) => shapes.iter().any(|shape| run.has_shape(shape)),
        };
        // Dots make a decimal, an address, a version.
        if !is_shaped && run.is_dotted(chars.len()) {
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
