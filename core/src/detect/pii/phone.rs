//! Telephone numbers: international ones by their country code, those of North America by their form, others by the
//! words near them.

use super::{
    Bytes, Candidate, Entity, Evidence, Scan, Token,
    context::{PHONE, THING, VERSION},
};

const DIGITS_MAX: usize = 15;
const GROUPS_MAX: usize = 8;

/// A number as it is written: digits in groups, between them spaces, dots, dashes, parentheses. Moves from group to
/// group and reads each of them once.
#[derive(Debug, Default)]
pub(super) struct Written {
    start: usize,
    has_plus: bool,
    digits: [u8; DIGITS_MAX],
    groups: [Group; GROUPS_MAX],
    n_groups: usize,
    /// Where the last part of an announcement begins, as far as the text was searched.
    last_part: Option<usize>,
    searched: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Group {
    len: u8,
    /// What stands before it: one character, or `(` for more.
    separator: u8,
    /// Where it begins and ends in the text.
    start: u32,
    end: u32,
}

pub(super) fn offer(scan: &mut Scan<'_>, token: Token, written: &mut Written) {
    if !written.may_begin(scan, token.start) || !written.move_to(scan.text, token.start) {
        return;
    }
    if let Some((entity, end, evidence)) = written.judge(scan) {
        let end = with_extension(scan.text, end);
        let start = written.start;
        if scan.text.begins(start) && scan.text.ends(end) {
            scan.offer(Candidate::new(entity, start, end, evidence));
        }
    }
}

impl Written {
    /// A cheap look at what [`Self::judge`] asks for, before all groups are read.
    fn may_begin(&mut self, scan: &mut Scan<'_>, first: usize) -> bool {
        let text = scan.text;
        let has_plus = text.before(first) == b'+';
        let is_national = text.at(first) == b'0' && text.at(first + 1) != b'0';
        let is_open = text.before(first) == b'(';
        if has_plus || (is_national && (is_open || scan.level >= Entity::LoosePhone.level())) {
            return true;
        }
        let end = first + digits_at(text, first);
        if has_north_american_groups(text, first, end) {
            return true;
        }
        let start = first - usize::from(is_open && text.at(end) == b')');
        scan.context.last_before(start, first, scan.budget) & PHONE != 0 || self.is_announced(text, start)
    }

    /// Reads the number whose first digit is at `first`. Answers whether it may be one.
    fn move_to(&mut self, text: Bytes<'_>, first: usize) -> bool {
        let known = self.groups().iter().position(|group| group.start as usize == first);
        self.drop_groups(known.unwrap_or(self.n_groups));
        let (mut at, mut separator) = (first, 0);
        if let Some(last) = self.groups().last() {
            at = last.end as usize;
            match separator_at(text, at) {
                Some((next, len)) => (at, separator) = (at + len, next),
                None => at = text.len(),
            }
        }
        while let Some(end) = self.read_group(text, at, separator) {
            let Some((next, len)) = separator_at(text, end) else { break };
            (at, separator) = (end + len, next);
        }
        let group_end = self.groups().first().map_or(first, |group| group.end as usize);
        self.has_plus = text.before(first) == b'+';
        let sign = first - usize::from(self.has_plus);
        // A parenthesis belongs to the number if it closes behind the first group.
        self.start = sign - usize::from(text.before(sign) == b'(' && text.at(group_end) == b')');
        self.n_groups > 0 && self.n_digits(self.n_groups) > 5 || self.has_plus
    }

    fn read_group(&mut self, text: Bytes<'_>, start: usize, separator: u8) -> Option<usize> {
        let n_before = self.n_digits(self.n_groups);
        let slot = self.groups.get_mut(self.n_groups)?;
        let room = self.digits.get_mut(n_before..)?;
        let rest = text.range(start, start + room.len() + 1);
        let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let group = rest.get(..len).filter(|group| !group.is_empty())?;
        for (slot, digit) in room.get_mut(..len)?.iter_mut().zip(group) {
            *slot = *digit;
        }
        let end = start + len;
        *slot = Group { len: len as u8, separator, start: start as u32, end: end as u32 };
        self.n_groups += 1;
        Some(end)
    }

    fn drop_groups(&mut self, n_groups: usize) {
        let n_digits = self.n_digits(n_groups);
        let n_digits_all = self.n_digits(self.n_groups);
        // Both are at most what there is.
        self.groups.copy_within(n_groups..self.n_groups, 0);
        self.digits.copy_within(n_digits..n_digits_all, 0);
        self.n_groups -= n_groups;
        if let Some(first) = self.groups.first_mut() {
            first.separator = 0;
        }
    }

    fn groups(&self) -> &[Group] {
        self.groups.get(..self.n_groups).unwrap_or_default()
    }

    /// Digits of the first groups.
    fn n_digits(&self, n_groups: usize) -> usize {
        self.groups().iter().take(n_groups).map(|group| usize::from(group.len)).sum()
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.n_digits(self.n_groups)).unwrap_or_default()
    }

