//! The matrix for people: `docs/coverage.md`, and the same tables in columns for a terminal.

use std::fmt::Write;

use sentinel_core::Direction;

use super::{
    matrix::{Matrix, Row},
    table::{NOT_APPLICABLE, What},
};
use crate::gaps::{KnownGap, KnownGaps};

const INTRODUCTION: &str = "\
# Coverage

Which text of which request and answer is read, judged, masked and given back, and what is not. Every line was tried: on
the core, and on the built filter in a real Envoy, with the same outcome. The places are in
[`tests/coverage/surfaces.yaml`](../tests/coverage/surfaces.yaml). `cargo xtask matrix` tries them and prints what comes
out, `cargo xtask matrix --write` writes this file, and the tests fail where it says something else. All of it is about
the built-in policy; [policy.md](policy.md) says how to judge more, or less.

Four exchanges for each place and each form in which it is sent:

| column | what is sent | what it can come to |
|---|---|---|
| attack | an order to carry the conversation out, which rules judge on every channel but system, developer and assistant | `blocked`: nothing of a request goes on, an answer is replaced, a stream ends before the order is complete. `not judged`: it passes, and belongs on a channel that no rule judges. `missed`: it passes, and should not |
| card number | a card number; in a stream split over three events, where its text comes in pieces | `masked`, with every other byte as it was. `passed` |
| given back | a card number in the request and its placeholder in the answer, split in the same way | `restored`: the client has the number again. `kept`: it has the placeholder |
| harmless text | quotation marks, a line end, letters beyond ASCII | `clean`: byte for byte, and the receipt has no gap. `decoded`: the same without the compression |

`gap(reason)` stands where the text was not read, or not given back for that, and the receipt names the gap by this
reason; in the last column alone, where something beside the text was not read. `refused` with a gap: policy refuses
what cannot be read. [policy.md](policy.md#gaps) has the reasons and what each leads to. `–`: there is nothing to try.
The channel is the one that the card number was found on. A number in brackets leads to a note below the table.
";

const AT_A_GLANCE: &str = "\
## At a glance

| | |
|---|---|
| `full` | attacks are blocked, card numbers masked and given back |
| `masked` | card numbers are masked and given back; no rule judges the channel |
| `missed` | an attack or a card number gets through that should not |
| `gap` | not read, and said so; policy decides whether it passes |
| `*` | not as one would expect; a note below says why |

`stream` is an answer that comes event by event or line by line. Several words in one field are several places.
";

const KNOWN_GAPS: &str = "\
## Known gaps

Cases that fail today, each with its reason, from [`tests/known-gaps.yaml`](../tests/known-gaps.yaml). One that passes
fails the tests until it is taken out of the list.
";

/// `docs/coverage.md`.
pub fn markdown(matrix: &Matrix, gaps: &KnownGaps) -> String {
    let mut out = format!("{INTRODUCTION}\n{AT_A_GLANCE}\n{}", at_a_glance(matrix).markdown());
    for (provider, rows) in by_provider(matrix) {
        let mut notes = Notes::default();
        let table = details(rows, &mut notes).markdown();
        let _ = write!(out, "\n## {provider}\n\n{table}{}", notes.markdown());
    }
    let _ = write!(out, "\n{KNOWN_GAPS}\n{}", known_gaps(gaps).markdown());
    out
}

/// For a terminal.
pub fn plain(matrix: &Matrix) -> String {
    let mut out = at_a_glance(matrix).columns();
    for (provider, rows) in by_provider(matrix) {
        let mut notes = Notes::default();
        let table = details(rows, &mut notes).columns();
        let _ = write!(out, "\n{provider}\n\n{table}{}", notes.markdown());
    }
    out
}

fn by_provider(matrix: &Matrix) -> impl Iterator<Item = (&str, &[Row])> {
    let chunks = matrix.rows.chunk_by(|a, b| a.provider == b.provider);
    chunks.filter_map(|rows| Some((rows.first()?.provider.as_str(), rows)))
}

/// One line for each surface, direction and stream; one column for each kind of text.
fn at_a_glance(matrix: &Matrix) -> Grid {
    let mut head = vec!["surface".to_owned(), String::new()];
    head.extend(What::ALL.map(|what| what.name().to_owned()));
    let mut grid = Grid { head, rows: Vec::new() };
    let surfaces = matrix.rows.chunk_by(|a, b| (&a.provider, &a.surface) == (&b.provider, &b.surface));
    for rows in surfaces {
        let mut name =
            rows.first().map(|row| format!("{}: {}", row.provider, row.surface)).unwrap_or_default();
        for way in ["request", "answer", "stream"] {
            let rows: Vec<&Row> = rows.iter().filter(|row| way_of(row) == way).collect();
            if rows.is_empty() {
                continue;
            }
            let mut cells = vec![std::mem::take(&mut name), way.to_owned()];
            cells.extend(What::ALL.map(|what| marks(&rows, what)));
            grid.rows.push(cells);
        }
    }
    grid
}

fn way_of(row: &Row) -> &'static str {
    match (row.direction, row.is_stream) {
        (Direction::Request, _) => "request",
        (Direction::Response, false) => "answer",
        (Direction::Response, true) => "stream",
    }
}

