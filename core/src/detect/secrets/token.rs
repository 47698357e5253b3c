//! What a token looks like behind its prefix: a row of parts, and how it is told from a sample of one.
//!
//! Bounded work: parts have a longest length, and a token is read once from its beginning.

use super::{
    chars::{Set, byte_at, byte_before, slice},
    checksum, jwt, pem,
    random::{is_filler, is_random},
    rule::Rule,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// So many bytes of a set, as many as there are.
    Run(Set, usize, usize),
    Exactly(&'static str),
    /// Where tokens with and without this are in use.
    Perhaps(&'static str),
}

/// What has to hold beside the form.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// The form says it all, but for samples that are written the same.
    Form,
    /// Other texts have the form as well, but do not look like chance.
    Random,
    /// A checksum that fits proves the token; one that does not leaves it to its looks.
    Checksum,
    Jwt,
    /// A private key in base64.
    Pem,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) rule: Rule,
    /// As it is written: the case counts.
    pub(super) prefix: &'static str,
    pub(super) parts: &'static [Part],
    pub(super) proof: Proof,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    /// The text ends before it can be told.
    Open,
    /// A token up to here.
    Token(usize),
}

impl Format {
    /// Reads a token whose prefix, in any case, stands at `at`.
    pub(super) fn read(&self, cased: &[u8], at: usize) -> Seen {
        let body = at + self.prefix.len();
        if slice(cased, at, body) != self.prefix.as_bytes() {
            return Seen::Nothing;
        }
        let mut end = body;
        let mut last = Set::ALNUM;
        for part in self.parts {
            match part {
                Part::Run(set, min, max) => {
                    let len = set.run(cased, end, max + 1);
                    end += len;
                    if len < *min {
                        return if end == cased.len() { Seen::Open } else { Seen::Nothing };
                    }
                    if len > *max {
                        return Seen::Nothing;
                    }
                    last = *set;
                }
                Part::Exactly(text) => match literal(cased, end, text) {
                    Seen::Token(after) => end = after,
                    other => return other,
                },
                Part::Perhaps(text) => {
                    if let Seen::Token(after) = literal(cased, end, text) {
                        end = after;
                    }
                }
            }
        }
        let end = self.without_tail(cased, end, last);
        let next = byte_at(cased, end);
        if Set::ALNUM.has(next) || next == b'_' {
            return Seen::Nothing;
        }
        match self.holds(slice(cased, body, end), slice(cased, at, end)) {
            true => Seen::Token(end),
            false if end == cased.len() => Seen::Open,
            false => Seen::Nothing,
        }
    }

    /// Punctuation of the sentence around a token is no part of it.
    fn without_tail(&self, cased: &[u8], end: usize, last: Set) -> usize {
        let is_mark = |byte: u8| matches!(byte, b'.' | b':') && last.has(byte);
        if is_mark(byte_before(cased, end)) { end - 1 } else { end }
    }

    fn holds(&self, body: &[u8], whole: &[u8]) -> bool {
        match self.proof {
            Proof::Form => !is_filler(body),
            Proof::Random => is_random(body),
            Proof::Checksum => checksum::is_proven(body) || !is_filler(body),
            Proof::Jwt => jwt::has_algorithm(whole),
            Proof::Pem => pem::is_encoded_key(whole),
        }
    }
}

fn literal(cased: &[u8], at: usize, text: &str) -> Seen {
    let there = slice(cased, at, at + text.len());
    if there == text.as_bytes() {
        Seen::Token(at + text.len())
    } else if at + there.len() == cased.len() && text.as_bytes().starts_with(there) {
        Seen::Open
    } else {
        Seen::Nothing
    }
}
