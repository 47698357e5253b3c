//! Tries every place of `coverage/surfaces.yaml` and prints what came of it; with `--write` also into
//! `docs/coverage.md`. `cargo xtask matrix` builds the filter first and runs this.

use std::{env, fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Result, bail};
use sentinel_tests::{
    coverage::{self, Matrix, Table, document},
    gaps::KnownGaps,
};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let args: Vec<String> = env::args().skip(1).collect();
    let writes = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--write"] => true,
        other => bail!("{other:?}: expected nothing, or --write"),
    };
    let started = Instant::now();
    let table = Table::load(&coverage::table_file())?;
    let matrix = Matrix::run(&table)?;
    print!("{}", document::plain(&matrix));
    let (rows, exchanges, seconds) = (matrix.rows.len(), matrix.exchanges, started.elapsed().as_secs_f32());
    println!("\n{rows} places and forms, {exchanges} exchanges on the core and in Envoy, {seconds:.0} s");
    let complaints = matrix.complaints();
    if !complaints.is_empty() {
        eprintln!("\n{}\n\n{} differences", complaints.join("\n"), complaints.len());
        return Ok(ExitCode::FAILURE);
    }
    if writes {
        let file: PathBuf = coverage::document_file();
        fs::write(&file, document::markdown(&matrix, &KnownGaps::load_all()?))?;
        println!("written: {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
