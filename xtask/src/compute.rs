//! `cargo xtask build --edge`, second part: the program for Fastly Compute, in `target/dist/compute`.

mod snapshot;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};

use crate::build::{self, WASM_TARGET};

/// Compressed, as a package is uploaded. The model is 1.9 MiB of it, and rules that are compiled beforehand 1.2 MiB.
const COMPRESSED_BYTES_MAX: usize = 4_608 * 1024;

/// Answers the file of the program, as instances begin with it.
pub(crate) fn build() -> Result<PathBuf> {
    compiled(&[])?;
    let folder = folder();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    fs::copy(build::root().join("edge/compute/fastly.toml"), folder.join("fastly.toml"))?;
    let program = program();
    fs::write(&program, snapshot::of(&fs::read(unprepared())?)?)?;
    let (raw, compressed) = size(&program)?;
    println!(
        "built {} ({} KiB, {} KiB compressed, limit {} KiB)",
        program.display(),
        raw / 1024,
        compressed / 1024,
        COMPRESSED_BYTES_MAX / 1024
    );
    ensure!(compressed <= COMPRESSED_BYTES_MAX, "the program is over its size budget");
    Ok(program)
}

/// What [`build`] made.
pub(crate) fn program() -> PathBuf {
    folder().join("sentinel.wasm")
}

/// The same before it is prepared, once that is built.
pub(crate) fn unprepared() -> PathBuf {
    built().join("sentinel-compute.wasm")
}

/// The program that hands everything on, for benches.
pub(crate) fn pass_through() -> Result<PathBuf> {
    compiled(&["--example", "pass"])?;
    Ok(built().join("examples/pass.wasm"))
}

/// In a folder of its own, as its dependencies are.
fn compiled(what: &[&str]) -> Result<()> {
    build::ensure_target(WASM_TARGET)?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is no text");
    let manifest = text(&build::root().join("edge/compute/Cargo.toml"))?;
    let target = text(&target())?;
    let mut args = vec!["build", "--locked", "--manifest-path", &manifest, "--target-dir", &target];
    args.extend(["--target", WASM_TARGET, "--profile", "wasm"]);
    args.extend(what);
    build::cargo(&args)
}

fn folder() -> PathBuf {
    build::target_dir().join("dist/compute")
}

fn target() -> PathBuf {
    build::target_dir().join("compute")
}

fn built() -> PathBuf {
    target().join(WASM_TARGET).join("wasm")
}

pub(crate) fn size(file: &Path) -> Result<(usize, usize)> {
    let bytes = fs::read(file)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    Ok((bytes.len(), encoder.finish()?.len()))
}