fn marks(rows: &[&Row], what: What) -> String {
    let mut marks: Vec<String> = rows.iter().filter(|row| row.what == what).map(|row| mark(row)).collect();
    marks.sort();
    marks.dedup();
    marks.join(", ")
}

fn mark(row: &Row) -> String {
    let words = &row.words;
    let is_gap = |word: &str| word.starts_with("gap(");
    let mut mark = match (&*words.attack, &*words.card) {
        ("missed", _) | (_, "passed") => "missed".to_owned(),
        (_, card) if card.starts_with("refused") => card.to_owned(),
        (attack, _) if is_gap(attack) => attack.to_owned(),
        ("blocked", "masked") => "full".to_owned(),
        ("not judged", "masked") => "masked".to_owned(),
        (attack, card) => format!("{attack}, {card}"),
    };
    if words.card == "masked" && (words.restored == "kept" || is_gap(&words.restored)) && !is_gap(&mark) {
        mark.push_str(", not given back");
    }
    if is_gap(&words.harmless) && !is_gap(&mark) {
        let _ = write!(mark, " beside {}", words.harmless);
    }
    // A gap says by itself what is the matter.
    if row.reason.is_some() && !mark.contains("gap(") && words.harmless != "decoded" {
        mark.push('*');
    }
    mark
}

/// Where it was found, and where it belongs if that is another channel.
fn channel(row: &Row) -> String {
    match row.belongs_on.map(|channel| channel.name()) {
        Some(belongs_on) if belongs_on != row.words.channel && row.words.channel != NOT_APPLICABLE => {
            format!("{}, not {belongs_on}", row.words.channel)
        }
        _ => row.words.channel.clone(),
    }
}

fn details(rows: &[Row], notes: &mut Notes) -> Grid {
    let head =
        ["surface", "place", "sent", "channel", "attack", "card number", "given back", "harmless text"];
    let mut grid = Grid { head: head.map(str::to_owned).to_vec(), rows: Vec::new() };
    let mut last_surface = None;
    for rows in rows.chunk_by(is_the_same) {
        let Some(row) = rows.first() else { continue };
        let is_new = last_surface.replace(&row.surface) != Some(&row.surface);
        let surface = if is_new { format!("{}, `{}`", row.surface, row.line) } else { String::new() };
        let note = row.reason.as_ref().map(|reason| format!(" [{}]", notes.number(reason)));
        let forms: Vec<&str> = rows.iter().map(|row| row.form).collect();
        grid.rows.push(vec![
            surface,
            format!("{}{}", row.place(), note.unwrap_or_default()),
            forms.join(", "),
            channel(row),
            row.words.attack.clone(),
            row.words.card.clone(),
            row.words.restored.clone(),
            row.words.harmless.clone(),
        ]);
    }
    grid
}

/// The same place in two forms, with the same outcome.
fn is_the_same(a: &Row, b: &Row) -> bool {
    let place = |row: &Row| (row.surface.clone(), row.place(), row.reason.clone());
    place(a) == place(b) && a.words == b.words && a.belongs_on == b.belongs_on
}

fn known_gaps(gaps: &KnownGaps) -> Grid {
    let row = |gap: &KnownGap| {
        let file = format!("[`{0}`](../tests/cases/{0})", gap.path);
        vec![gap.case.clone(), gap.reason.clone(), file]
    };
    Grid {
        head: ["case", "why it fails", "file"].map(str::to_owned).to_vec(),
        rows: gaps.everywhere().map(row).collect(),
    }
}

#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    fn number(&mut self, note: &str) -> usize {
        let known = self.0.iter().position(|known| known == note);
        1 + known.unwrap_or_else(|| {
            self.0.push(note.to_owned());
            self.0.len() - 1
        })
    }

    fn markdown(&self) -> String {
        let lines: String =
            self.0.iter().zip(1..).map(|(note, number)| format!("{number}. {note}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }
}

#[derive(Debug)]
struct Grid {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(self.head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{rule}{rows}", line(&self.head))
    }

    fn columns(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let len = |row: &Vec<String>, column| row.get(column).map_or(0, |cell: &String| cell.chars().count());
        let widths: Vec<usize> =
            (0..self.head.len()).map(|column| all().map(|row| len(row, column)).max().unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cells: String =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
            format!("{}\n", cells.trim_end())
        };
        all().map(line).collect()
    }
}
