//! Reading bodies without judging them, natively and in Envoy's V8, beside `serde_json` on the same bodies. The probe
//! measures from inside and interleaves the readers; here its two builds take turns.

use anyhow::Result;
use sentinel_probe::extract::{ROUNDS, Row};

use super::{median, probe::Probe};

pub(super) fn run(passes: usize) -> Result<()> {
    let probe = Probe::build("extract")?;
    let (mut native, mut v8) = (Vec::new(), Vec::new());
    for _ in 0..passes.max(1) {
        native.push(probe.natively()?);
        v8.push(probe.in_envoy()?);
    }
    println!("MB/s, medians of {ROUNDS} rounds, {} times each in turns; ratios to `Value`", passes.max(1));
    println!(
        "{:<24} {:>7} {:>9}   {:>7} {:>8} {:>7} {:>7} {:>7}",
        "body", "bytes", "segments", "", "extract", "ratio", "Value", "Ignored"
    );
    for (where_, passes) in [("native", &native), ("V8", &v8)] {
        for row in medians(passes) {
            println!(
                "{:<24} {:>7} {:>9}   {where_:>7} {:>8.0} {:>7.2} {:>7.0} {:>7.0}",
                row.body,
                row.bytes,
                row.segments,
                row.survey,
                row.survey / row.value,
                row.value,
                row.ignored
            );
        }
    }
    Ok(())
}

/// Row by row over all passes.
fn medians(passes: &[Vec<Row>]) -> impl Iterator<Item = Row> {
    let first = passes.first().cloned().unwrap_or_default();
    first.into_iter().enumerate().map(move |(idx, row)| {
        let of = |speed: fn(&Row) -> f64| {
            median(&mut passes.iter().filter_map(|rows| rows.get(idx)).map(speed).collect::<Vec<_>>())
        };
        let (survey, value, ignored) = (of(|row| row.survey), of(|row| row.value), of(|row| row.ignored));
        Row { survey, value, ignored, ..row }
    })
}
