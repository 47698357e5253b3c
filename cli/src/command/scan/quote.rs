//! Bytes of the input as people can look at them: the lines around a span, with carets under it.
//!
//! Invariant: what is printed moves no cursor and turns no line around, whatever the bytes. Characters that show nothing
//! stand as their code, `<200b>`, so that a finding in them can be seen, and carets stand under what they mean.

use std::fmt::Write;

use sentinel_core::Span;
use sentinel_model::fold;

/// Text of a line that is shown before and behind a finding.
const AROUND_BYTES: usize = 32;
/// Of longer findings the beginning and the end are shown.
const LINES_MAX: usize = 6;
const CELLS_MAX: usize = 96;

pub(super) fn quote(body: &[u8], span: Span) -> String {
    let end = (span.end as usize).min(body.len());
    let start = (span.start as usize).min(end);
    let lines = lines(body, start, end);
    let mut out = String::new();
    for (idx, line) in lines.iter().enumerate() {
        let (n_before, n_behind) = (idx, lines.len() - 1 - idx);
        if lines.len() <= LINES_MAX || n_before < LINES_MAX / 2 || n_behind < LINES_MAX / 2 {
            out.push_str(&line.quote(body));
        } else if n_before == LINES_MAX / 2 {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  … {} lines", lines.len() - LINES_MAX / 2 * 2);
        }
    }
    out
}

/// A line of the body, without what ends it, and the part of it that was found.
struct Line {
    from: usize,
    start: usize,
    end: usize,
    to: usize,
}

fn lines(body: &[u8], start: usize, end: usize) -> Vec<Line> {
    let is_end = |byte: &u8| *byte == b'\n';
    let before = body.get(..start).unwrap_or_default();
    let mut from = before.iter().rposition(is_end).map_or(0, |at| at + 1);
    let mut lines = Vec::new();
    loop {
        let rest = body.get(from..).unwrap_or_default();
        let to = rest.iter().position(is_end).map_or(body.len(), |at| from + at);
        let found = from.max(start)..to.min(end);
        // A finding may be nothing but the end of a line.
        lines.push(Line { from, start: found.start.min(to), end: found.end.max(found.start.min(to)), to });
        // The end of a line belongs to that line.
        if to + 1 >= end || to == body.len() {
            return lines;
        }
        from = to + 1;
    }
}

impl Line {
    fn quote(&self, body: &[u8]) -> String {
        let from = boundary(body, self.start.saturating_sub(AROUND_BYTES).max(self.from), self.start);
        let to = boundary(body, self.end.saturating_add(AROUND_BYTES).min(self.to), self.to);
        let before = Shown::of(body, from, self.start);
        let inside = Shown::of(body, self.start, self.end).shortened();
        let behind = Shown::of(body, self.end, to);
        let (pad, carets) = (" ".repeat(before.width()), "^".repeat(inside.width().max(1)));
        format!("  {}{}{}\n  {pad}{carets}\n", before.text(), inside.text(), behind.text())
    }
}

/// The next place, up to a limit, that is not inside of a character.
fn boundary(body: &[u8], at: usize, limit: usize) -> usize {
    let is_inside = |at: &usize| body.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (at..limit).find(|at| !is_inside(at)).unwrap_or(limit)
}

/// Characters, each as it is printed, and how many cells of a terminal that takes.
struct Shown(Vec<(String, usize)>);

impl Shown {
    fn of(body: &[u8], start: usize, end: usize) -> Self {
        let bytes = body.get(start..end).unwrap_or_default();
        Self(String::from_utf8_lossy(bytes).chars().map(shown).collect())
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, width)| width).sum()
    }

    fn text(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }

    fn shortened(mut self) -> Self {
        if self.width() <= CELLS_MAX {
            return self;
        }
        let fitting = |cells: &mut dyn Iterator<Item = usize>| {
            let mut width = 0;
            cells
                .take_while(|cells| {
                    width += cells;
                    width <= CELLS_MAX / 2
                })
                .count()
        };
        let n_first = fitting(&mut self.0.iter().map(|(_, width)| *width));
        let n_last = fitting(&mut self.0.iter().rev().map(|(_, width)| *width));
        let last = self.0.split_off(self.0.len() - n_last);
        self.0.truncate(n_first);
        self.0.push((String::from("…"), 1));
        self.0.extend(last);
        self
    }
}

