//! `cargo xtask build --edge`: the package for JavaScript hosts, in `target/dist/edge`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};

use crate::build;

const TARGET: &str = "wasm32-unknown-unknown";
/// All files of the package as hosts count them: compressed. The model alone is 1.9 MiB of it.
const COMPRESSED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Answers the folder of the package.
pub(crate) fn build() -> Result<PathBuf> {
    build::ensure_target(TARGET)?;
    build::cargo(&["build", "--package", "sentinel-worker", "--target", TARGET, "--profile", "wasm"])?;
    let folder = build::target_dir().join("dist/edge");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let module = build::target_dir().join(TARGET).join("wasm/sentinel_worker.wasm");
    bindgen(&module, &folder)?;
    for from in ["edge/worker/js", "edge/worker/package"] {
        for entry in fs::read_dir(build::root().join(from))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let (raw, compressed) = size(&folder)?;
    println!(
        "built {} ({} KiB, {} KiB compressed, limit {} KiB)",
        folder.display(),
        raw / 1024,
        compressed / 1024,
        COMPRESSED_BYTES_MAX / 1024
    );
    ensure!(compressed <= COMPRESSED_BYTES_MAX, "the package is over its size budget");
    Ok(folder)
}

/// By a program of its own: what it is made of takes a minute to build, and nothing else needs it.
fn bindgen(module: &Path, folder: &Path) -> Result<()> {
    let manifest = build::root().join("xtask/bindgen/Cargo.toml");
    let target = build::target_dir().join("bindgen");
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is no text");
    let (manifest, target) = (text(&manifest)?, text(&target)?);
    let (module, folder) = (text(module)?, text(folder)?);
    build::cargo(&[
        "run",
        "--quiet",
        "--locked",
        "--manifest-path",
        &manifest,
        "--target-dir",
        &target,
        "--",
        &module,
        &folder,
    ])
}

/// Of the files that a host loads: raw, and each compressed by itself.
pub(crate) fn size(folder: &Path) -> Result<(usize, usize)> {
    let (mut raw, mut compressed) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.extension().is_some_and(|extension| extension == "js" || extension == "wasm") {
            continue;
        }
        let bytes = fs::read(&path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        raw += bytes.len();
        compressed += encoder.finish()?.len();
    }
    Ok((raw, compressed))
}
