//! Characters that stand for ASCII ones: accents, wide and styled letters, ligatures, and letters of other scripts that
//! look the same. Rules are written in the letters that the folded view has, so both go through here.
//!
//! The compatibility forms are made by the build script from Unicode's decompositions, as far as they end in ASCII; a
//! full table would be ten times as large and would change texts of other scripts.

use alloc::string::String;

pub use crate::invisible::is_left_out;

include!(concat!(env!("OUT_DIR"), "/fold_table.rs"));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    One(u8),
    Many(&'static str),
}

/// What a character stands for in ASCII, in lower case, whatever its accents and its style.
pub fn to_ascii(c: char) -> Option<Folded> {
    if let Some(folded) = by_hand(c) {
        return Some(folded);
    }
    // Greek to Georgian, and most of the east: nothing there is ASCII in another dress.
    if matches!(c, '\0'..='\u{7f}' | '\u{370}'..='\u{1cff}' | '\u{3400}'..='\u{faff}') {
        return None;
    }
    let code = c as u32;
    if let Ok(idx) = ONE.binary_search_by_key(&code, |entry| entry >> 8) {
        return ONE.get(idx).map(|entry| Folded::One((entry & 0x7f) as u8));
    }
    let idx = MANY.binary_search_by_key(&code, |(code, _)| *code).ok()?;
    MANY.get(idx).map(|(_, text)| Folded::Many(text))
}

/// What people write for one another and Unicode keeps apart.
const fn by_hand(c: char) -> Option<Folded> {
    Some(match c {
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => Folded::One(b'\''),
        '\u{110}' | '\u{111}' => Folded::One(b'd'),
        '\u{131}' => Folded::One(b'i'),
        '\u{141}' | '\u{142}' => Folded::One(b'l'),
        '\u{d8}' | '\u{f8}' => Folded::One(b'o'),
        '\u{c6}' | '\u{e6}' => Folded::Many("ae"),
        '\u{152}' | '\u{153}' => Folded::Many("oe"),
        '\u{df}' | '\u{1e9e}' => Folded::Many("ss"),
        _ => return None,
    })
}

/// The same between letters that are not ASCII.
const fn spelled_alike(c: char) -> Option<char> {
    Some(match c {
        // Cyrillic yo.
        '\u{401}' | '\u{451}' => '\u{435}',
        // Alef with its signs, the two forms of yeh, Persian yeh and kaf.
        '\u{622}' | '\u{623}' | '\u{625}' | '\u{671}' => '\u{627}',
        '\u{649}' | '\u{6cc}' => '\u{64a}',
        '\u{6a9}' => '\u{643}',
        // Devanagari letters with a dot below.
        '\u{958}' => '\u{915}',
        '\u{959}' => '\u{916}',
        '\u{95a}' => '\u{917}',
        '\u{95b}' => '\u{91c}',
        '\u{95c}' => '\u{921}',
        '\u{95d}' => '\u{922}',
        '\u{95e}' => '\u{92b}',
        '\u{95f}' => '\u{92f}',
        _ => return None,
    })
}

/// The ASCII letter that a letter of another script looks like.
pub fn looks_like(c: char) -> Option<u8> {
    let idx = LOOKALIKES.binary_search_by_key(&c, |(other, _)| *other).ok()?;
    LOOKALIKES.get(idx).map(|(_, ascii)| *ascii)
}

/// A letter that has no ASCII form, as it is compared: in lower case, and spelled in one way. What most texts are made of
/// needs no look into tables.
pub fn plain(c: char) -> impl Iterator<Item = char> {
    let simple = match c {
        _ if spelled_alike(c).is_some() => spelled_alike(c),
        '\u{430}'..='\u{44f}'
        | '\u{5d0}'..='\u{64a}'
        | '\u{900}'..='\u{97f}'
        | '\u{3040}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => Some(c),
        '\u{410}'..='\u{42f}' => char::from_u32(c as u32 + 0x20),
        _ => None,
    };
    let table = simple.is_none().then(|| c.to_lowercase());
    simple.into_iter().chain(table.into_iter().flatten())
}

