//! Judging bodies one at a time, natively and in Envoy's V8: benign ones by their median and their tail, hostile ones by
//! what a byte of them costs beside a byte of benign prose.

use anyhow::Result;
use sentinel_probe::judge::{Kind, Row};

use super::{least, probe::Probe};

pub(super) fn run(passes: usize) -> Result<()> {
    let probe = Probe::build("judge")?;
    let (mut native, mut v8) = (Vec::new(), Vec::new());
    for _ in 0..passes.max(1) {
        native.push(probe.natively()?);
        v8.push(probe.in_envoy()?);
    }
    println!("microseconds; the quietest of {} passes in turns", passes.max(1));
    println!(
        "{:<28} {:>8}   {:>8} {:>8} {:>8} {:>8}   {:>8} {:>8} {:>8} {:>8}  {:>8}",
        "body", "bytes", "native", "p99", "level 4", "x count", "V8", "p99", "level 4", "x count", "x benign"
    );
    let (native, v8) = (quietest(&native), quietest(&v8));
    let benign = v8.iter().find(|row| row.bytes > 32_000 && row.kind == Kind::Benign).map_or(1.0, per_byte);
    for (native, v8) in native.iter().zip(&v8) {
        println!(
            "{:<28} {:>8}   {:>8.1} {:>8.1} {:>8.1} {:>8.0}   {:>8.1} {:>8.1} {:>8.1} {:>8.0}  {:>8.2}{}",
            v8.body,
            v8.bytes,
            native.median,
            native.p99,
            native.all_levels,
            native.to_count,
            v8.median,
            v8.p99,
            v8.all_levels,
            v8.to_count,
            per_byte(v8) / benign,
            if v8.is_cut { "  budget" } else { "" },
        );
    }
    Ok(())
}

fn per_byte(row: &Row) -> f64 {
    row.median / row.bytes as f64
}

/// Row by row over all passes: whatever else the machine does only adds to a time.
fn quietest(passes: &[Vec<Row>]) -> Vec<Row> {
    let first = passes.first().cloned().unwrap_or_default();
    let rows = first.into_iter().enumerate().map(|(idx, row)| {
        let of = |time: fn(&Row) -> f64| {
            least(&passes.iter().filter_map(|rows| rows.get(idx)).map(time).collect::<Vec<_>>())
        };
        let (median, p99) = (of(|row| row.median), of(|row| row.p99));
        let (all_levels, to_count) = (of(|row| row.all_levels), of(|row| row.to_count));
        Row { median, p99, all_levels, to_count, ..row }
    });
    rows.collect()
}
