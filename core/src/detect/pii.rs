//! Personal data: numbers, codes and addresses that name a person. Each recogniser is a pattern with a check (a
//! checksum, a date, a range in use) and, where that says too little, the words near it.
//!
//! One scan over the view finds anchors: digits, `@`, and a spelled-out dot. What stands around an anchor is read once
//! and offered to the recognisers; of what overlaps, the one with the best evidence is reported.
//!
//! Bounded work: recognisers read a few dozen bytes around an anchor, groups of a number and words are read once, and
//! all of it is paid for from the budget.

mod americas;
mod asia_pacific;
mod checksum;
mod context;
mod crypto;
mod document;
mod email;
mod europe;
mod health;
mod iban;
mod id;
mod keccak;
mod network;
mod open;
mod person;
mod phone;
mod place;
mod run;
mod vehicle;

use alloc::string::String;

use sentinel_model::Family;

use self::{
    context::{Context, Topics, Words},
    phone::Written,
    run::Run,
};
use super::{Budget, Detector, Hits, RuleIdx, RuleInfo, card};
use crate::text::View;

macro_rules! entities {
    ($($entity:ident $id:literal $level:literal $score:literal)*) => {
        /// What is found, in the order of the rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Entity { $($entity),* }

        /// Id, level and score.
        const RULES: &[(&str, u8, f32)] = &[$(($id, $level, $score)),*];
    };
}

entities! {
    Email "pii/email" 1 0.95
    Phone "pii/phone" 1 0.85
    Iban "pii/iban" 1 0.98
    Ssn "pii/ssn" 1 0.90
    Itin "pii/itin" 1 0.90
    Nino "pii/nino" 1 0.85
    Nhs "pii/nhs" 1 0.90
    Sin "pii/sin" 1 0.90
    Tfn "pii/tfn" 1 0.90
    Medicare "pii/medicare" 1 0.90
    Aadhaar "pii/aadhaar" 1 0.90
    Pan "pii/pan" 1 0.85
    Cpf "pii/cpf" 1 0.95
    Cnpj "pii/cnpj" 1 0.95
    Dni "pii/dni" 1 0.90
    Nie "pii/nie" 1 0.90
    Fiscale "pii/fiscale" 1 0.95
    Steuer "pii/steuer-id" 1 0.90
    Insee "pii/insee" 1 0.95
    Bsn "pii/bsn" 1 0.90
    Pesel "pii/pesel" 1 0.90
    Personnummer "pii/personnummer" 1 0.90
    Nric "pii/nric" 1 0.90
    MyNumber "pii/my-number" 1 0.90
    Rrn "pii/rrn" 1 0.90
    ResidentId "pii/resident-id" 1 0.95
    Btc "pii/btc" 1 0.95
    Eth "pii/eth" 1 0.90
    Vin "pii/vin" 1 0.90
    Dea "pii/dea" 1 0.90
    Mrn "pii/mrn" 2 0.70
    Wallet "pii/wallet" 2 0.60
    Passport "pii/passport" 2 0.70
    Licence "pii/licence" 2 0.65
    Birth "pii/birth-date" 2 0.70
    Ip "pii/ip" 2 0.70
    Mac "pii/mac" 2 0.75
    TaxId "pii/tax-id" 2 0.60
    LooseSsn "pii/loose/ssn" 3 0.50
    LooseEmail "pii/loose/email" 3 0.60
    LoosePhone "pii/loose/phone" 3 0.45
    Location "pii/location" 3 0.50
    Person "pii/person" 4 0.40
    Address "pii/address" 4 0.40
}

impl Entity {
    fn level(self) -> u8 {
        RULES.get(self as usize).map_or(u8::MAX, |(_, level, _)| *level)
    }
}

#[derive(Debug)]
pub(crate) struct PiiDetector {
    /// The first of its rules; the others follow.
    first_rule: RuleIdx,
    /// Rules above it are not looked for.
    level: u8,
    words: Words,
}

impl PiiDetector {
    pub(crate) fn new(first_rule: RuleIdx, level: u8) -> Self {
        Self { first_rule, level, words: Words::new() }
    }

    pub(crate) fn rule_infos() -> impl Iterator<Item = RuleInfo> {
        RULES.iter().map(|(id, level, score)| RuleInfo {
            id: String::from(*id),
            version: 1,
            family: Family::Pii,
            level: *level,
            score: *score,
        })
    }

