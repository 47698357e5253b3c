//! Keys, tokens and passwords.
//!
//! Two passes, each of which skips most of a text. Tokens stand in runs without a space, which prose does not have:
//! in those, an automaton over all prefixes is walked from where each token begins, and what follows is read with the
//! case it has. Secrets that only their name gives away stand behind one of a few signs.
//!
//! Invariant: every byte is read a bounded number of times, whatever the text; what would take more is paid for from
//! the budget.

mod assign;
mod chars;
mod checksum;
mod formats;
mod jwt;
mod pem;
mod random;
mod rule;
mod runs;
mod shape;
mod token;
mod url;
mod value;

pub(crate) use rule::infos;

use alloc::{string::String, vec::Vec};

use aho_corasick::{Anchored, BuildError, MatchKind, automaton::Automaton, nfa::contiguous::NFA};

use self::{
    chars::slice,
    formats::FORMATS,
    rule::Rule,
    runs::{Runs, begins_token, next_token, open_run, token_end},
    token::Seen,
};
use super::{Detector, Hits, RuleIdx};
use crate::text::View;

/// At the end of a stream so much of a run may be a token that has begun.
const OPEN_MAX: usize = 4 * 1024;

#[derive(Debug)]
pub(crate) struct SecretDetector {
    /// The rules stand in the engine's list from here on.
    first: RuleIdx,
    /// In the order of [`FORMATS`].
    prefixes: NFA,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    rule: Rule,
    start: usize,
    end: usize,
}

/// What was seen in one text, by how it was seen. Each list is in order, and nothing in it overlaps.
#[derive(Debug, Default)]
struct Sightings {
    tokens: Vec<Found>,
    named: Vec<Found>,
    bare: Vec<Found>,
}

fn overlaps(list: &[Found], one: &Found) -> bool {
    let next = list.partition_point(|other| other.end <= one.start);
    list.get(next).is_some_and(|other| other.start < one.end)
}

impl SecretDetector {
    pub(crate) fn new(first: RuleIdx) -> Result<Self, BuildError> {
        let prefixes: Vec<String> = FORMATS.iter().map(|format| format.prefix.to_ascii_lowercase()).collect();
        let prefixes = NFA::builder().match_kind(MatchKind::Standard).build(prefixes)?;
        Ok(Self { first, prefixes })
    }

    fn push(&self, found: Found, view: &View, hits: &mut Hits) {
        hits.push(RuleIdx(self.first.0 + found.rule as u16), view.source(found.start, found.end));
    }

    /// The token that begins at `at`, if its prefix is known.
    fn read_prefixed(&self, text: &[u8], cased: &[u8], at: usize) -> (Rule, Seen) {
        let mut best = (Rule::Random, Seen::Nothing);
        let Ok(mut state) = self.prefixes.start_state(Anchored::Yes) else { return best };
        let mut walked = at;
        while let Some(&byte) = text.get(walked) {
            state = self.prefixes.next_state(Anchored::Yes, state, byte);
            if self.prefixes.is_dead(state) {
                return best;
            }
            walked += 1;
            if !self.prefixes.is_match(state) {
                continue;
            }
            for idx in 0..self.prefixes.match_len(state) {
                let pattern = self.prefixes.match_pattern(state, idx);
                // Others end here, too, but began later.
                let Some(format) = FORMATS.get(pattern.as_usize()).filter(|f| f.prefix.len() == walked - at)
                else {
                    continue;
                };
                let seen = format.read(cased, at);
                // The longest prefix that fits says most.
                if seen != Seen::Nothing && !matches!((best.1, seen), (Seen::Token(_), Seen::Open)) {
                    best = (format.rule, seen);
                }
            }
        }
        match best.1 {
            Seen::Nothing if may_be_prefix(slice(cased, at, walked)) => (Rule::Random, Seen::Open),
            _ => best,
        }
    }

