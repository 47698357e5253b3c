//! What a tokenizer does with single characters, as the artefact says: tables of Unicode change from year to year, and a
//! network was taught with those of its own tokenizer.

use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Characters {
    /// Controls, formats and marks: they leave nothing behind.
    dropped: Ranges,
    /// Each is a word by itself.
    punctuation: Ranges,
    /// Signs of scripts that are written without spaces: each stands apart.
    alone: Ranges,
}

/// First and last of each range, in order.
#[derive(Deserialize)]
struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    fn has(&self, c: char) -> bool {
        let c = u32::from(c);
        let idx = self.0.partition_point(|(_, last)| *last < c);
        self.0.get(idx).is_some_and(|(first, _)| *first <= c)
    }

    fn are_in_order(&self) -> bool {
        self.0.iter().all(|(first, last)| first <= last)
            && self.0.is_sorted_by(|(_, last), (first, _)| last < first)
    }
}

impl Characters {
    pub(crate) fn check(&self) -> Result<(), String> {
        match [&self.dropped, &self.punctuation, &self.alone].into_iter().all(Ranges::are_in_order) {
            true => Ok(()),
            false => Err("a table is not in order".to_owned()),
        }
    }

    pub(crate) fn is_dropped(&self, c: char) -> bool {
        // Most text is made of these.
        !(' '..='~').contains(&c) && self.dropped.has(c)
    }

    pub(crate) fn is_punctuation(&self, c: char) -> bool {
        match c.is_ascii() {
            true => c.is_ascii_punctuation(),
            false => self.punctuation.has(c),
        }
    }

    pub(crate) fn stands_alone(&self, c: char) -> bool {
        !c.is_ascii() && self.alone.has(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_in_a_range_or_between_two() {
        let ranges = Ranges(vec![(5, 5), (7, 9), (300, 301)]);
        let inside: Vec<u32> = (0..400).filter(|c| ranges.has(char::from_u32(*c).unwrap_or('\0'))).collect();
        assert_eq!(inside, [5, 7, 8, 9, 300, 301]);
        assert!(ranges.are_in_order());
        assert!(!Ranges(vec![(7, 9), (9, 12)]).are_in_order());
        assert!(!Ranges(vec![(9, 7)]).are_in_order());
    }
}
