//! Texts that a match cannot do without: one of them stands in every match of an expression.
//!
//! They are what is looked for first, in one pass for all expressions; only around them a text is matched.

use alloc::{string::String, vec, vec::Vec};

use super::{
    set::Set,
    syntax::{Node, Times},
};

/// Shorter ones stand everywhere.
const BYTES_MIN: usize = 3;

/// More of a text tells nothing more.
const BYTES_MAX: usize = 32;

/// One expression has at most so many.
const TEXTS_MAX: usize = 16;

/// A class of so many characters is written out.
const LETTERS_MAX: usize = 4;

/// In lower case; nothing if the expression has none.
pub(super) fn of(tree: &Node) -> Option<Vec<String>> {
    Found::of(tree).best()
}

/// What is known of a part of an expression.
#[derive(Clone, Debug)]
struct Found {
    /// Every text that the part may be, where those are few.
    whole: Option<Vec<String>>,
    /// One of these stands in it.
    inside: Option<Vec<String>>,
}

impl Found {
    const NOTHING: Self = Self { whole: None, inside: None };

    fn of(node: &Node) -> Self {
        match node {
            Node::Empty | Node::Assert(_) => Self::whole(vec![String::new()]),
            Node::Set(set) => Self::of_set(set),
            Node::Row(nodes) => Self::row(nodes.iter().map(Self::of)),
            Node::Either(branches) => Self::either(branches.iter().map(Self::of)),
            Node::Repeat(node, times) => Self::repeat(Self::of(node), *times),
        }
    }

    const fn whole(texts: Vec<String>) -> Self {
        Self { whole: Some(texts), inside: None }
    }

    fn of_set(set: &Set) -> Self {
        match set.letters(LETTERS_MAX) {
            Some(letters) => Self::whole(letters.into_iter().map(String::from).collect()),
            None => Self::NOTHING,
        }
    }

    fn row(parts: impl Iterator<Item = Self>) -> Self {
        let mut texts = vec![String::new()];
        let (mut inside, mut is_whole) = (None, true);
        for part in parts {
            let joined = part.whole.as_ref().and_then(|next| joined(&texts, next));
            if let Some(joined) = joined {
                texts = joined;
                continue;
            }
            is_whole = false;
            inside = better(inside, useful(texts));
            inside = better(inside, part.inside);
            texts = part.whole.unwrap_or_else(|| vec![String::new()]);
        }
        match is_whole {
            true => Self::whole(texts),
            false => Self { whole: None, inside: better(inside, useful(texts)) },
        }
    }

    fn either(branches: impl Iterator<Item = Self>) -> Self {
        let (mut whole, mut inside) = (Some(Vec::new()), Some(Vec::new()));
        for branch in branches {
            whole = whole.zip(branch.whole.clone()).and_then(|(texts, more)| united(texts, more));
            inside = inside.zip(branch.best()).and_then(|(texts, more)| united(texts, more));
        }
        Self { whole, inside }
    }

    fn repeat(part: Self, Times { min, max, .. }: Times) -> Self {
        if let (0, Some(1), Some(texts)) = (min, max, part.whole.clone()) {
            return Self { whole: united(vec![String::new()], texts), inside: None };
        }
        if min == 0 {
            return Self::NOTHING;
        }
        let Some(texts) = part.whole.clone() else { return Self { whole: None, inside: part.inside } };
        let mut row = texts.clone();
        for _ in 1..min {
            match joined(&row, &texts) {
                Some(longer) if longer != row => row = longer,
                Some(_) => break,
                None => return Self { whole: None, inside: better(useful(row), part.best()) },
            }
        }
        match max == Some(min) {
            true => Self::whole(row),
            false => Self { whole: None, inside: better(useful(row), part.best()) },
        }
    }

    fn best(self) -> Option<Vec<String>> {
        better(self.whole.and_then(useful), self.inside)
    }
}

/// Each text with each behind it, if those are few and not too long.
fn joined(texts: &[String], next: &[String]) -> Option<Vec<String>> {
    let is_short = |texts: &[String]| texts.iter().all(|text| text.len() <= BYTES_MAX);
    if texts.len() * next.len() > TEXTS_MAX || !is_short(texts) {
        return None;
    }
    let joined = texts.iter().flat_map(|start| next.iter().map(move |end| [start.as_str(), end].concat()));
    let mut joined: Vec<String> = joined.collect();
    joined.sort_unstable();
    joined.dedup();
    Some(joined)
}

fn united(mut texts: Vec<String>, more: Vec<String>) -> Option<Vec<String>> {
    texts.extend(more);
    texts.sort_unstable();
    texts.dedup();
    (texts.len() <= TEXTS_MAX).then_some(texts)
}

/// Texts that are worth looking for.
fn useful(texts: Vec<String>) -> Option<Vec<String>> {
    (shortest(&texts) >= BYTES_MIN).then_some(texts)
}

fn shortest(texts: &[String]) -> usize {
    texts.iter().map(String::len).min().unwrap_or(0)
}

/// The ones whose shortest is longest, then the fewer.
fn better(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    let worth = |texts: &Vec<String>| (shortest(texts), usize::MAX - texts.len());
    match (one, other) {
        (Some(one), Some(other)) if worth(&other) > worth(&one) => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::syntax::parse;

    #[test]
    fn what_every_match_has() {
        for (source, expected) in [
            ("bluebird", &["bluebird"][..]),
            (r"BLUEBIRD-[0-9]{4,8}\b", &["bluebird-"]),
            ("(?i)Blue[Bb]ird", &["bluebird"]),
            ("[0-9]{4}-key", &["-key"]),
            ("ab[0-9]cdef[0-9]ghi", &["cdef"]),
            ("colou?r", &["color", "colour"]),
            ("(red|green)bird", &["greenbird", "redbird"]),
            ("(project|operation) +[a-z]+", &["operation", "project"]),
            ("alpha.*|beta[0-9]", &["alpha", "beta"]),
            ("(?:ab){2}", &["abab"]),
            ("(?:ab){2,}", &["abab"]),
            ("(bird)+", &["bird"]),
            ("x{40}", &["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]),
            (r"^key: \S+$", &["key: "]),
            ("bird[-_ ]7", &["bird 7", "bird-7", "bird_7"]),
            ("(?:(?:)){1000}bird", &["bird"]),
            ("[a-z]+bird|bird[0-9]?", &["bird"]),
            (r"\x41\u0042\x{43}", &["abc"]),
            ("проект [0-9]+", &["проект "]),
        ] {
            assert_eq!(of(&parse(source).unwrap()).as_deref().unwrap_or_default(), expected, "{source}");
        }
    }

    #[test]
    fn what_no_match_needs() {
        for source in [
            "[0-9]{4,8}",
            "ab",
            "(bluebird)?",
            "bluebird|",
            "bluebird|[0-9]+",
            "(bird)*",
            "a[0-9]b[0-9]c",
            ".*",
            "(?i)[a-z]{12}",
            "b.l.u.e",
            "",
            "[abcde]{9}",
            "(alpha|be)[0-9]",
        ] {
            assert_eq!(of(&parse(source).unwrap()), None, "{source}");
        }
    }
}
