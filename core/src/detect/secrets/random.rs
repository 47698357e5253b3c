//! Whether a text looks as if it was drawn by chance, or was written by somebody: a word, a name, a sample.

use super::chars::{Set, is_word_at};

/// Words that say that a value only stands for one.
const FILLERS: [&[u8]; 22] = [
    b"example",
    b"xxxx",
    b"your",
    b"placeholder",
    b"redacted",
    b"change",
    b"dummy",
    b"sample",
    b"insert",
    b"replace",
    b"removed",
    b"secret",
    b"token",
    b"api_key",
    b"apikey",
    b"api-key",
    b"password",
    b"passwd",
    b"goes",
    b"here",
    b"0000000",
    b"1234567",
];

/// The first two bytes of fillers, five bits of each: nearly everywhere in a value they say that none begins there.
static FILLER_PAIRS: [u32; 32] = {
    let mut pairs = [0; 32];
    let mut idx = 0;
    while idx < FILLERS.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the loop's bound")]
        if let [first, second, ..] = FILLERS[idx] {
            pairs[(*first & 31) as usize] |= 1 << (*second & 31);
        }
        idx += 1;
    }
    pairs
};

/// More than this of a value is not looked at.
pub(super) const JUDGED_MAX: usize = 512;

/// What the letters of a text are like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Letters {
    pub(super) len: usize,
    pub(super) lower: usize,
    pub(super) upper: usize,
    pub(super) digits: usize,
    pub(super) other: usize,
    pub(super) distinct: usize,
    /// Neighbours that are the same or follow each other, such as `aa`, `ab` or `12`.
    steps: usize,
    /// Shannon's entropy of a letter, in thousandths of a bit.
    pub(super) millibits: u32,
}

impl Letters {
    pub(super) fn of(text: &[u8]) -> Self {
        let text = text.get(..text.len().min(JUDGED_MAX)).unwrap_or_default();
        let mut letters = Self { len: text.len(), ..Self::default() };
        let mut counts = [0_u16; 256];
        let mut before = 0_u8;
        // The sum of c log2(c) over all letters.
        let mut sum = 0;
        for &byte in text {
            match byte {
                b'a'..=b'z' => letters.lower += 1,
                b'A'..=b'Z' => letters.upper += 1,
                b'0'..=b'9' => letters.digits += 1,
                _ => letters.other += 1,
            }
            letters.steps += usize::from(byte == before || byte == before.wrapping_add(1));
            before = byte;
            if let Some(count) = counts.get_mut(usize::from(byte)) {
                letters.distinct += usize::from(*count == 0);
                sum -= weight(*count);
                *count += 1;
                sum += weight(*count);
            }
        }
        let len = letters.len as u32;
        letters.millibits = log2_of(letters.len).saturating_sub(sum / len.max(1));
        letters
    }

    /// The same few letters again and again, or an alphabet.
    const fn is_monotonous(self) -> bool {
        let few = if self.len >= 32 { 7 } else { 6 };
        self.distinct < few || self.steps * 2 > self.len
    }
}

/// c log2(c)
fn weight(count: u16) -> u32 {
    u32::from(count) * log2_of(usize::from(count))
}

fn log2_of(count: usize) -> u32 {
    LOGARITHMS.get(count).copied().map_or(0, u32::from)
}

/// Of all counts that letters can have.
static LOGARITHMS: [u16; JUDGED_MAX + 1] = {
    let mut table = [0; JUDGED_MAX + 1];
    let mut value = 0;
    while value < table.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the loop's bound")]
        {
            table[value] = log2_milli(value as u32) as u16;
        }
        value += 1;
    }
    table
};

