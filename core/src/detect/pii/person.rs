//! Names of people: the capitalised words behind a title or an introduction.

use super::{Bytes, Candidate, Entity, Evidence};

const NAMES_MAX: usize = 3;

const TITLES: [&[u8]; 14] = [
    b"mr",
    b"mrs",
    b"ms",
    b"miss",
    b"dr",
    b"prof",
    b"herr",
    b"frau",
    b"monsieur",
    b"madame",
    b"mme",
    b"signor",
    b"signora",
    "señor".as_bytes(),
];

const INTRODUCTIONS: [&str; 8] = [
    "my name is",
    "mein name ist",
    "ich heiße",
    "je m'appelle",
    "me llamo",
    "mi chiamo",
    "meu nome é",
    "jag heter",
];

/// One pass over the words of a text.
pub(super) fn find(text: Bytes<'_>, cased: Bytes<'_>, mut found: impl FnMut(Candidate)) {
    const INTRODUCTION_MAX: usize = 16;
    let mut at = 0;
    while at < text.len() {
        let end = word_end(text, at);
        let word = text.range(at, end);
        let is_title = TITLES.contains(&word);
        let before = text.range(end.saturating_sub(INTRODUCTION_MAX), end);
        let is_introduction =
            !word.is_empty() && INTRODUCTIONS.iter().any(|phrase| before.ends_with(phrase.as_bytes()));
        at = end.max(at + 1);
        if is_title || is_introduction {
            let start = end + usize::from(is_title && text.at(end) == b'.') + 1;
            if let Some(name_end) = name_end(cased, start) {
                found(Candidate::new(Entity::Person, start, name_end, Evidence::Context));
                at = name_end;
            }
        }
    }
}

/// The end of up to three capitalised words.
fn name_end(cased: Bytes<'_>, start: usize) -> Option<usize> {
    let (mut at, mut end) = (start, None);
    for _ in 0..NAMES_MAX {
        // The case of other letters is lost; they count as capitals.
        if !cased.at(at).is_ascii_uppercase() && cased.at(at) < 0xc3 {
            break;
        }
        let word = word_end(cased, at);
        end = Some(word);
        if cased.at(word) != b' ' {
            break;
        }
        at = word + 1;
    }
    end
}

fn word_end(text: Bytes<'_>, start: usize) -> usize {
    const LEN_MAX: usize = 40;
    let word = text.range(start, start + LEN_MAX);
    let is_letter = |b: &u8| b.is_ascii_alphabetic() || *b >= 0x80 || matches!(b, b'\'' | b'-');
    start + word.iter().take_while(|b| is_letter(b)).count()
}
