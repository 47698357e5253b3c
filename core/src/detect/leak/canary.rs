//! Strings that a policy names and that must never leave: planted where nobody has a reason to repeat them.
//!
//! Compared as views have texts, so upper case, accents and invisible characters do not count.

use alloc::{string::String, vec::Vec};

use aho_corasick::{Anchored, BuildError, MatchKind, automaton::Automaton, nfa::contiguous::NFA};

use super::link::folded;

#[derive(Debug)]
pub(crate) struct Canaries {
    /// Nothing if no string is named.
    automaton: Option<NFA>,
    strings: Vec<String>,
}

/// So much of a string at the end of a text makes a stream wait for the rest.
const OPEN_BYTES_MIN: usize = 4;

impl Canaries {
    pub(crate) fn new(strings: &[String]) -> Result<Self, BuildError> {
        let strings: Vec<String> = strings.iter().map(|text| folded(text)).collect();
        let build = || NFA::builder().match_kind(MatchKind::Standard).build(&strings);
        let automaton = (!strings.is_empty()).then(build).transpose()?;
        Ok(Self { automaton, strings })
    }

    /// Where they stand, without overlap.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        let Some(automaton) = &self.automaton else { return };
        let Ok(start) = automaton.start_state(Anchored::No) else { return };
        let mut state = start;
        for (at, byte) in text.bytes().enumerate() {
            state = automaton.next_state(Anchored::No, state, byte);
            if automaton.is_match(state) {
                let len = automaton.pattern_len(automaton.match_pattern(state, 0));
                found(at + 1 - len, at + 1);
                state = start;
            }
        }
    }

    /// Where at the end of a text one of them may have begun.
    pub(super) fn open(&self, text: &str) -> Option<usize> {
        let text = text.as_bytes();
        let begun = |string: &String| {
            let string = string.as_bytes();
            let lens = (OPEN_BYTES_MIN..string.len()).rev();
            lens.into_iter().find(|len| string.get(..*len).is_some_and(|start| text.ends_with(start)))
        };
        self.strings.iter().filter_map(begun).max().map(|len| text.len() - len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_and_waited_for() {
        let canaries = Canaries::new(&["Zebra-7731-Kite".into(), "kite-99-lamp".into()]).unwrap();
        let mut found = Vec::new();
        canaries.find("a zebra-7731-kite-99-lamp, kite-99-lamp", |start, end| found.push((start, end)));
        assert_eq!(found, [(2, 17), (27, 39)]);
        assert_eq!(canaries.open("the zebra-77"), Some(4));
        assert_eq!(canaries.open("the zebra-7731-kite"), Some(15));
        assert_eq!(canaries.open("the zebra stands"), None);
        assert_eq!(canaries.open("zeb"), None);
    }
}
