//! A no-op filter, so that a bench can tell the cost of a filter from the cost of having one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const SOURCE: &str = include_str!("noop.wat");

/// The module as bytes.
pub fn wasm() -> Result<Vec<u8>> {
    let bytes = wat::parse_str(SOURCE).context("noop.wat")?;
    Ok(bytes)
}

/// Writes `noop.wasm` into a folder, for Envoy to load.
pub fn write_into(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("noop.wasm");
    std::fs::write(&path, wasm()?).with_context(|| path.display().to_string())?;
    Ok(path)
}
