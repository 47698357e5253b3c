//! Regular expressions that an operator writes, matched in linear time.
//!
//! A small one of our own, because the core has no standard library, because every step is paid from the budget, and
//! because a stream has to know what at the end of a text may still become a match. It finds what others find: the first
//! match, of those that begin there the one that the expression prefers. There are no groups to read out, no
//! back-references and no look-around.
//!
//! Invariants: the work of one search is at most the length of its range times the size of the program; every match
//! contains one of the literals of its expression; nothing recurses deeper than parentheses may be nested.

mod literals;
mod machine;
mod program;
mod set;
mod syntax;

use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Range};

pub(crate) use self::machine::Machine;
use self::program::Program;
use crate::detect::Budget;

#[derive(Debug)]
pub(crate) struct Regex {
    program: Program,
    literals: Vec<String>,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegexError(String);

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Regex {
    pub(crate) fn new(source: &str) -> Result<Self, RegexError> {
        let tree = syntax::parse(source)?;
        let literals = literals::of(&tree).ok_or_else(|| {
            error("no match of it must contain a word or at least three fixed letters; add some")
        })?;
        Ok(Self { program: Program::new(&tree)?, literals })
    }

    /// Texts in lower case of which one stands in every match.
    pub(crate) fn literals(&self) -> &[String] {
        &self.literals
    }

    /// The first match that begins and ends in a range of a text.
    pub(crate) fn find(
        &self,
        text: &str,
        range: Range<usize>,
        machine: &mut Machine,
        budget: &mut Budget,
    ) -> Option<Range<usize>> {
        machine.find(&self.program, text, range, budget)
    }

    /// Where from `range.start` on something begins, at `range.end` or before, that more text could turn into a match.
    pub(crate) fn open(
        &self,
        text: &str,
        range: Range<usize>,
        machine: &mut Machine,
        budget: &mut Budget,
    ) -> Option<usize> {
        machine.open(&self.program, text, range, budget)
    }
}

fn error(reason: &str) -> RegexError {
    RegexError(reason.into())
}

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
    };

    use proptest::prelude::*;

    use super::*;

    fn refusal(source: &str) -> String {
        Regex::new(source).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        const LOOK: &str = "look-around such as (?= and (?<! is not supported; write out what a match has";
        const BACK: &str = "back-references such as \\1 are not supported; write out what they repeat";
        const LARGE: &str = "takes more than 1024 steps written out; repeat less often";
        const COUNTS: &str = "expected {n}, {n,} or {n,m}; write \\{ for the sign";
        for (source, reason) in [
            ("bluebird", ""),
            ("(?=bluebird)", LOOK),
            ("(?<!x)bluebird", LOOK),
            (r"(bluebird)\1", BACK),
            ("(?P=a)bluebird", BACK),
            ("[0-9]{8}", "no match of it must contain a word or at least three fixed letters; add some"),
            ("bluebird(", "there is a ( without its )"),
            ("bluebird(?", "there is a ( without its )"),
            ("bluebird)", "there is a ) without its ("),
            ("bluebird[a", "there is a [ without its ]"),
            ("bluebird[a-", "there is a [ without its ]"),
            ("bluebird[[:digit:]]", "a class in a class is not supported; write \\[ for the sign"),
            ("bluebird[a-z&&b]", "&&, -- and ~~ in a class are not supported"),
            ("bluebird[z-a]", "a range in a class ends before it begins"),
            (r"bluebird[^\s\S]", "no character is in a class of it"),
            (r"bluebird[^\w\W]", "no character is in a class of it"),
            (r"bluebird[\b]", "\\b, \\B, \\A and \\z have no meaning in a class"),
            (r"bluebird\", "a \\ stands at the end"),
            (r"bluebird\q", "\\q is not known"),
            (r"bluebird\<", "\\< is not supported; for the sign write <"),
            (r"bluebird\pL", "\\p is not supported; name the characters in a class"),
            (r"bluebird\x4", "expected \\x41, \\u0041 or \\x{41}"),
            (r"bluebird\x{110000}", "expected \\x41, \\u0041 or \\x{41}"),
            ("*bluebird", "there is nothing before the * to repeat"),
            ("bluebird++", "what repeats is repeated; put it into parentheses"),
            ("bluebird{2", COUNTS),
            ("bluebird{,2}", COUNTS),
            ("bluebird{3,2}", "{3,2} ends before it begins"),
            ("bluebird{1001}", "repeats more than 1000 times"),
            ("{bluebird", "a brace that repeats nothing; write \\{ for the sign"),
            ("(?x)bluebird", "(?x is not supported; there are the flags i, m and s"),
            ("bluebird[0-9]{600}[0-9]{600}", LARGE),
            ("bluebird((((){999}){999}){999}){999}", LARGE),
            ("Stra\u{df}e", "\u{df} is read as ss; write ss"),
            ("blue\u{c4}bird", "\u{c4} is read as a; write a"),
            ("blue[\u{416}]", "\u{416} is read as \u{436}; write \u{436}"),
            ("blue\u{200b}bird", "\"\\u{200b}\" is left out of every text that rules read"),
        ] {
            assert_eq!(refusal(source), reason, "{source}");
        }
        let deep = format!("{}bluebird{}", "(".repeat(33), ")".repeat(33));
        assert_eq!(refusal(&deep), "parentheses stand deeper than 32 in each other");
    }

    fn matches<'t>(source: &str, text: &'t str) -> Vec<&'t str> {
        let program = Program::new(&syntax::parse(source).unwrap()).unwrap();
        let (mut machine, mut budget) = (Machine::default(), Budget::for_bytes(text.len()));
        let (mut at, mut found) = (0, Vec::new());
        while let Some(one) = machine.find(&program, text, at..text.len(), &mut budget) {
            found.push(text.get(one.clone()).unwrap());
            at = one.end;
        }
        found
    }

    #[test]
    fn lines_and_the_text_begin_and_end() {
        let text = "key\nkey";
        assert_eq!(matches("^key", text).len(), 1);
        assert_eq!(matches("(?m)^key$", text).len(), 2);
        assert_eq!(matches("key$", text).len(), 1);
        assert_eq!(matches(r"\Akey\nkey\z", text).len(), 1);
        assert_eq!(matches("(?:X)??(?m:^)c", "X\nc"), ["c"]);
        assert_eq!(matches("k.*", text), ["key", "key"]);
        assert_eq!(matches("(?s)k.*", text), [text]);
        assert_eq!(matches("(?s)(?-s:k.*?y)", text), ["key", "key"]);
        assert_eq!(matches(r"(?<name>k)e[^a-c\]-]", text), ["key", "key"]);
        assert_eq!(matches("[]a-]+", "x]-a"), ["]-a"]);
        assert_eq!(matches(r"(?i)[\x41-\x43]+", "abcd"), ["abc"]);
    }

    const ATOMS: [&str; 31] = [
        "a",
        "b",
        "c",
        "ab",
        "abc",
        "X",
        "1",
        "-",
        "я",
        ".",
        "[ab]",
        "[^a]",
        "[a-c1]",
        r"\d",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"\D",
        r"\b",
        r"\B",
        "^",
        "$",
        "(?i:x)",
        "(?i:[^x])",
        "(?m:^)",
        "(?m:$)",
        "(?s:.)",
        r"[\w-]",
        r"[^\W1]",
        r"[\s\d]",
    ];
    const TIMES: [&str; 10] = ["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "{0,2}?"];

    fn expressions() -> impl Strategy<Value = String> {
        let atoms = prop::sample::select(&ATOMS[..]).prop_map(String::from);
        atoms.prop_recursive(4, 24, 4, |inner| {
            let either = prop::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                either.prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner, prop::sample::select(&TIMES[..]))
                    .prop_map(|(part, times)| format!("(?:{part}){times}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]
        #[test]
        fn it_finds_what_another_finds(source in expressions(), text in "[abcAxX1 я\\n-]{0,24}") {
            // So that no match is empty.
            let source = format!("(?:{source})c");
            let other = regex::Regex::new(&source).unwrap();
            let expected: Vec<&str> = other.find_iter(&text).map(|found| found.as_str()).collect();
            let found = matches(&source, &text);
            // Of a lazy part that may be empty and is repeated, engines take one or all: then where something is found
            // must agree, and not how far it reaches.
            let is_lazy = ["??", "*?", "+?", "}?"].iter().any(|lazy| source.contains(lazy));
            if is_lazy {
                prop_assert_eq!(found.is_empty(), expected.is_empty(), "{}", source);
            } else {
                prop_assert_eq!(found, expected, "{}", source);
            }
        }

        #[test]
        fn every_match_has_a_literal(source in expressions(), text in "[abcAxX1 я\\n-]{0,24}") {
            let source = format!("abc{source}|{source}ab-1|(?:{source}){{3}}");
            if let Some(literals) = literals::of(&syntax::parse(&source).unwrap()) {
                for found in regex::Regex::new(&source).unwrap().find_iter(&text) {
                    let found = found.as_str().to_ascii_lowercase();
                    prop_assert!(literals.iter().any(|literal| found.contains(literal)), "{} {:?}", source, literals);
                }
            }
        }

        #[test]
        fn no_expression_is_too_much(source in "[ab1(){}|*+?,.\\[\\]^$\\\\bdwsxk<>=!:i-]{0,24}") {
            let _ = Regex::new(&source);
        }
    }
}
