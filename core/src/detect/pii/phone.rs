//! Telephone numbers: international ones by their country code, those of North America by their form, others by the
//! words near them.

use super::{
    Bytes, Candidate, Entity, Evidence, Scan, Token,
    context::{PHONE, THING, VERSION},
};

const DIGITS_MAX: usize = 15;
const GROUPS_MAX: usize = 8;

/// A number as it is written: digits in groups, between them spaces, dots, dashes, parentheses.
#[derive(Debug)]
struct Written {
    start: usize,
    has_plus: bool,
    digits: [u8; DIGITS_MAX],
    /// Length and end of each group, and what stands before it: one character, or `(` for more.
    groups: [(u8, usize, u8); GROUPS_MAX],
    n_groups: usize,
}

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    let Some(written) = Written::read(scan.text, token.start) else { return };
    if let Some((entity, end, evidence)) = written.judge(scan) {
        let end = with_extension(scan.text, end);
        let start = written.start;
        if scan.text.begins(start) && scan.text.ends(end) {
            scan.offer(Candidate::new(entity, start, end, evidence));
        }
    }
}

impl Written {
    fn read(text: Bytes<'_>, first: usize) -> Option<Self> {
        let group_end =
            first + text.range(first, first + DIGITS_MAX).iter().take_while(|b| b.is_ascii_digit()).count();
        let has_plus = text.before(first) == b'+';
        let sign = first - usize::from(has_plus);
        // A parenthesis belongs to the number if it closes behind the first group.
        let start = sign - usize::from(text.before(sign) == b'(' && text.at(group_end) == b')');
        let mut written =
            Self { start, has_plus, digits: [0; DIGITS_MAX], groups: [(0, 0, 0); GROUPS_MAX], n_groups: 0 };
        let (mut at, mut n_digits, mut separator) = (first, 0, 0);
        while written.n_groups < GROUPS_MAX {
            let group_start = at;
            while text.at(at).is_ascii_digit() {
                let Some(slot) = written.digits.get_mut(n_digits) else { break };
                *slot = text.at(at);
                (at, n_digits) = (at + 1, n_digits + 1);
            }
            if at == group_start || text.at(at).is_ascii_digit() {
                break;
            }
            if let Some(slot) = written.groups.get_mut(written.n_groups) {
                *slot = ((at - group_start) as u8, at, separator);
                written.n_groups += 1;
            }
            let Some((next, len)) = separator_at(text, at) else { break };
            (at, separator) = (at + len, next);
        }
        (written.n_groups > 0 && written.n_digits(written.n_groups) > 5 || written.has_plus)
            .then_some(written)
    }

    fn groups(&self) -> &[(u8, usize, u8)] {
        self.groups.get(..self.n_groups).unwrap_or_default()
    }

