//! A number or a code as people write it: groups of letters and digits with one separator between two of them, read
//! once and then compared with patterns.

use super::Bytes;

const CHARS_MAX: usize = 36;
const GROUPS_MAX: usize = 16;
/// A longer word ends a run: nobody's number has one.
const LETTERS_MAX: usize = 6;

/// A window over the groups of a text, which moves from group to group and reads each of them once.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    chars: [u8; CHARS_MAX],
    n_chars: usize,
    groups: [Group; GROUPS_MAX],
    n_groups: usize,
    /// Bit `n` is set where a group ends after `n` characters.
    totals: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Group {
    /// Characters up to its end.
    total: u8,
    /// What stands before it; 0 before the first.
    separator: u8,
    /// Where it begins and ends in the text.
    start: u32,
    end: u32,
}

impl Default for Run {
    fn default() -> Self {
        let groups = [Group::default(); GROUPS_MAX];
        Self { start: 0, chars: [0; CHARS_MAX], n_chars: 0, groups, n_groups: 0, totals: 0 }
    }
}

impl Run {
    /// Reads the run that begins with the group at `start`. What the run before has of it is not read again.
    pub(super) fn move_to(&mut self, text: Bytes<'_>, start: usize) {
        let known = self.groups().iter().position(|group| group.start as usize == start);
        self.drop_groups(known.unwrap_or(self.n_groups));
        self.start = start;
        let (mut at, mut separator) = (start, 0);
        if let Some(last) = self.groups().last() {
            let end = last.end as usize;
            let Some((next, len)) = text.separator(end) else { return };
            (at, separator) = (end + len, next);
        }
        while let Some(end) = self.read_group(text, at, separator) {
            let Some((next, len)) = text.separator(end) else { break };
            (at, separator) = (end + len, next);
        }
    }

    fn drop_groups(&mut self, n_groups: usize) {
        let n_chars = match n_groups.checked_sub(1).and_then(|last| self.groups().get(last)) {
            Some(group) => usize::from(group.total),
            None => return,
        };
        if n_groups == self.n_groups {
            (self.n_groups, self.n_chars, self.totals) = (0, 0, 0);
            return;
        }
        // Both are at most what there is.
        self.groups.copy_within(n_groups..self.n_groups, 0);
        self.chars.copy_within(n_chars..self.n_chars, 0);
        self.n_groups -= n_groups;
        self.n_chars -= n_chars;
        // No group ends before the first character.
        self.totals = self.totals >> n_chars & !1;
        for group in self.groups.iter_mut().take(self.n_groups) {
            group.total -= n_chars as u8;
        }
        if let Some(first) = self.groups.first_mut() {
            first.separator = 0;
        }
    }

