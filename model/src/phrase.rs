//! The pattern language of rule packs: phrases over words, linear to match and readable in a review.
//!
//! ```text
//! (ignore|disregard|forget) ~3 (previous|prior|above) ~2 (instruction*|rule*|prompt*)
//! ```
//!
//! | written | means |
//! |---|---|
//! | `word` | that word, whole, without regard to case |
//! | `word*` | any word that begins so |
//! | `(a\|b c\|d*)` | one of these; an alternative may have several words |
//! | `~3` | up to three other words may stand here |
//! | `"<\|im_start\|>"` | the whole pattern is this text, letter by letter, anywhere; `\n` is a new line |
//! | `"^system:"` | the same where a line begins, or the text does |
//!
//! Where a script puts no spaces between words (Chinese, Japanese, Thai), every character is a word of its own, so
//! `忽略 ~4 (指令|提示)` allows four characters between.
//!
//! Every pattern yields an *anchor*: the step whose words are rarest ([`rarity`](crate::rarity)). Texts are searched for
//! anchors only, so a pattern without a step whose words are long enough is refused here, at build time.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{fold::fold_word, invisible::is_left_out};

pub const STEPS_MAX: usize = 12;
pub const GAP_WORDS_MAX: u8 = 12;
pub const ALTERNATIVES_MAX: usize = 64;
/// A shorter anchor would make the search stop at every other word.
pub const ANCHOR_BYTES_MIN: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phrase {
    Literal(Literal),
    Words(Words),
}

/// A text looked for as it is, in the folded view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    pub text: String,
    /// Only where a line begins.
    pub begins_line: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many other words may stand between the step before and this one.
    pub gap: u8,
    pub alternatives: Vec<Alternative>,
}

/// One to a few words in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    pub words: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhraseError(&'static str);

impl fmt::Display for PhraseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for PhraseError {}

impl Phrase {
    pub fn parse(source: &str) -> Result<Self, PhraseError> {
        let source = source.trim();
        if let Some(literal) = source.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return Literal::parse(literal).map(Self::Literal);
        }
        Parser { rest: source }.words().map(Self::Words)
    }
}

impl Literal {
    fn parse(source: &str) -> Result<Self, PhraseError> {
        if source.chars().any(is_left_out) {
            return Err(PhraseError("a literal has a character that is left out of every text"));
        }
        let (source, begins_line) = match source.strip_prefix('^') {
            Some(rest) => (rest, true),
            None => (source, false),
        };
        let text = fold_word(&source.replace("\\n", "\n"));
        match text.len() >= ANCHOR_BYTES_MIN {
            true => Ok(Self { text, begins_line }),
            false => Err(PhraseError("a literal needs at least three bytes")),
        }
    }
}

impl Word {
    pub fn matches(&self, word: &str) -> bool {
        match self.prefix {
            true => word.starts_with(self.text.as_str()),
            false => word == self.text,
        }
    }
}

impl Alternative {
    fn anchor_bytes(&self) -> usize {
        self.words.iter().map(|word| word.text.len()).max().unwrap_or(0)
    }
}

impl Step {
    fn anchor_bytes(&self) -> usize {
        self.alternatives.iter().map(Alternative::anchor_bytes).min().unwrap_or(0)
    }
}

/// Letters and digits of any script, and the marks that stand inside words.
pub fn is_word_char(c: char) -> bool {
    is_common_letter(c) || c.is_alphanumeric() || c == '_' || c == '\'' || joins_letters(c)
}

/// Stretches of nothing but letters that most texts beyond ASCII are made of: a look into Unicode's tables costs ten times
/// as much.
const fn is_common_letter(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2af}' | '\u{391}'..='\u{3a1}'
        | '\u{3a3}'..='\u{3ff}' | '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}' | '\u{5d0}'..='\u{5ea}'
        | '\u{620}'..='\u{64a}' | '\u{904}'..='\u{939}' | '\u{ac00}'..='\u{d7a3}')
        && c != '\u{3f6}'
}

/// Signs of Indic scripts that take a letter's vowel or change it: no letters, but never the end of a word.
const fn joins_letters(c: char) -> bool {
    matches!(
        c,
        '\u{93c}'
            | '\u{94d}'
            | '\u{9bc}'
            | '\u{9cd}'
            | '\u{a3c}'
            | '\u{a4d}'
            | '\u{abc}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
    )
}

