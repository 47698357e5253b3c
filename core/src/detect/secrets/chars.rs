//! Classes of bytes. Everything here is about ASCII: a byte of a longer character belongs to no class.

/// A set of bytes below 0x80, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set(u128);

impl Set {
    pub(super) const DIGIT: Self = Self::EMPTY.range(b'0', b'9');
    pub(super) const LOWER: Self = Self::EMPTY.range(b'a', b'z');
    pub(super) const UPPER: Self = Self::EMPTY.range(b'A', b'Z');
    pub(super) const ALPHA: Self = Self::LOWER.or(Self::UPPER);
    pub(super) const ALNUM: Self = Self::ALPHA.or(Self::DIGIT);
    pub(super) const LOWER_DIGIT: Self = Self::LOWER.or(Self::DIGIT);
    pub(super) const UPPER_DIGIT: Self = Self::UPPER.or(Self::DIGIT);
    pub(super) const HEX: Self = Self::DIGIT.range(b'a', b'f').range(b'A', b'F');
    pub(super) const UUID: Self = Self::HEX.with(b"-");
    pub(super) const DASHED: Self = Self::ALNUM.with(b"-");
    /// What tokens are made of, and base64 in URLs.
    pub(super) const TOKEN: Self = Self::ALNUM.with(b"_-");
    pub(super) const DOTTED: Self = Self::TOKEN.with(b".");
    pub(super) const BASE64: Self = Self::ALNUM.with(b"+/=");
    pub(super) const ANY64: Self = Self::BASE64.with(b"_-");
    /// Values that keys and tokens are written as.
    pub(super) const VALUE: Self = Self::ANY64.with(b".~");
    pub(super) const SHAPED: Self = Self::TOKEN.with(b".:~");
    /// What ends a value without quotes.
    pub(super) const STOP: Self = Self::EMPTY.with(b"\"'`;,&<>|");
    pub(super) const ESCAPED64: Self = Self::ANY64.with(b"%");

    const EMPTY: Self = Self(0);

    const fn range(self, from: u8, to: u8) -> Self {
        let mut bits = self.0;
        let mut byte = from;
        while byte <= to {
            bits |= 1 << byte;
            byte += 1;
        }
        Self(bits)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn with<const N: usize>(self, bytes: &[u8; N]) -> Self {
        let mut bits = self.0;
        let mut rest: &[u8] = bytes;
        while let [byte, after @ ..] = rest {
            bits |= 1 << *byte;
            rest = after;
        }
        Self(bits)
    }

    pub(super) const fn has(self, byte: u8) -> bool {
        byte < 0x80 && self.0 >> byte & 1 == 1
    }

    /// How many bytes from `at` on are of this set, up to `max`.
    pub(super) fn run(self, text: &[u8], at: usize, max: usize) -> usize {
        text.get(at..).unwrap_or_default().iter().take(max).take_while(|b| self.has(**b)).count()
    }

    pub(super) fn holds(self, bytes: &[u8]) -> bool {
        bytes.iter().all(|b| self.has(*b))
    }
}

/// The byte there; 0 outside of the text.
pub(super) fn byte_at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The byte before; 0 at the start.
pub(super) fn byte_before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |before| byte_at(text, before))
}

pub(super) fn slice(text: &[u8], from: usize, to: usize) -> &[u8] {
    text.get(from..to.min(text.len())).unwrap_or_default()
}

pub(super) fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len().max(1)).any(|window| window == needle)
}

/// In any case.
pub(super) fn contains_folded(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len().max(1)).any(|window| window.eq_ignore_ascii_case(needle))
}

/// In lower case, in upper case, or with a capital: as words are written, and seldom drawn by chance.
pub(super) fn is_word_at(text: &[u8], at: usize, word: &[u8]) -> bool {
    let is_even = |window: &[u8]| {
        let mut rest = window.iter().skip(1);
        rest.clone().all(|b| !b.is_ascii_uppercase()) || rest.all(|b| !b.is_ascii_lowercase())
    };
    let window = text.get(at..at + word.len()).unwrap_or_default();
    window.eq_ignore_ascii_case(word) && is_even(window)
}