    fn rule(&self, entity: Entity) -> RuleIdx {
        RuleIdx(self.first_rule.0 + entity as u16)
    }

    /// Everything that is found, in order and without overlap.
    fn find(
        &self,
        folded: &str,
        cased: &str,
        budget: &mut Budget,
        mut found: impl FnMut(&mut Budget, Candidate),
    ) {
        let text = Bytes(folded.as_bytes());
        // Limits are in bytes, and some of them end inside of a character.
        let mut found = |budget: &mut Budget, candidate: Candidate| {
            let start = folded.floor_char_boundary(candidate.start);
            let end = folded.ceil_char_boundary(candidate.end);
            found(budget, Candidate { start, end, ..candidate });
        };
        let mut scan = Scan {
            text,
            cased: Bytes(cased.as_bytes()),
            context: Context::new(&self.words, text),
            budget,
            level: self.level,
            floor: 0,
            found_to: 0,
            best: None,
        };
        let mut runs = Runs::default();
        let mut pending: Option<Candidate> = None;
        let mut at = 0;
        while let Some(anchor) = scan.next_anchor(at) {
            at = scan.look(anchor, &mut runs).max(anchor + 1);
            scan.floor = at;
            if scan.budget.is_spent() {
                break;
            }
            let Some(new) = scan.best.take() else { continue };
            match pending {
                Some(old) if new.start < old.end => pending = Some(old.or_better(new)),
                Some(old) => {
                    found(scan.budget, old);
                    pending = Some(new);
                }
                None => pending = Some(new),
            }
            scan.found_to = pending.map_or(0, |last| last.end);
        }
        if let Some(last) = pending {
            found(scan.budget, last);
        }
        if self.level >= Entity::Person.level() {
            person::find(scan.text, scan.cased, |candidate| found(scan.budget, candidate));
        }
    }
}

impl Detector for PiiDetector {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        let view = &*view;
        let mut budget = core::mem::take(&mut hits.budget);
        self.find(view.text(), view.cased(), &mut budget, |budget, candidate| {
            let Some(entity) = candidate.entity else { return };
            core::mem::swap(&mut hits.budget, budget);
            hits.push(self.rule(entity), view.source(candidate.start, candidate.end));
            core::mem::swap(&mut hits.budget, budget);
        });
        hits.budget = budget;
    }

    fn open(&self, view: &View) -> Option<usize> {
        open::start(Bytes(view.text().as_bytes()), &self.words)
    }
}

/// How much a find has going for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    /// It looks like one.
    Format,
    /// It looks like one, and the words near it say so.
    Context,
    /// Its check digits are right.
    Checksum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    /// Nothing if it is another detector's business.
    entity: Option<Entity>,
    start: usize,
    end: usize,
    evidence: Evidence,
}

impl Candidate {
    const fn new(entity: Entity, start: usize, end: usize, evidence: Evidence) -> Self {
        Self { entity: Some(entity), start, end, evidence }
    }

    fn or_better(self, other: Self) -> Self {
        // What only looks like something gives way to what has a form of its own, however short.
        let is_formed = |candidate: &Self| candidate.entity.is_none_or(|entity| entity.level() < FORMLESS);
        let rank =
            |candidate: &Self| (candidate.evidence, is_formed(candidate), candidate.end - candidate.start);
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// The groups around the place that was last looked at.
#[derive(Debug, Default)]
struct Runs {
    /// From a token on.
    plain: Run,
    /// From the letters before a token on.
    lettered: Run,
    written: Written,
}

/// The scan of one text.
struct Scan<'a> {
    text: Bytes<'a>,
    /// The same with the case of ASCII letters.
    cased: Bytes<'a>,
    context: Context<'a>,
    budget: &'a mut Budget,
    level: u8,
    /// Nothing that is read to the left goes further back.
    floor: usize,
    /// Where the last find ends.
    found_to: usize,
    best: Option<Candidate>,
}

/// A run of letters, digits and `_`.
#[derive(Clone, Copy, Debug)]
struct Token {
    start: usize,
    end: usize,
    is_number: bool,
}

impl Token {
    const fn len(self) -> usize {
        self.end - self.start
    }
}

/// What recognisers cost, beside one word that is looked up: those that read around an `@` or a dot, those that read
/// the groups of a number, and those that go by words alone.
const ADDRESS_WORK: u32 = 1;
const RUN_WORK: u32 = 4;
const WORDS_WORK: u32 = 2;

/// Rules from this level on go by forms that much else has.
const FORMLESS: u8 = 3;

/// Nobody's number has fewer characters.
const NUMBER_MIN: usize = 7;

/// Longer tokens are hashes and blobs.
const TOKEN_MAX: usize = 96;

impl<'a> Scan<'a> {
    fn next_anchor(&self, from: usize) -> Option<usize> {
        let at = from + email::find_anchor(self.text.0.get(from..)?);
        (at < self.text.len()).then_some(at)
    }

