//! What limits, sessions and the memory of known texts add to a request, natively and in Envoy's V8 with its shared data.

use anyhow::Result;
use sentinel_probe::guards::Row;

use super::{least, probe::Probe};

pub(super) fn run(passes: usize) -> Result<()> {
    let probe = Probe::build("guards")?;
    let (mut native, mut v8) = (Vec::new(), Vec::new());
    for _ in 0..passes.max(1) {
        native.push(probe.natively()?);
        v8.push(probe.in_envoy()?);
    }
    println!(
        "microseconds of an exchange without them, and what they add; the quietest of {} passes",
        passes.max(1)
    );
    println!(
        "{:<8} {:<18} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>12}",
        "", "body", "bytes", "without", "limits", "sessions", "known", "all", "texts known"
    );
    for (name, passes) in [("native", &native), ("V8", &v8)] {
        print_rows(name, passes);
    }
    Ok(())
}

fn print_rows(name: &str, passes: &[Vec<Row>]) {
    for (idx, row) in passes.first().into_iter().flatten().enumerate() {
        let of = |value: fn(&Row) -> f64| {
            least(&passes.iter().filter_map(|rows| rows.get(idx)).map(value).collect::<Vec<_>>())
        };
        let plain = of(|row| row.plain);
        println!(
            "{name:<8} {:<18} {:>6} {:>8.1} {:>+8.1} {:>+8.1} {:>+8.1} {:>+8.1} {:>+12.1}",
            row.body,
            row.bytes,
            plain,
            of(|row| row.with_limits) - plain,
            of(|row| row.with_sessions) - plain,
            of(|row| row.with_known) - plain,
            of(|row| row.with_all) - plain,
            of(|row| row.all_known) - plain,
        );
    }
}
