//! Texts as pieces, as the network was taught them: without case and accents, words apart from signs, and each word taken
//! apart into the longest pieces that there are, from its beginning on.
//!
//! One thing is different on purpose: names of special pieces that stand in a text (`[SEP]`, `[CLS]`) are text like any
//! other. Who writes them cannot end a window, nor speak for another.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use crate::characters::Characters;

/// Longer words have no pieces; they are one unknown.
const WORD_CHARS_MAX: usize = 100;

pub(crate) struct Wordpiece {
    /// Pieces that a word begins with, and those that go on, without the mark that tells them apart.
    first: HashMap<Box<str>, u32>,
    further: HashMap<Box<str>, u32>,
    /// Of the longest piece.
    chars_max: usize,
    unknown: u32,
    characters: Characters,
}

impl Wordpiece {
    /// Reads a vocabulary of one piece a line; a piece's number is that of its line.
    pub(crate) fn new(vocabulary: &str, characters: Characters) -> Result<Self, String> {
        let (mut first, mut further) = (HashMap::new(), HashMap::new());
        let mut chars_max = 0;
        for (id, piece) in (0_u32..).zip(vocabulary.lines()) {
            let (map, piece) = match piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                Some(rest) => (&mut further, rest),
                None => (&mut first, piece),
            };
            chars_max = chars_max.max(piece.chars().count());
            map.insert(Box::from(piece), id);
        }
        let unknown = *first.get("[UNK]").ok_or("it has no [UNK]")?;
        Ok(Self { first, further, chars_max, unknown, characters })
    }

    /// The number of a piece that a word can begin with.
    pub(crate) fn id(&self, piece: &str) -> Option<u32> {
        self.first.get(piece).copied()
    }

    /// Numbers in this vocabulary are below it.
    pub(crate) fn n_ids(&self) -> usize {
        self.first.len() + self.further.len()
    }

    pub(crate) fn ids(&self, text: &str) -> Vec<u32> {
        let characters = &self.characters;
        let apart = |c: char| {
            let space = characters.stands_alone(c).then_some(' ');
            [space, Some(c), space].into_iter().flatten()
        };
        let plain = text
            .chars()
            .filter(|c| !characters.is_dropped(*c))
            .flat_map(apart)
            .nfd()
            .filter(|c| !characters.is_dropped(*c))
            .flat_map(char::to_lowercase);
        let mut ids = Vec::new();
        let mut word = String::new();
        for c in plain {
            let is_sign = characters.is_punctuation(c);
            if is_sign || c.is_whitespace() {
                self.take_apart(&word, &mut ids);
                word.clear();
            } else {
                word.push(c);
            }
            if is_sign {
                self.take_apart(c.encode_utf8(&mut [0; 4]), &mut ids);
            }
        }
        self.take_apart(&word, &mut ids);
        ids
    }

    /// A word without any piece somewhere is unknown as a whole.
    fn take_apart(&self, word: &str, ids: &mut Vec<u32>) {
        let (before, mut rest, mut pieces) = (ids.len(), word, &self.first);
        if word.chars().nth(WORD_CHARS_MAX).is_some() {
            ids.push(self.unknown);
            return;
        }
        while !rest.is_empty() {
            let Some((id, behind)) = self.longest(pieces, rest) else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            (rest, pieces) = (behind, &self.further);
        }
    }

    /// The longest piece that a word begins with, and what follows it.
    fn longest<'w>(&self, pieces: &HashMap<Box<str>, u32>, word: &'w str) -> Option<(u32, &'w str)> {
        let ends = word.char_indices().map(|(at, c)| at + c.len_utf8()).take(self.chars_max);
        let ends: Vec<usize> = ends.collect();
        ends.into_iter().rev().find_map(|end| {
            let (piece, behind) = word.split_at_checked(end)?;
            pieces.get(piece).map(|id| (*id, behind))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Wordpiece {
        let characters =
            r#"{"dropped":[[0,8],[768,879]],"punctuation":[[8230,8230]],"alone":[[19968,40959]]}"#;
        let vocabulary = "[UNK]\nun\n##able\n##ab\n##l\n!\n中\n##\ncafe\n…";
        Wordpiece::new(vocabulary, serde_json::from_str(characters).unwrap()).unwrap()
    }

    #[test]
    fn words_fall_into_the_longest_pieces_or_are_unknown() {
        let pieces = small();
        assert_eq!(pieces.ids("unable unabl"), [1, 2, 1, 3, 4]);
        assert_eq!(pieces.ids("unablex un"), [0, 1]);
        assert!(pieces.ids("").is_empty());
        assert_eq!(pieces.ids("un##able"), [1, 0, 0, 0]);
        assert_eq!(pieces.ids(&"un".repeat(51)), [0]);
    }

    #[test]
    fn signs_stand_apart_and_accents_and_case_are_gone() {
        let pieces = small();
        assert_eq!(pieces.ids("UN!un…"), [1, 5, 1, 9]);
        assert_eq!(pieces.ids("Café cafe\u{301}"), [8, 8]);
        assert_eq!(pieces.ids("un中un"), [1, 6, 1]);
        assert_eq!(pieces.ids("u\u{0}n"), [1]);
    }
}