fn shown(c: char) -> (String, usize) {
    match c {
        '\t' | '\r' => (String::from(" "), 1),
        _ if is_mark(c) => (String::from(c), 0),
        _ if is_out_of_sight(c) => {
            let code = format!("<{:x}>", u32::from(c));
            let width = code.len();
            (code, width)
        }
        _ if is_wide(c) => (String::from(c), 2),
        _ => (String::from(c), 1),
    }
}

/// Marks that go onto the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20f0}')
}

fn is_out_of_sight(c: char) -> bool {
    c.is_control()
        || fold::is_left_out(c)
        || matches!(c, '\u{61c}' | '\u{180b}'..='\u{180e}' | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}')
}

/// Twice as wide as a letter, in the fonts of terminals: scripts of East Asia, and emoji.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{231a}'..='\u{231b}' | '\u{23e9}'..='\u{23ec}' | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f1e6}'..='\u{1f1ff}'
        | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}' | '\u{1f900}'..='\u{1f9ff}'
        | '\u{1fa70}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, found: &str, expected: &str) {
        let start = body.find(found).expect("the text has it");
        let quoted = quote(body.as_bytes(), Span::new(start, start + found.len()));
        assert_eq!(quoted, expected, "\n{quoted}");
    }

    #[test]
    fn carets_stand_under_the_found_bytes() {
        check("please do it now", "do it", "  please do it now\n         ^^^^^\n");
        check("{\"a\":\"x\\u0041y\"}", "x\\u0041y", "  {\"a\":\"x\\u0041y\"}\n        ^^^^^^^^\n");
    }

    #[test]
    fn wide_characters_and_marks_take_the_cells_that_they_take() {
        check("日本 do 東京!", "do 東京", "  日本 do 東京!\n       ^^^^^^^\n");
        check("😀 a\u{301}b", "b", "  😀 a\u{301}b\n      ^\n");
    }

    #[test]
    fn what_cannot_be_seen_stands_as_its_code() {
        check("a\u{200b}b \u{1b}[2J", "a\u{200b}b", "  a<200b>b <1b>[2J\n  ^^^^^^^^\n");
        check("x\u{202e}y\tz", "\u{202e}", "  x<202e>y z\n   ^^^^^^\n");
        check("hi\u{e0041}", "\u{e0041}", "  hi<e0041>\n    ^^^^^^^\n");
    }

    #[test]
    fn each_line_has_its_carets() {
        check(
            "so one\ntwo\nthree, four",
            "one\ntwo\nthree",
            "  so one\n     ^^^\n  two\n  ^^^\n  three, four\n  ^^^^^\n",
        );
        check("one\r\ntwo", "two", "  two\n  ^^^\n");
        let long = format!("begin{}end", "\nand".repeat(9));
        check(
            &long,
            &long,
            "  begin\n  ^^^^^\n  and\n  ^^^\n  and\n  ^^^\n  … 4 lines\n  and\n  ^^^\n  and\n  ^^^\n  andend\n  ^^^^^^\n",
        );
    }

    #[test]
    fn long_findings_and_long_lines_are_shortened() {
        let found = "x".repeat(200);
        let shown = format!("{}…{}", "x".repeat(48), "x".repeat(48));
        check(
            &format!("{}{found}{}", "é".repeat(40), "b".repeat(40)),
            &found,
            &format!(
                "  {}{shown}{}\n  {}{}\n",
                "é".repeat(16),
                "b".repeat(32),
                " ".repeat(16),
                "^".repeat(97)
            ),
        );
    }

    #[test]
    fn nothing_and_bytes_that_are_no_text_are_shown_too() {
        assert_eq!(quote(b"", Span::default()), "  \n  ^\n");
        assert_eq!(quote(b"ab", Span::new(9, 12)), "  ab\n    ^\n");
        assert_eq!(quote(b"a\xff\xfeb", Span::new(1, 3)), "  a\u{fffd}\u{fffd}b\n   ^^\n");
        assert_eq!(quote(b"a\nb", Span::new(1, 2)), "  a\n   ^\n");
    }
}