    /// Offers what stands around an anchor to the recognisers. Answers where to go on.
    fn look(&mut self, anchor: usize, runs: &mut Runs) -> usize {
        match self.text.at(anchor) {
            b'@' => {
                self.budget.spend(ADDRESS_WORK);
                email::at_sign(self, anchor)
            }
            b'0'..=b'9' => match self.token(anchor) {
                Ok(token) if token.is_number => self.number(token, runs),
                Ok(token) => self.code(token, &mut runs.plain),
                Err(end) => end,
            },
            _ => {
                self.budget.spend(ADDRESS_WORK);
                email::spelled_dot(self, anchor)
            }
        }
    }

    /// The token around a digit, or where it ends if it is nobody's number.
    fn token(&self, anchor: usize) -> Result<Token, usize> {
        let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut start = anchor;
        while start > self.floor && is_part(self.text.before(start)) {
            start -= 1;
        }
        let mut end = anchor + 1;
        while end < self.text.len() && is_part(self.text.at(end)) {
            end += 1;
        }
        let token = self.text.range(start, end);
        if token.len() > TOKEN_MAX || token.contains(&b'_') || start < self.floor {
            return Err(end);
        }
        Ok(Token { start, end, is_number: token.iter().all(u8::is_ascii_digit) })
    }

    /// A token of digits only, with what follows it.
    fn number(&mut self, token: Token, runs: &mut Runs) -> usize {
        if let Some(end) = network::colons(self, token) {
            return end;
        }
        let mut next = token.end;
        if token.len() >= NUMBER_MIN || self.goes_on(token.end) {
            let run = &mut runs.plain;
            run.move_to(self.text, token.start);
            if run.is_table() {
                return run.end();
            }
            self.budget.spend(RUN_WORK);
            if self.text.begins(token.start) {
                id::offer(self, run);
                phone::offer(self, token, &mut runs.written);
            }
            // What is already found may have to give way to a card.
            if self.best.is_some() || self.found_to > token.start {
                self.card(run);
            }
            if let Some(end) = network::dotted(self, token) {
                next = end;
            }
        }
        if self.level > 1 {
            self.budget.spend(WORDS_WORK);
            document::offer_date(self, token);
            document::offer(self, token);
            health::offer(self, token);
            place::offer(self, token);
        }
        if let Some(before) = self.letters_before(token) {
            runs.lettered.move_to(self.text, before);
            id::offer(self, &runs.lettered);
        }
        next
    }

    /// A token of letters and digits.
    fn code(&mut self, token: Token, run: &mut Run) -> usize {
        if let Some(end) = network::colons(self, token) {
            return end;
        }
        let starts_like_iban = matches!(
            self.text.range(token.start, token.start + 4),
            [b'a'..=b'z', b'a'..=b'z', b'0'..=b'9', b'0'..=b'9']
        );
        if token.len() < NUMBER_MIN && !starts_like_iban {
            return token.end;
        }
        self.budget.spend(RUN_WORK);
        run.move_to(self.text, token.start);
        iban::offer(self, run);
        id::offer(self, run);
        vehicle::offer(self, token);
        crypto::offer(self, token);
        document::offer(self, token);
        health::offer(self, token);
        token.end
    }

