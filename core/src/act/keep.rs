//! Masks that leave a part to be seen: the end of a number (`****-****-****-1111`), the domain of an address. The same
//! text always looks the same, and so may two texts: such a mask does not come back in the answer.
//!
//! Invariant: what is written needs no escape in any string, and no more than half of the letters and digits are left.

use alloc::string::String;

use sentinel_model::{Family, fold::is_left_out};

use crate::policy::MaskStyle;

/// Of a secret that is shorter nothing is left: the rest could be guessed.
const SECRET_CHARS_MIN: usize = 16;

/// What a mask shows of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    /// The last letters and digits of a text that has at least so many of them.
    Last {
        n: u8,
        chars_min: usize,
    },
    /// What stands behind the last `@`.
    Domain,
}

impl Kept {
    pub(crate) fn of(style: MaskStyle, rule: &str, family: Family) -> Self {
        match (style, family) {
            (MaskStyle::Placeholder, _) => Self::Nothing,
            (MaskStyle::KeepLast(_), _) if rule == "pii/email" => Self::Domain,
            (MaskStyle::KeepLast(n), Family::Secret) => Self::Last { n, chars_min: SECRET_CHARS_MIN },
            (MaskStyle::KeepLast(n), _) => Self::Last { n, chars_min: 0 },
        }
    }

    /// For one text that two rules see and policy masks in two ways.
    pub(super) fn both(self, other: Self) -> Self {
        if self == other { self } else { Self::Nothing }
    }

    /// What stands for the text; nothing if that is a placeholder.
    pub(super) fn shown(self, original: &str) -> Option<String> {
        // A block of lines has no end that anybody knows it by.
        if original.chars().any(char::is_control) {
            return None;
        }
        match self {
            Self::Nothing => None,
            Self::Last { n, chars_min } => {
                let n_chars = original.chars().filter(|c| c.is_alphanumeric()).count();
                let n_kept = usize::from(n).min(n_chars / 2);
                (n_chars >= chars_min && n_kept > 0).then(|| starred(original, n_chars - n_kept))
            }
            Self::Domain => {
                let (name, domain) = original.rsplit_once('@')?;
                let mut shown = starred(name, usize::MAX);
                shown.push('@');
                shown.push_str(&starred(domain, 0));
                Some(shown)
            }
        }
    }
}

/// The text with a star for each of the first letters and digits, and for whatever is no separator.
fn starred(text: &str, n_stars: usize) -> String {
    let mut n_seen = 0;
    let shown = |c: char| {
        let is_letter = c.is_alphanumeric();
        n_seen += usize::from(is_letter);
        let stays = if is_letter { n_seen > n_stars } else { is_separator(c) };
        if stays { c } else { '*' }
    };
    text.chars().filter(|c| !is_left_out(*c)).map(shown).collect()
}

/// Nothing that a JSON string or a line of text would have to escape.
const fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '/' | '(' | ')' | '+' | ':' | ',' | '_' | '\u{a0}' | '\u{2010}'..='\u{2013}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(style: MaskStyle, rule: &str, family: Family, text: &str) -> Option<String> {
        Kept::of(style, rule, family).shown(text)
    }

    #[track_caller]
    fn check(rule: &str, text: &str, expected: Option<&str>) {
        let family = if rule.starts_with("secret/") { Family::Secret } else { Family::Pii };
        assert_eq!(shown(MaskStyle::KeepLast(4), rule, family, text).as_deref(), expected, "{rule} {text}");
    }

    #[test]
    fn the_end_and_the_separators_stay() {
        check("pii/card", "4111-1111-1111-1111", Some("****-****-****-1111"));
        check("pii/card", "4111 1111 1111 1111", Some("**** **** **** 1111"));
        check("pii/card", "4111111111111111", Some("************1111"));
        check("pii/phone", "+1 (212) 555-0143", Some("+* (***) ***-0143"));
        check("pii/iban", "GB82WEST12345698765432", Some("******************5432"));
        check("pii/dni", "12345678Z", Some("*****678Z"));
    }

    #[test]
    fn of_short_texts_at_most_half_stays() {
        check("pii/mrn", "12345", Some("***45"));
        check("pii/mrn", "123", Some("**3"));
        check("pii/mrn", "1", None);
    }

    #[test]
    fn an_address_keeps_its_domain() {
        check("pii/email", "mary.smith+news@mail.firma.co.uk", Some("****.*****+****@mail.firma.co.uk"));
        check("pii/email", "jürgen@firma.de", Some("******@firma.de"));
        check("pii/email", "bWFyeUBmaXJtYS5kZQ==", None);
    }

    #[test]
    fn short_secrets_and_blocks_keep_nothing() {
        check("secret/password", "Tr4!nsp-Wq8zLm", None);
        check("secret/key", "q7GfT2xWb9LkZ4mVp1Rs", Some("****************p1Rs"));
        check("secret/private-key", "-----BEGIN KEY-----\nMIIBq7GfT2xWb9\n-----END KEY-----", None);
    }

    #[test]
    fn two_ways_for_one_text_are_none() {
        let last = |n| Kept::Last { n, chars_min: 0 };
        assert_eq!(last(4).both(last(4)), last(4));
        assert_eq!(last(4).both(last(2)), Kept::Nothing);
        assert_eq!(Kept::Domain.both(Kept::Nothing), Kept::Nothing);
    }

    proptest! {
        #[test]
        fn no_text_needs_an_escape_or_shows_more_than_its_end(text in "\\PC{0,40}", n in 1..=4_u8) {
            for rule in ["pii/card", "pii/email", "secret/key"] {
                let Some(shown) = shown(MaskStyle::KeepLast(n), rule, Family::Pii, &text) else { continue };
                let must_escape = |c: char| c.is_control() || matches!(c, '"' | '\\' | '<' | '>' | '\u{2028}');
                prop_assert!(!shown.contains(must_escape));
                let kept = shown.chars().filter(|c| c.is_alphanumeric()).count();
                let all = text.chars().filter(|c| c.is_alphanumeric()).count();
                prop_assert!(rule == "pii/email" || kept <= usize::from(n).min(all / 2));
            }
        }
    }
}