/// Letters that folding leaves as they are: what most texts beyond ASCII are made of.
pub const fn is_settled(c: char) -> bool {
    matches!(c, '\u{430}'..='\u{44f}' | '\u{5d0}'..='\u{5ea}' | '\u{626}'..='\u{63f}' | '\u{641}'..='\u{648}'
        | '\u{64a}' | '\u{904}'..='\u{939}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

/// A word as the folded view has it.
pub fn fold_word(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars().filter(|c| !is_left_out(*c)) {
        match to_ascii(c) {
            Some(Folded::One(byte)) => out.push(char::from(byte)),
            Some(Folded::Many(text)) => out.push_str(text),
            None => out.extend(plain(c)),
        }
    }
    out
}

/// Small letters, since texts are compared in lower case; sorted.
static LOOKALIKES: [(char, u8); 67] = [
    // Letters of phonetic alphabets.
    ('\u{251}', b'a'),
    ('\u{261}', b'g'),
    ('\u{26a}', b'i'),
    // Greek.
    ('\u{3b1}', b'a'),
    ('\u{3b3}', b'y'),
    ('\u{3b5}', b'e'),
    ('\u{3b9}', b'i'),
    ('\u{3ba}', b'k'),
    ('\u{3bd}', b'v'),
    ('\u{3bf}', b'o'),
    ('\u{3c1}', b'p'),
    ('\u{3c3}', b'o'),
    ('\u{3c4}', b't'),
    ('\u{3c5}', b'u'),
    ('\u{3c7}', b'x'),
    ('\u{3c9}', b'w'),
    ('\u{3f2}', b'c'),
    ('\u{3f3}', b'j'),
    // Cyrillic.
    ('\u{430}', b'a'),
    ('\u{432}', b'b'),
    ('\u{433}', b'r'),
    ('\u{435}', b'e'),
    ('\u{437}', b'3'),
    ('\u{43a}', b'k'),
    ('\u{43c}', b'm'),
    ('\u{43d}', b'h'),
    ('\u{43e}', b'o'),
    ('\u{440}', b'p'),
    ('\u{441}', b'c'),
    ('\u{442}', b't'),
    ('\u{443}', b'y'),
    ('\u{445}', b'x'),
    ('\u{44c}', b'b'),
    ('\u{455}', b's'),
    ('\u{456}', b'i'),
    ('\u{457}', b'i'),
    ('\u{458}', b'j'),
    ('\u{461}', b'w'),
    ('\u{475}', b'v'),
    ('\u{49b}', b'k'),
    ('\u{4a3}', b'h'),
    ('\u{4af}', b'y'),
    ('\u{4b3}', b'x'),
    ('\u{4bb}', b'h'),
    ('\u{4cf}', b'l'),
    ('\u{4d9}', b'e'),
    ('\u{501}', b'd'),
    ('\u{51b}', b'q'),
    ('\u{51d}', b'w'),
    // Armenian.
    ('\u{561}', b'w'),
    ('\u{563}', b'q'),
    ('\u{566}', b'q'),
    ('\u{570}', b'h'),
    ('\u{578}', b'n'),
    ('\u{57c}', b'n'),
    ('\u{57d}', b'u'),
    ('\u{581}', b'g'),
    ('\u{584}', b'f'),
    ('\u{585}', b'o'),
    // Small capitals, and Coptic.
    ('\u{1d04}', b'c'),
    ('\u{1d0f}', b'o'),
    ('\u{1d1c}', b'u'),
    ('\u{1d20}', b'v'),
    ('\u{1d21}', b'w'),
    ('\u{1d22}', b'z'),
    ('\u{2c9f}', b'o'),
    ('\u{a731}', b's'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_in_lower_case() {
        let is_right = |c: char| match spelled_alike(c) {
            Some(plain) => super::plain(c).eq([plain]) && super::plain(plain).eq([plain]),
            None => plain(c).eq(c.to_lowercase()),
        };
        let wrong = (char::MIN..=char::MAX).find(|c| !is_right(*c));
        assert_eq!(wrong, None);
    }

    #[test]
    fn settled_letters_stay_what_they_are() {
        let changes = |c: &char| is_left_out(*c) || to_ascii(*c).is_some() || !plain(*c).eq([*c]);
        assert_eq!((char::MIN..=char::MAX).filter(|c| is_settled(*c)).find(changes), None);
    }

    #[test]
    fn lookalikes_are_in_order() {
        assert!(LOOKALIKES.is_sorted(), "sort the table");
    }

    #[test]
    fn dressed_letters_are_the_plain_ones() {
        for (word, plain) in [
            ("\u{ff29}gnore", "ignore"),
            ("\u{1d422}\u{1d420}\u{1d427}\u{1d428}\u{1d42b}\u{1d41e}", "ignore"),
            ("\u{24d8}gn\u{f6}r\u{e9}", "ignore"),
            ("e\u{301}", "e"),
            ("\u{fb01}n", "fin"),
            ("stra\u{df}e", "strasse"),
            ("\u{451}\u{436}", "\u{435}\u{436}"),
            ("\u{623}\u{6a9}", "\u{627}\u{643}"),
            ("\u{95b}", "\u{91c}"),
            ("\u{91c}\u{93c}", "\u{91c}"),
            ("\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}", "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            ("\u{4f60}\u{597d}", "\u{4f60}\u{597d}"),
            ("\u{c5}\u{d8}", "ao"),
        ] {
            assert_eq!(fold_word(word), plain);
        }
    }
}