    /// Whether more digits follow a number, set apart in one of the ways that people have.
    fn goes_on(&self, end: usize) -> bool {
        match self.text.range(end, end + 4) {
            [b' ' | b'-' | b'.' | b'/', b'0'..=b'9' | b'(', ..] | [b'(' | b')', ..] | [0xc2 | 0xe2, ..] => {
                true
            }
            // The letter at the end of a number.
            [b' ' | b'-', b'a'..=b'z', after, ..] => !after.is_ascii_alphanumeric(),
            _ => false,
        }
    }

    fn card(&mut self, run: &Run) {
        const DIGITS_MIN: usize = 13;
        if run.chars().iter().take(DIGITS_MIN).filter(|c| c.is_ascii_digit()).count() < DIGITS_MIN {
            return;
        }
        if let Some(end) = card::card_at(self.text.0, run.start) {
            self.offer(Candidate { entity: None, start: run.start, end, evidence: Evidence::Checksum });
        }
    }

    /// One or two letters before a number, set apart from it: `QQ 12 34 56 C`.
    fn letters_before(&self, token: Token) -> Option<usize> {
        let is_separator = matches!(self.text.before(token.start), b' ' | b'-');
        let last = token.start.checked_sub(2).filter(|_| is_separator)?;
        if !self.text.at(last).is_ascii_lowercase() {
            return None;
        }
        let start = last - usize::from(self.text.before(last).is_ascii_lowercase());
        (!self.text.before(start).is_ascii_alphanumeric()).then_some(start)
    }

    fn offer(&mut self, candidate: Candidate) {
        if candidate.entity.is_some_and(|entity| entity.level() > self.level) {
            return;
        }
        self.best = Some(self.best.map_or(candidate, |best| best.or_better(candidate)));
    }

    fn says(&mut self, start: usize, end: usize, topics: Topics) -> bool {
        self.context.has(start, end, topics, self.budget)
    }
}

/// A text as bytes; past its ends are spaces.
#[derive(Clone, Copy, Debug)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    const fn len(self) -> usize {
        self.0.len()
    }

    fn at(self, idx: usize) -> u8 {
        self.0.get(idx).copied().unwrap_or(b' ')
    }

    fn before(self, idx: usize) -> u8 {
        idx.checked_sub(1).map_or(b' ', |idx| self.at(idx))
    }

    fn range(self, start: usize, end: usize) -> &'a [u8] {
        self.0.get(start..end.min(self.0.len())).unwrap_or_default()
    }

    /// One separator with something behind it, as the ASCII character it stands for, and its length.
    fn separator(self, at: usize) -> Option<(u8, usize)> {
        let (separator, len) = match self.range(at, at + 3) {
            [b @ (b' ' | b'-' | b'.' | b'/'), ..] => (*b, 1),
            [0xc2, 0xa0, ..] => (b' ', 2),
            [0xe2, 0x80, 0xaf] => (b' ', 3),
            [0xe2, 0x80, 0x90..=0x93] => (b'-', 3),
            _ => return None,
        };
        self.at(at + len).is_ascii_alphanumeric().then_some((separator, len))
    }

    /// Nothing beside a range makes it a part of something longer: a word, a decimal, a path, another number.
    fn stands_alone(self, start: usize, end: usize) -> bool {
        self.begins(start) && self.ends(end)
    }

    fn begins(self, start: usize) -> bool {
        let (before, further) = (self.before(start), self.before(start.saturating_sub(1)));
        match before {
            b'.' => !further.is_ascii_alphanumeric(),
            b'-' | b'/' => !further.is_ascii_alphanumeric() || start < 2,
            b':' => !further.is_ascii_digit() || start < 2,
            b'_' | b'#' | b'$' | b'@' | b'%' | b'&' | b'~' | b'^' => false,
            b => !b.is_ascii_alphanumeric(),
        }
    }

    fn ends(self, end: usize) -> bool {
        let further = self.at(end + 1);
        match self.at(end) {
            b'.' | b':' => !further.is_ascii_digit(),
            // A decimal has one or two digits behind its comma.
            b',' => {
                let n_digits = self.range(end + 1, end + 4).iter().take_while(|b| b.is_ascii_digit()).count();
                n_digits == 0 || n_digits == 3
            }
            b'-' | b'/' => !further.is_ascii_alphanumeric(),
            b'_' | b'@' | b'%' => false,
            b => !b.is_ascii_alphanumeric(),
        }
    }
}

#[cfg(test)]
mod tests;