/// The logarithm to base 2 in thousandths; 0 for 0.
const fn log2_milli(value: u32) -> u32 {
    let Some(whole) = value.checked_ilog2() else { return 0 };
    // The rest is between 1 and 2, in 1/65536; squaring it ten times gives ten bits of the logarithm.
    let mut rest = ((value as u64) << 16) >> whole;
    let mut fraction = 0_u32;
    let mut n_bits = 0;
    while n_bits < 10 {
        n_bits += 1;
        rest = (rest * rest) >> 16;
        fraction <<= 1;
        if rest >= 2 << 16 {
            rest >>= 1;
            fraction |= 1;
        }
    }
    whole * 1000 + fraction * 1000 / 1024
}

/// Stands for a secret and is none.
pub(super) fn is_filler(text: &[u8]) -> bool {
    let text = text.get(..text.len().min(JUDGED_MAX)).unwrap_or_default();
    Letters::of(text).is_monotonous() || has_filler(text)
}

fn has_filler(text: &[u8]) -> bool {
    let begins = |[first, second]: &[u8; 2]| {
        FILLER_PAIRS.get(usize::from(first & 31)).is_some_and(|pairs| pairs >> (second & 31) & 1 == 1)
    };
    let mut places = text.array_windows::<2>().enumerate().filter(|(_, pair)| begins(pair));
    places.any(|(at, _)| FILLERS.iter().any(|filler| is_word_at(text, at, filler)))
}

/// A key or token that says nothing to anybody.
pub(super) fn is_random(text: &[u8]) -> bool {
    let letters = Letters::of(text);
    if letters.is_monotonous() || letters.digits == 0 || letters.lower + letters.upper == 0 {
        return false;
    }
    let enough = match () {
        () if Set::HEX.holds(text) => 2_800,
        () if letters.len < 20 => 3_100,
        () if letters.lower > 0 && letters.upper > 0 => 3_600,
        () => 3_400,
    };
    letters.millibits >= enough
        && !is_worded(text)
        && !has_filler(text.get(..letters.len).unwrap_or_default())
}

/// Made of words: long stretches of letters in one case, as names in programs and file names have them.
pub(super) fn is_worded(text: &[u8]) -> bool {
    const WORD_MIN: usize = 4;
    let mut in_words = 0;
    let mut len = 0;
    let mut has_vowel = false;
    let mut before = 0_u8;
    let mut close = |len: &mut usize, has_vowel: &mut bool| {
        if *len >= WORD_MIN && *has_vowel {
            in_words += *len;
        }
        (*len, *has_vowel) = (0, false);
    };
    for &byte in text {
        let goes_on = match byte {
            b'a'..=b'z' => before.is_ascii_lowercase() || (before.is_ascii_uppercase() && len == 1),
            b'A'..=b'Z' => before.is_ascii_uppercase(),
            _ => false,
        };
        if !goes_on {
            close(&mut len, &mut has_vowel);
        }
        if byte.is_ascii_alphabetic() {
            len += 1;
            has_vowel |= b"aeiouAEIOU".contains(&byte);
        }
        before = byte;
    }
    close(&mut len, &mut has_vowel);
    // Where there are few digits, a year or a version perhaps, only letters count.
    let n_digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let n_letters = text.iter().filter(|b| b.is_ascii_alphabetic()).count();
    in_words * 2 > if n_digits * 6 < text.len() { n_letters } else { text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_draws_is_random() {
        for text in
            ["q7GfT2xWb9LkZ4mVp1Rs", "9f86d081884c7d659a2feaa0c55ad015", "zX8+kd/2Lm0QaVb7Rt5Yu1Io9Pe3Sw=="]
        {
            assert!(is_random(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_people_write_is_not() {
        for text in [
            "getPasswordFromEnvironment2",
            "my-app-tls-certificate-2024",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaa1",
            "0123456789abcdef0123456789abcdef",
            "YOUR_API_KEY_GOES_HERE_123",
            "no digits in this one at all",
        ] {
            assert!(!is_random(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        assert_eq!(Letters::of(b"aaaa").millibits, 0);
        assert_eq!(Letters::of(b"abcd").millibits, 2000);
        let millibits = Letters::of(b"aab").millibits;
        assert!((910..=926).contains(&millibits), "{millibits}");
    }
}
