//! A number or a code as people write it: groups of letters and digits with one separator between two of them, read
//! once and then compared with patterns.

use super::Bytes;

const CHARS_MAX: usize = 36;
const GROUPS_MAX: usize = 16;
/// A longer word ends a run: nobody's number has one.
const LETTERS_MAX: usize = 6;

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

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// Characters up to its end.
    total: u8,
    /// What stands before it; 0 before the first.
    separator: u8,
    /// Where it ends in the text.
    end: u32,
}

impl Run {
    /// Reads the run that begins with the group at `start`.
    pub(super) fn read(text: Bytes<'_>, start: usize) -> Self {
        let mut run = Self {
            start,
            chars: [0; CHARS_MAX],
            n_chars: 0,
            groups: [Group::default(); GROUPS_MAX],
            n_groups: 0,
            totals: 0,
        };
        let (mut at, mut separator) = (start, 0);
        while let Some(end) = run.read_group(text, at, separator) {
            let Some((next, len)) = text.separator(end) else { break };
            (at, separator) = (end + len, next);
        }
        run
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
        *slot = Group { total: n_chars as u8, separator, end: at as u32 };
        self.n_groups += 1;
        self.totals |= 1 << n_chars;
        Some(at)
    }

    /// Whether some group ends after one of these numbers of characters.
    pub(super) const fn ends_after_any(&self, totals: u64) -> bool {
        self.totals & totals != 0
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
    use super::*;

    fn read(text: &str) -> Run {
        Run::read(Bytes(text.as_bytes()), 0)
    }

    #[test]
    fn a_run_has_groups_with_one_separator_between_two() {
        let run = read("ab 12-34\u{a0}56c.7  8");
        assert_eq!(run.chars(), b"ab123456c7");
        assert!(run.has_shape("2 2-2 3.1") && !run.has_shape("2 2 2") && !run.has_shape("4"));
        assert_eq!(run.end_of(4), Some(5));
        assert_eq!((run.first(4), run.first(5)), (Some(&b"ab12"[..]), None));
        assert!(run.is_dotted(10) && !run.is_dotted(9));
    }

    #[test]
    fn a_word_ends_a_run() {
        assert_eq!(read("12 apples and 3").chars(), b"12applesand3");
        assert_eq!(read("12 oranges 3").chars(), b"12");
        assert_eq!(read("12 a_b").chars(), b"12");
    }
}