    fn find_tokens(&self, text: &[u8], cased: &[u8], hits: &mut Hits, seen: &mut Sightings) {
        for run in Runs::new(text) {
            let mut at = run.start;
            while let Some(start) = next_token(text, at, run.end) {
                if !hits.budget.spend(1) {
                    return;
                }
                at = token_end(text, start, run.end);
                let token = match self.read_prefixed(text, cased, start) {
                    (rule, Seen::Token(end)) => Some((rule, end)),
                    _ => shape::read(cased, start, at),
                };
                let is_first = start == run.start;
                let token = token.or_else(|| {
                    let end = is_first.then(|| assign::read_bearer(text, cased, start))??;
                    Some((Rule::Bearer, end))
                });
                if let Some((rule, end)) = token {
                    seen.tokens.push(Found { rule, start, end });
                    at = at.max(end);
                } else if let Some(end) = shape::read_bare(cased, start) {
                    seen.bare.push(Found { rule: Rule::Random, start, end });
                }
            }
        }
    }

    /// A token at the end of the text that may go on.
    fn open_token(&self, text: &[u8], cased: &[u8]) -> Option<usize> {
        let mut at = open_run(text, OPEN_MAX)?;
        while let Some(start) = next_token(text, at, text.len()) {
            if begins_token(text, start) && self.read_prefixed(text, cased, start).1 == Seen::Open {
                return Some(start);
            }
            at = token_end(text, start, text.len());
        }
        shape::open(text)
    }
}

/// The start of a prefix is worth waiting for. A single letter is not, unless its case would be forgotten: what a
/// stream has released it remembers in lower case.
fn may_be_prefix(start: &[u8]) -> bool {
    start.len() > 1 || start.iter().any(u8::is_ascii_uppercase)
}

impl Detector for SecretDetector {
    fn detect(&self, view: &mut View, hits: &mut Hits) {
        let (text, cased) = (view.text().as_bytes(), view.cased().as_bytes());
        let mut seen = Sightings::default();
        self.find_tokens(text, cased, hits, &mut seen);
        assign::read_all(text, cased, 0, &mut hits.budget, |reading| {
            if let Seen::Token(end) = reading.seen {
                seen.named.push(Found { rule: reading.rule, start: reading.start, end });
            }
        });
        // A block says more than what stands in it, a format more than a name, a name more than chance.
        let is_block = |found: &Found| found.rule == Rule::PrivateKey;
        let blocks: Vec<Found> = seen.named.iter().copied().filter(is_block).collect();
        for token in seen.tokens.iter().filter(|token| !overlaps(&blocks, token)) {
            self.push(*token, view, hits);
        }
        for named in seen.named.iter().filter(|named| is_block(named) || !overlaps(&seen.tokens, named)) {
            self.push(*named, view, hits);
        }
        for bare in
            seen.bare.iter().filter(|bare| !overlaps(&seen.tokens, bare) && !overlaps(&seen.named, bare))
        {
            self.push(*bare, view, hits);
        }
    }

