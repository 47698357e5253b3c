//! Reading bodies without judging them, natively and in Envoy's V8, beside `serde_json` on the same bodies. The probe
//! measures from inside and interleaves the readers; here its two builds take turns.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy,
};
use sentinel_probe::{ROUNDS, Row, from_line};

use super::median;
use crate::build::{self, target_dir};

pub(super) fn run(passes: usize) -> Result<()> {
    let program = native_program()?;
    let module = module()?;
    let (mut native, mut v8) = (Vec::new(), Vec::new());
    for _ in 0..passes.max(1) {
        native.push(natively(&program)?);
        v8.push(in_envoy(&module)?);
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

fn native_program() -> Result<PathBuf> {
    build::cargo(&["build", "--package", "sentinel-probe", "--release"])?;
    Ok(target_dir().join("release/sentinel-probe"))
}

/// Built as the filter is.
fn module() -> Result<PathBuf> {
    let example = ["--example", "probe_in_envoy", "--profile", "wasm"];
    let package = ["build", "--package", "sentinel-probe", "--target", build::WASM_TARGET];
    build::cargo(&[&package[..], &example].concat())?;
    Ok(target_dir().join(build::WASM_TARGET).join("wasm/examples/probe_in_envoy.wasm"))
}

fn natively(program: &Path) -> Result<Vec<Row>> {
    let output = Command::new(program).output().with_context(|| program.display().to_string())?;
    from_line(&String::from_utf8_lossy(&output.stdout)).context("the probe said nothing")
}

/// Envoy configures its filters when it validates a bootstrap, and no more than that is needed.
fn in_envoy(module: &Path) -> Result<Vec<Row>> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let report = envoy::validate(&Bootstrap::new(nowhere, Some(WasmFilter::new(module, ""))))?;
    ensure!(report.ok, "Envoy: {}", report.stderr);
    report.stderr.lines().find_map(from_line).context("no line of the probe in Envoy's log")
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
