//! Ways of matching the rules, beside ours in the same run: natively, in Envoy's V8, and by what each adds to a module.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use sentinel_probe::matchers::Row;

use super::probe::Probe;
use crate::build::{self, target_dir};

const MANIFEST: &str = "xtask/probe-matchers/Cargo.toml";

struct Way {
    name: &'static str,
    /// Measured in every pass; the others take long and are measured once.
    in_every_pass: bool,
    /// What it asks for is what a VM can have.
    in_v8: bool,
}

const WAYS: [Way; 10] = [
    Way { name: "ours", in_every_pass: true, in_v8: true },
    Way { name: "aho-dfa", in_every_pass: true, in_v8: true },
    Way { name: "aho-nfa", in_every_pass: true, in_v8: true },
    Way { name: "lite", in_every_pass: true, in_v8: true },
    Way { name: "lazy-64", in_every_pass: true, in_v8: true },
    Way { name: "lazy-1024", in_every_pass: false, in_v8: false },
    Way { name: "dfa-phrases", in_every_pass: false, in_v8: true },
    Way { name: "dfa-4-phrases", in_every_pass: false, in_v8: true },
    Way { name: "dfa-rules", in_every_pass: false, in_v8: true },
    Way { name: "dfa-all", in_every_pass: false, in_v8: true },
];

/// Modules that match in one way, and the one that each is held against.
const SIZES: [(&str, &str, &str); 7] = [
    ("ours", "ours", "ground"),
    ("aho-corasick NFA", "aho-nfa", ""),
    ("aho-corasick DFA", "aho-dfa", ""),
    ("regex-lite", "lite", ""),
    ("lazy DFA", "lazy", ""),
    ("dense DFA, built in the VM", "dense", ""),
    ("sparse DFA, built elsewhere", "dense-search", ""),
];

pub(super) fn run(passes: usize) -> Result<()> {
    let probe = build_probe()?;
    let (mut native, mut v8): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
    println!("{}", agreement(&probe)?);
    for pass in 0..passes.max(1) {
        for way in WAYS.iter().filter(|way| pass == 0 || way.in_every_pass) {
            keep_quietest(&mut native, probe.measured_natively(way.name)?);
            if way.in_v8 {
                keep_quietest(&mut v8, in_envoy(&probe, way.name));
            }
        }
    }
    println!(
        "\nmicroseconds per KB, and beside ours; a sample of rules is multiplied up; the quietest of {} passes",
        passes.max(1)
    );
    print_times(&native, &v8);
    println!("\ntables, MiB, and milliseconds until they are built (lazily: with the states of prose, 4 KB)");
    print_tables(&native, &v8);
    println!("\nbytes that code adds to a module, without tables");
    print_sizes()
}

fn build_probe() -> Result<Probe> {
    let into = target_dir().join("matchers");
    let package = ["build", "--manifest-path", MANIFEST, "--package", "sentinel-probe-matchers"];
    build_apart(&[&package[..], &["--release"]].concat())?;
    let example = ["--target", build::WASM_TARGET, "--example", "matchers_in_envoy", "--profile", "wasm"];
    build_apart(&[&package[..], &example].concat())?;
    Ok(Probe {
        program: into.join("release/sentinel-probe-matchers"),
        module: into.join(build::WASM_TARGET).join("wasm/examples/matchers_in_envoy.wasm"),
        what: "",
    })
}

/// Two workspaces in one folder would build each other's packages anew.
fn build_apart(args: &[&str]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    build::run_command(Command::new(cargo).args(args).env("CARGO_TARGET_DIR", target_dir().join("matchers")))
}

fn agreement(probe: &Probe) -> Result<String> {
    let rows: Vec<Row> = probe.measured_natively("agreement")?;
    let row = rows.first().context("no row")?;
    Ok(format!("{} rules that judge what users say; {}", row.rules, row.note))
}

/// What does not come to an end in V8 is an outcome, too.
fn in_envoy(probe: &Probe, way: &str) -> Vec<Row> {
    probe.measured_in_envoy(way).unwrap_or_else(|e| {
        let why = e.to_string();
        println!("{way} in V8: {}", why.lines().next().unwrap_or_default());
        Vec::new()
    })
}

fn keep_quietest(known: &mut Vec<Row>, new: Vec<Row>) {
    for row in new {
        match known.iter_mut().find(|known| is_same(known, &row)) {
            Some(known) => {
                known.per_kb = known.per_kb.min(row.per_kb);
                known.build_ms = known.build_ms.min(row.build_ms);
            }
            None => known.push(row),
        }
    }
}

fn is_same(one: &Row, other: &Row) -> bool {
    one.way == other.way && one.text == other.text && one.bytes == other.bytes
}

fn print_times(native: &[Row], v8: &[Row]) {
    println!(
        "{:<34} {:<12} {:>6}  {:>11} {:>8}  {:>11} {:>8}",
        "way", "text", "bytes", "native", "x ours", "V8", "x ours"
    );
    for row in native.iter().filter(|row| row.bytes > 0) {
        let time = |rows: &[Row]| {
            let per_kb = rows.iter().find(|other| is_same(other, row))?.per_kb;
            let is_ours =
                |other: &&Row| other.way == "ours" && other.text == row.text && other.bytes == row.bytes;
            Some(format!("{per_kb:>11.1} {:>8.2}", per_kb / rows.iter().find(is_ours)?.per_kb))
        };
        let missing = || format!("{:>11} {:>8}", "-", "-");
        let [native, v8] = [native, v8].map(|rows| time(rows).unwrap_or_else(missing));
        println!("{:<34} {:<12} {:>6}  {native}  {v8}", row.way, row.text, row.bytes);
    }
}

fn print_tables(native: &[Row], v8: &[Row]) {
    println!("{:<34} {:>9} {:>9}  {:>11} {:>11}  note", "way", "native", "V8", "native ms", "V8 ms");
    let mut shown: Vec<&str> = Vec::new();
    for row in native {
        if shown.contains(&row.way.as_str()) {
            continue;
        }
        shown.push(&row.way);
        let other = v8.iter().find(|other| is_same(other, row));
        // What could not be built has no tables.
        let shown = |value: f64| if value > 0.0 { format!("{value:.1}") } else { "-".into() };
        let of_v8 = |value: fn(&Row) -> f64| shown(other.map_or(0.0, value));
        println!(
            "{:<34} {:>9} {:>9}  {:>11.0} {:>11}  {}",
            row.way,
            shown(mebibytes(row)),
            of_v8(mebibytes),
            row.build_ms,
            of_v8(|row| row.build_ms),
            row.note
        );
        if let Some(other) = other.filter(|other| other.note != row.note) {
            println!("{:<34} {:>45}  in V8: {}", "", "", other.note);
        }
    }
}

fn mebibytes(row: &Row) -> f64 {
    row.table_bytes / f64::from(1 << 20)
}

fn print_sizes() -> Result<()> {
    for (name, way, ground) in SIZES {
        let added = module_bytes(way)?.saturating_sub(module_bytes(ground)?);
        println!("{name:<34} {added:>9}");
    }
    Ok(())
}

fn module_bytes(features: &str) -> Result<u64> {
    let package = ["build", "--quiet", "--manifest-path", MANIFEST, "--package", "sentinel-matcher-size"];
    let how = ["--target", build::WASM_TARGET, "--profile", "wasm", "--features", features];
    build_apart(&[&package[..], &how].concat())?;
    let module: PathBuf =
        target_dir().join("matchers").join(build::WASM_TARGET).join("wasm/sentinel_matcher_size.wasm");
    Ok(fs::metadata(&module).with_context(|| module.display().to_string())?.len())
}