    fn open(&self, view: &View) -> Option<usize> {
        let (text, cased) = (view.text().as_bytes(), view.cased().as_bytes());
        let block = pem::open(text);
        let token = self.open_token(text, cased);
        let named = assign::open(text, cased);
        block.into_iter().chain(token).chain(named).min()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;
    use crate::{detect::Budget, span::Span, text::Layers};

    fn view_of(text: &str) -> View {
        let mut view = View::default();
        view.append(text, 0, Layers::NONE);
        view
    }

    fn found(text: &str) -> Vec<(&'static str, Span)> {
        let detector = SecretDetector::new(RuleIdx(0)).unwrap();
        let mut hits = Hits::new(Budget::for_bytes(text.len()), sentinel_model::Channel::User, 0);
        detector.detect(&mut view_of(text), &mut hits);
        let name = |rule: RuleIdx| Rule::ALL[usize::from(rule.0)].name();
        hits.into_parts().0.iter().map(|hit| (name(hit.rule), hit.span)).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found: Vec<(&str, &str)> =
            found(text).into_iter().map(|(name, span)| (name, text.get(span.range()).unwrap())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_format_says_more_than_a_name_and_a_name_more_than_chance() {
        let token = format!("gl{}", "pat-q7GfT2xWb9LkZ4mVp1Rs");
        check(&format!("api_key = \"{token}\""), &[("gitlab-token", &token)]);
        check(&format!("https://me:{token}@host/a"), &[("gitlab-token", &token)]);
        check("api_key = q7GfT2xWb9LkZ4mVp1RsXe8Y", &[("key", "q7GfT2xWb9LkZ4mVp1RsXe8Y")]);
        let header = "q7GfT2xWb9LkZ4mVp1RsXe8Y";
        check(&format!("set(\"Authorization\", \"Bearer {header}\")"), &[("bearer", header)]);
        check("see q7GfT2xWb9LkZ4mVp1RsXe8Y", &[("random", "q7GfT2xWb9LkZ4mVp1RsXe8Y")]);
    }

    #[test]
    fn tokens_without_a_prefix_are_told_by_their_shape() {
        let hex = "3f9a1c7e5b2d8064af17c3e95d0b6a28";
        for (name, text) in [
            ("mailchimp-key", format!("{hex}-us12")),
            ("mailgun-key", format!("{hex}-1a2b3c4d-5e6f7a8b")),
            ("telegram-token", "8395748132:AAFq7GfT2xWb9LkZ4mVp1RsXe8Yd3Ng6Hj0".into()),
            ("discord-token", "MTq7GfT2xWb9LkZ4mVp1RsXe.G8d3Ng.Hj0Uc5aQwErTyUiOpLkJhGfDsAzXcVbNm1029".into()),
            ("azure-key", "q7G8Q~fT2xWb9LkZ4mVp1RsXe8Yd3Ng6Hj0Uc5aQ".into()),
        ] {
            check(&text, &[(name, &text)]);
            assert_eq!(
                found(text.get(..text.len() - 16).unwrap())
                    .iter()
                    .filter(|(found, _)| *found == name)
                    .count(),
                0
            );
        }
        check("deadbeefdeadbeefdeadbeefdeadbeef-us1", &[]);
    }

    #[test]
    fn prose_waits_for_nothing() {
        let detector = SecretDetector::new(RuleIdx(0)).unwrap();
        for text in ["A word is a word", "It costs 20", "the s", "well-", "see https://example", "Note: this"]
        {
            assert_eq!(detector.open(&view_of(text)), None, "{text}");
        }
    }

    #[test]
    fn half_a_token_waits_for_the_rest() {
        let detector = SecretDetector::new(RuleIdx(0)).unwrap();
        for (open, text) in [
            (4, "Use AK"),
            (4, "Use A"),
            (4, "Use ghp_q7G"),
            (4, "Use MTq7GfT2xWb9LkZ4mVp1RsXe.G8"),
            (4, "Use eyJhbGciOiJIUzI1NiJ9.eyJ"),
            (4, "Use -----BEGIN PRIVATE KEY-----\nMII"),
            (12, "redis://app:w9#Tz"),
            (12, "password = \"Tr4!ns"),
        ] {
            assert_eq!(detector.open(&view_of(text)), Some(open), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_found_whole_in_any_text(before in "[a-zé \\n]{0,40}", after in "( [a-z ]{0,40})?") {
            let token = format!("gh{}", "p_q7GfT2xWb9LkZ4mVp1RsXe8Yd3Ng6Hj0Uc5a");
            let text = format!("{before} {token}{after}");
            let start = before.len() + 1;
            prop_assert_eq!(found(&text), [("github-token", Span::new(start, start + token.len()))]);
            // Wherever a stream is cut, the token waits from its start, or is a hit that waits.
            let detector = SecretDetector::new(RuleIdx(0)).unwrap();
            for cut in 2..=token.len() {
                let cut = text.get(..start + cut).unwrap();
                let waits = detector.open(&view_of(cut)).is_some_and(|open| open <= start);
                prop_assert!(waits || found(cut).iter().any(|(_, span)| span.range() == (start..cut.len())), "{}", cut);
            }
        }

        #[test]
        fn any_text_is_read(text in "((-----BEGIN |PRIVATE KEY|eyJ|sk-|password|token|Bearer |://|:|=|-p|\\\\|\"|@|\\.|é|A1b){1,3}[ -~]{0,12}){0,12}") {
            let detector = SecretDetector::new(RuleIdx(0)).unwrap();
            for (_, span) in found(&text) {
                prop_assert!(!span.is_empty() && text.get(span.range()).is_some());
            }
            prop_assert!(detector.open(&view_of(&text)).is_none_or(|open| open < text.len()));
        }
    }
}