    /// Digits of the first groups.
    fn n_digits(&self, n_groups: usize) -> usize {
        self.groups().iter().take(n_groups).map(|(len, ..)| usize::from(*len)).sum()
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.n_digits(self.n_groups)).unwrap_or_default()
    }

    fn judge(&self, scan: &mut Scan<'_>) -> Option<(Entity, usize, Evidence)> {
        if self.has_plus {
            let end = self.international()?;
            return Some((Entity::Phone, end, Evidence::Context));
        }
        if let Some((end, is_sure)) = self.north_american() {
            let last = scan.context.last_before(self.start, end, scan.budget);
            let says = last & PHONE != 0 || is_announced(scan.text, self.start);
            if self.digits().ends_with(b"1234567890") {
                return None;
            }
            if says || (is_sure && last & (THING | VERSION) == 0) {
                return Some((Entity::Phone, end, Evidence::Context));
            }
            return Some((Entity::LoosePhone, end, Evidence::Format));
        }
        let (end, n_digits) = self.longest()?;
        if self.is_date() || n_digits < 7 || self.has_lengths(&[3, 2, 4]) {
            return None;
        }
        let is_national = self.digits().first() == Some(&b'0') && self.digits().get(1) != Some(&b'0');
        // A zero by itself begins a decimal.
        let is_grouped = self.n_groups > 1 && !matches!(self.groups(), [(1, ..), ..]);
        let has_area = is_national && is_grouped && scan.text.at(self.start) == b'(';
        let last = scan.context.last_before(self.start, end, scan.budget);
        let says =
            last & PHONE != 0 || (last & THING == 0 && (has_area || is_announced(scan.text, self.start)));
        if says && !scan.text.range(self.start, end).contains(&b'/') {
            return Some((Entity::Phone, end, Evidence::Context));
        }
        let is_loose = is_national && is_grouped && (9..=11).contains(&n_digits) && last & THING == 0;
        is_loose.then_some((Entity::LoosePhone, end, Evidence::Format))
    }

    /// The end of a number with a country code, as long as such numbers are.
    fn international(&self) -> Option<usize> {
        let code = calling_code(self.digits())?;
        let (min, max) =
            if code == 1 && self.digits().first() == Some(&b'1') { (11, 11) } else { (code + 6, 15) };
        let fits = |n_groups: &usize| (min..=max).contains(&self.n_digits(*n_groups));
        let n_groups = (1..=self.n_groups).rev().find(fits)?;
        self.groups().get(n_groups - 1).map(|(_, end, _)| *end)
    }

    /// `(212) 555-0143` and its variants; and whether the form alone says so.
    fn north_american(&self) -> Option<(usize, bool)> {
        let groups = self.groups();
        let prefixed = matches!(groups.first(), Some((1, ..)) if self.digits().starts_with(b"1"))
            || self.digits().starts_with(b"001") && matches!(groups.first(), Some((3, ..)));
        let skipped = usize::from(prefixed);
        let [(3, ..), (3, _, first), (4, end, second), ..] = groups.get(skipped..)? else { return None };
        let digits = self.digits().get(self.n_digits(skipped)..)?;
        let is_area = |idx: usize| digits.get(idx).is_some_and(|d| *d > b'1');
        let is_longer = groups.get(skipped + 3).is_some_and(|(_, _, separator)| separator == second);
        let is_formed = matches!((first, second), (b'(', b'-' | b' ' | b'.') | (b'-', b'-') | (b'.', b'.'));
        let is_listed = is_area(0) && is_area(3);
        (!is_longer).then_some((*end, is_formed && is_listed))
    }

    /// The longest number of groups that a telephone number can have.
    fn longest(&self) -> Option<(usize, usize)> {
        const NATIONAL_MAX: usize = 13;
        let n_groups = (1..=self.n_groups).rev().find(|n| self.n_digits(*n) <= NATIONAL_MAX)?;
        // The rest would belong to it.
        if self
            .groups()
            .get(n_groups)
            .is_some_and(|(_, _, separator)| matches!(separator, b' ' | b'-' | b'.'))
        {
            return None;
        }
        let (_, end, _) = self.groups().get(n_groups - 1)?;
        Some((*end, self.n_digits(n_groups)))
    }

    fn has_lengths(&self, lengths: &[u8]) -> bool {
        self.groups().iter().map(|(len, ..)| *len).eq(lengths.iter().copied())
    }

    /// Years, days and months; and spans of years.
    fn is_date(&self) -> bool {
        let is_year = |at: usize| matches!(self.digits().get(at..at + 2), Some(b"19" | b"20"));
        let mut lengths = [0; 3];
        for (slot, (len, ..)) in lengths.iter_mut().zip(self.groups()) {
            *slot = *len;
        }
        match lengths {
            [4, 1 | 2, 1 | 2] | [4, 4, 0] => is_year(0),
            [1 | 2, 1 | 2, 4] => is_year(usize::from(lengths.iter().take(2).sum::<u8>())),
            [8, ..] => is_year(0),
            _ => false,
        }
    }
}

/// "My number is" and the like: without a word for telephones, but nobody means another number.
fn is_announced(text: Bytes<'_>, start: usize) -> bool {
    const REACH: usize = 20;
    const PHRASES: [&str; 7] =
        ["my number", "his number", "her number", "meine nummer", "mijn nummer", "mitt nummer", "mit nummer"];
    let before = text.range(start.saturating_sub(REACH), start);
    before.windows(3).any(|window| window == b"num")
        && PHRASES.iter().any(|phrase| before.windows(phrase.len()).any(|window| window == phrase.as_bytes()))
}

/// The length of the country code that a number begins with.
fn calling_code(digits: &[u8]) -> Option<usize> {
    match digits {
        [b'1' | b'7', ..] => Some(1),
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => Some(2),
        [b'2' | b'3' | b'4' | b'5' | b'6' | b'8' | b'9', _, ..] => Some(3),
        _ => None,
    }
}

/// What may stand between two groups, and its length: parentheses with or without a space, or one character.
fn separator_at(text: Bytes<'_>, at: usize) -> Option<(u8, usize)> {
    const LEN_MAX: usize = 3;
    if let Some((separator, len)) = text.separator(at).filter(|(_, len)| text.at(at + len).is_ascii_digit()) {
        return Some((separator, len));
    }
    let gap = text.range(at, at + LEN_MAX);
    let len = gap.iter().take_while(|b| b"()-. ".contains(b)).count();
    let parentheses = gap.iter().take(len).filter(|b| b"()".contains(b)).count();
    (parentheses > 0 && text.at(at + len).is_ascii_digit()).then_some((b'(', len))
}

/// The end with `x123` or `ext. 123`, if that follows.
fn with_extension(text: Bytes<'_>, end: usize) -> usize {
    const DIGITS_MAX: usize = 6;
    let mut at = end;
    while text.at(at) == b' ' && at < end + 2 {
        at += 1;
    }
    let word = [&b"ext."[..], b"ext", b"x"].into_iter().find(|word| text.range(at, at + word.len()) == *word);
    let Some(word) = word else { return end };
    at += word.len();
    if text.at(at) == b' ' {
        at += 1;
    }
    let n_digits = text.range(at, at + DIGITS_MAX).iter().take_while(|b| b.is_ascii_digit()).count();
    if n_digits == 0 { end } else { at + n_digits }
}
