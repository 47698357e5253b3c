//! `sentinel events list`.

use serde_json::Value;

use super::question::Which;
use crate::{
    collector::{self, Collector},
    command::bundle::moment,
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    collector: collector::Args,
    #[command(flatten)]
    which: Which,
    /// At most so many, 1 to 1000.
    #[arg(long, default_value_t = 50)]
    limit: u16,
    /// Go on where a list ended, which says its place.
    #[arg(long, value_name = "PLACE")]
    before: Option<String>,
}

const COLUMNS: [&str; 7] = ["time", "id", "verdict", "action", "score", "route", "rules"];
/// Longer cells are cut: the line of one event shall stay one line.
const CELL_CHARS_MAX: usize = 48;

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let mut query = args.which.parameters();
    query.add("limit", Some(&args.limit.to_string()));
    query.add("before", args.before.as_deref());
    let answer = Collector::new(&args.collector)?.get(&query.on("/v1/events"))?;
    let events = answer.get("events").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut text = match events {
        [] => "no events\n".to_owned(),
        events => table(events.iter().map(row).collect()),
    };
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        text.push_str(&format!("there may be more: --before {next}\n"));
    }
    Ok(collector::report(text, answer))
}

fn row(event: &Value) -> [String; 7] {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let at = event.get("time_ms").and_then(Value::as_u64).map(|ms| moment::show(ms / 1_000));
    let score = event.get("score").and_then(Value::as_f64).map(|score| format!("{score:.2}"));
    let mut rules: Vec<&str> = Vec::new();
    for finding in event.get("findings").and_then(Value::as_array).into_iter().flatten() {
        match finding.get("rule").and_then(Value::as_str) {
            Some(rule) if !rules.contains(&rule) => rules.push(rule),
            _ => {}
        }
    }
    let cells = [
        at.unwrap_or_default(),
        text("id").to_owned(),
        text("verdict").to_owned(),
        text("action").to_owned(),
        score.unwrap_or_default(),
        text("route").to_owned(),
        rules.join(" "),
    ];
    cells.map(|cell| shown(&cell))
}

/// What stands in an event may come from an attacker, and must not speak to the terminal.
fn shown(text: &str) -> String {
    let mut to: String =
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(CELL_CHARS_MAX).collect();
    if text.chars().nth(CELL_CHARS_MAX).is_some() {
        to.push('…');
    }
    to
}

fn table(rows: Vec<[String; 7]>) -> String {
    let rows: Vec<[String; 7]> = [COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