/// Characters of scripts that write no spaces between words: each counts as a word.
pub const fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e01}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{3ffff}')
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn words(mut self) -> Result<Words, PhraseError> {
        let mut steps = Vec::new();
        loop {
            self.skip_space();
            if self.rest.is_empty() {
                break;
            }
            let gap = self.gap()?;
            let alternatives = if self.eat('(') { self.group()? } else { Vec::from([self.alternative()?]) };
            steps.push(Step { gap, alternatives });
            if steps.len() > STEPS_MAX {
                return Err(PhraseError("more than twelve steps; split the pattern"));
            }
        }
        match steps.iter().map(Step::anchor_bytes).max() {
            Some(bytes) if bytes >= ANCHOR_BYTES_MIN => Ok(Words { steps }),
            _ => Err(PhraseError("no anchor: one step must have only words of three bytes or more")),
        }
    }

    fn gap(&mut self) -> Result<u8, PhraseError> {
        if !self.eat('~') {
            return Ok(0);
        }
        let n_digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(n_digits);
        let gap = digits.parse().map_err(|_| PhraseError("~ needs a number of words"))?;
        if gap > GAP_WORDS_MAX {
            return Err(PhraseError("a gap is at most twelve words"));
        }
        self.rest = rest;
        self.skip_space();
        Ok(gap)
    }

    fn group(&mut self) -> Result<Vec<Alternative>, PhraseError> {
        let mut alternatives = Vec::new();
        loop {
            let mut words = Vec::new();
            self.skip_space();
            while !self.rest.starts_with(['|', ')']) {
                self.words_into(&mut words)?;
                self.skip_space();
            }
            if words.is_empty() {
                return Err(PhraseError("an empty alternative"));
            }
            alternatives.push(Alternative { words });
            if alternatives.len() > ALTERNATIVES_MAX {
                return Err(PhraseError("more than 64 alternatives"));
            }
            if self.eat(')') {
                return Ok(alternatives);
            }
            if !self.eat('|') {
                return Err(PhraseError("an open group"));
            }
        }
    }

    fn alternative(&mut self) -> Result<Alternative, PhraseError> {
        let mut words = Vec::new();
        self.words_into(&mut words)?;
        Ok(Alternative { words })
    }

    /// What is written without spaces: one word, or several where characters stand alone.
    fn words_into(&mut self, words: &mut Vec<Word>) -> Result<(), PhraseError> {
        if let Some((word, rest)) = plain_word(self.rest) {
            self.rest = rest;
            words.push(Word { text: word.into(), prefix: self.eat('*') });
            return Ok(());
        }
        let end = self.rest.find(|c| !is_word_char(c) && !stands_alone(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(PhraseError("expected a word, a group, ~N or a quoted literal"));
        }
        self.rest = rest;
        let text = fold_word(word);
        // Around a word an apostrophe is a quotation mark, and what folds to no letter is no part of words.
        if text.is_empty()
            || text.starts_with('\'')
            || text.ends_with('\'')
            || !text.chars().all(|c| is_word_char(c) || stands_alone(c))
        {
            return Err(PhraseError("a word that no text can have"));
        }
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let len = match stands_alone(first) {
                true => first.len_utf8(),
                false => rest.find(stands_alone).unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(len);
            words.push(Word { text: word.into(), prefix: false });
            rest = after;
        }
        if let Some(last) = words.last_mut() {
            last.prefix = self.eat('*');
        }
        Ok(())
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// A word of small letters of ASCII, which folding leaves as it is, and what follows it: nearly every word of most packs.
fn plain_word(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_lowercase).count();
    let (word, rest) = text.split_at_checked(end)?;
    let goes_on = |next: &u8| !next.is_ascii() || is_word_char(char::from(*next));
    (!word.is_empty() && !rest.as_bytes().first().is_some_and(goes_on)).then_some((word, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_letters_are_letters() {
        let wrong = (char::MIN..=char::MAX).find(|c| is_common_letter(*c) && !c.is_alphanumeric());
        assert_eq!(wrong, None);
    }
}