    fn judge(&mut self, scan: &mut Scan<'_>) -> Option<(Entity, usize, Evidence)> {
        if self.has_plus {
            let end = self.international()?;
            return Some((Entity::Phone, end, Evidence::Context));
        }
        if let Some((end, is_sure)) = self.north_american() {
            let last = scan.context.last_before(self.start, end, scan.budget);
            let says = last & PHONE != 0 || self.is_announced(scan.text, self.start);
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
        let is_grouped = self.n_groups > 1 && !matches!(self.groups(), [Group { len: 1, .. }, ..]);
        let has_area = is_national && is_grouped && scan.text.at(self.start) == b'(';
        let last = scan.context.last_before(self.start, end, scan.budget);
        let says = last & PHONE != 0
            || (last & THING == 0 && (has_area || self.is_announced(scan.text, self.start)));
        if says && !scan.text.range(self.start, end).contains(&b'/') {
            return Some((Entity::Phone, end, Evidence::Context));
        }
        let is_loose = is_national && is_grouped && (9..=11).contains(&n_digits) && last & THING == 0;
        is_loose.then_some((Entity::LoosePhone, end, Evidence::Format))
    }

    /// "My number is" and the like: without a word for telephones, but nobody means another number.
    fn is_announced(&mut self, text: Bytes<'_>, start: usize) -> bool {
        const REACH: usize = 20;
        const PHRASES: [&str; 7] = [
            "my number",
            "his number",
            "her number",
            "meine nummer",
            "mijn nummer",
            "mitt nummer",
            "mit nummer",
        ];
        const PART: &[u8] = b"num";
        let reach = start.saturating_sub(REACH);
        let from = self.searched.max(reach);
        let news = text.range(from, start).windows(PART.len()).rposition(|window| window == PART);
        self.last_part = news.map(|at| from + at).or(self.last_part);
        // A part may have begun.
        self.searched = start.saturating_sub(PART.len() - 1).max(self.searched);
        let before = text.range(reach, start);
        self.last_part.is_some_and(|at| at >= reach)
            && PHRASES
                .iter()
                .any(|phrase| before.windows(phrase.len()).any(|window| window == phrase.as_bytes()))
    }

    /// The end of a number with a country code, as long as such numbers are.
    fn international(&self) -> Option<usize> {
        let code = calling_code(self.digits())?;
        let (min, max) =
            if code == 1 && self.digits().first() == Some(&b'1') { (11, 11) } else { (code + 6, 15) };
        let fits = |n_groups: &usize| (min..=max).contains(&self.n_digits(*n_groups));
        let n_groups = (1..=self.n_groups).rev().find(fits)?;
        self.groups().get(n_groups - 1).map(|group| group.end as usize)
    }

    /// `(212) 555-0143` and its variants; and whether the form alone says so.
    fn north_american(&self) -> Option<(usize, bool)> {
        let groups = self.groups();
        let prefixed = matches!(groups, [Group { len: 1, .. }, ..]) && self.digits().starts_with(b"1")
            || matches!(groups, [Group { len: 3, .. }, ..]) && self.digits().starts_with(b"001");
        let skipped = usize::from(prefixed);
        let [area, exchange, line, ..] = groups.get(skipped..)? else { return None };
        if (area.len, exchange.len, line.len) != (3, 3, 4) {
            return None;
        }
        let (first, second) = (exchange.separator, line.separator);
        let digits = self.digits().get(self.n_digits(skipped)..)?;
        let is_area = |idx: usize| digits.get(idx).is_some_and(|d| *d > b'1');
        let is_longer = groups.get(skipped + 3).is_some_and(|group| group.separator == second);
        let is_formed = matches!((first, second), (b'(', b'-' | b' ' | b'.') | (b'-', b'-') | (b'.', b'.'));
        let is_listed = is_area(0) && is_area(3);
        (!is_longer).then_some((line.end as usize, is_formed && is_listed))
    }

    /// The longest number of groups that a telephone number can have.
    fn longest(&self) -> Option<(usize, usize)> {
        const NATIONAL_MAX: usize = 13;
        let n_groups = (1..=self.n_groups).rev().find(|n| self.n_digits(*n) <= NATIONAL_MAX)?;
        // The rest would belong to it.
        if self.groups().get(n_groups).is_some_and(|group| matches!(group.separator, b' ' | b'-' | b'.')) {
            return None;
        }
        let last = self.groups().get(n_groups - 1)?;
        Some((last.end as usize, self.n_digits(n_groups)))
    }

    fn has_lengths(&self, lengths: &[u8]) -> bool {
        self.groups().iter().map(|group| group.len).eq(lengths.iter().copied())
    }

    /// Years, days and months; and spans of years.
    fn is_date(&self) -> bool {
        let is_year = |at: usize| matches!(self.digits().get(at..at + 2), Some(b"19" | b"20"));
        let mut lengths = [0; 3];
        for (slot, group) in lengths.iter_mut().zip(self.groups()) {
            *slot = group.len;
        }
        match lengths {
            [4, 1 | 2, 1 | 2] | [4, 4, 0] => is_year(0),
            [1 | 2, 1 | 2, 4] => is_year(usize::from(lengths.iter().take(2).sum::<u8>())),
            [8, ..] => is_year(0),
            _ => false,
        }
    }
}

/// `212 555`, or the same behind `1` or `001`.
fn has_north_american_groups(text: Bytes<'_>, first: usize, end: usize) -> bool {
    let next = |end: usize| {
        let start = end + separator_at(text, end).map_or(0, |(_, len)| len);
        (start > end).then(|| (start, start + digits_at(text, start)))
    };
    let is_three = |group: Option<(usize, usize)>| group.is_some_and(|(start, end)| end - start == 3);
    let Some(second) = next(end).filter(|second| is_three(Some(*second))) else { return false };
    match text.range(first, end) {
        [b'1'] => is_three(next(second.1)),
        area => area.len() == 3,
    }
}

/// How many digits stand there; more than any group has count as one more.
fn digits_at(text: Bytes<'_>, start: usize) -> usize {
    text.range(start, start + DIGITS_MAX + 1).iter().take_while(|b| b.is_ascii_digit()).count()
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