    fn read_group(&mut self, text: Bytes<'_>, start: usize, separator: u8) -> Option<usize> {
        let slot = self.groups.get_mut(self.n_groups)?;
        let rest = text.range(start, start + CHARS_MAX + 1);
        let len = rest.iter().position(|c| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let group = rest.get(..len)?;
        let (at, n_chars) = (start + len, self.n_chars + len);
        for (slot, c) in self.chars.get_mut(self.n_chars..n_chars)?.iter_mut().zip(group) {
            *slot = *c;
        }
        let has_digit = group.iter().any(u8::is_ascii_digit);
        if at == start || (!has_digit && at - start > LETTERS_MAX) || text.at(at) == b'_' {
            return None;
        }
        self.n_chars = n_chars;
        *slot = Group { total: n_chars as u8, separator, start: start as u32, end: at as u32 };
        self.n_groups += 1;
        self.totals |= 1 << n_chars;
        Some(at)
    }

    /// The numbers of characters that some group ends after, as bits.
    pub(super) const fn lengths(&self) -> u64 {
        self.totals
    }

    /// The first `n` characters, if a group ends there.
    pub(super) fn first(&self, n: usize) -> Option<&[u8]> {
        (n < 64 && self.totals >> n & 1 == 1).then(|| self.chars.get(..n)).flatten()
    }

    pub(super) fn chars(&self) -> &[u8] {
        self.chars.get(..self.n_chars).unwrap_or_default()
    }

    /// Where in the text the group ends that ends after `n` characters.
    pub(super) fn end_of(&self, n: usize) -> Option<usize> {
        self.groups().iter().find(|group| usize::from(group.total) == n).map(|group| group.end as usize)
    }

    /// Whether dots or slashes separate the first `n` characters.
    pub(super) fn is_dotted(&self, n: usize) -> bool {
        let mut groups = self.groups().iter().take_while(|group| usize::from(group.total) <= n);
        groups.any(|group| matches!(group.separator, b'.' | b'/'))
    }

    /// Whether the first `n` characters are two groups with a point between them: nobody writes a number of a person so.
    pub(super) fn is_decimal(&self, n: usize) -> bool {
        matches!(self.groups(), [_, second, ..] if second.separator == b'.' && usize::from(second.total) == n)
    }

    /// So many short groups that they are a table, a dump, a list.
    pub(super) const fn is_table(&self) -> bool {
        self.n_groups == GROUPS_MAX
    }

    /// Where the last group ends in the text.
    pub(super) fn end(&self) -> usize {
        self.groups().last().map_or(self.start, |group| group.end as usize)
    }

    /// Whether the run begins with groups of these lengths and separators, as in `3-2-4`.
    pub(super) fn has_shape(&self, shape: &str) -> bool {
        let mut groups = self.groups().iter();
        let (mut total, mut separator) = (0, 0);
        for byte in shape.bytes() {
            if byte.is_ascii_digit() {
                total += byte - b'0';
                if !groups.next().is_some_and(|group| group.total == total && group.separator == separator) {
                    return false;
                }
            } else {
                separator = byte;
            }
        }
        true
    }

    fn groups(&self) -> &[Group] {
        self.groups.get(..self.n_groups).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_at(text: &str, start: usize) -> Run {
        let mut run = Run::default();
        run.move_to(Bytes(text.as_bytes()), start);
        run
    }

    fn read(text: &str) -> Run {
        read_at(text, 0)
    }

    proptest! {
        #[test]
        fn a_run_that_moved_is_one_that_was_read(text in "[1-9a-c]{1,9}([ ./-]?[1-9a-d_]{1,8}){0,30}", picks in any::<u64>()) {
            let mut run = Run::default();
            let is_start = |at: usize| at == 0 || !text.as_bytes()[at - 1].is_ascii_alphanumeric();
            for at in (0..text.len()).filter(|at| picks >> (at % 64) & 1 == 1 && is_start(*at)) {
                run.move_to(Bytes(text.as_bytes()), at);
                let fresh = read_at(&text, at);
                let parts = |run: &Run| (run.start, run.chars().to_vec(), run.groups().to_vec(), run.totals);
                prop_assert_eq!(parts(&run), parts(&fresh));
            }
        }
    }

    #[test]
    fn a_run_has_groups_with_one_separator_between_two() {
        let run = read("ab 12-34\u{a0}56c.7  8");
        assert_eq!(run.chars(), b"ab123456c7");
        assert!(run.has_shape("2 2-2 3.1") && !run.has_shape("2 2 2") && !run.has_shape("4"));
        assert_eq!(run.end_of(4), Some(5));
        assert_eq!((run.first(4), run.first(5)), (Some(&b"ab12"[..]), None));
        assert!(run.is_dotted(10) && !run.is_dotted(9));
        assert!(read("1862.77880859375").is_decimal(15) && !read("1862.77880859375").is_decimal(4));
        assert!(!run.is_decimal(10) && !read("1.862.7").is_decimal(5) && !read("1862 77").is_decimal(6));
    }

    #[test]
    fn a_word_ends_a_run() {
        assert_eq!(read("12 apples and 3").chars(), b"12applesand3");
        assert_eq!(read("12 oranges 3").chars(), b"12");
        assert_eq!(read("12 a_b").chars(), b"12");
    }
}
