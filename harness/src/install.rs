//! What is installed once, into the target folder, by the tools of Python.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Cargo marks its target folder; a test or bench runs from inside it.
pub(crate) fn target_folder() -> PathBuf {
    if let Some(given) = env::var_os("CARGO_TARGET_DIR").filter(|given| !given.is_empty()) {
        return PathBuf::from(given);
    }
    let program = env::current_exe().unwrap_or_default();
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_owned)
}

/// One process installs while the others wait at the lock; the folder `home` appears whole, by a rename.
pub(crate) fn once(home: &Path, install: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if home.is_dir() {
        return Ok(());
    }
    let folder = home.parent().with_context(|| format!("{} has no parent", home.display()))?;
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("install.lock"))?;
    lock.lock().with_context(|| format!("lock of the installation in {}", folder.display()))?;
    if home.is_dir() {
        return Ok(());
    }
    let staging = tempfile::Builder::new().prefix("install-").tempdir_in(folder)?;
    let new = staging.path().join("new");
    install(&new)?;
    fs::rename(new, home)?;
    Ok(())
}

/// One step of an installation; `hint` says what a person can do about its failure.
pub(crate) fn run(command: &mut Command, hint: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{program} does not start. {hint}"))?;
    if !output.status.success() {
        // Python's venv tells what is missing on standard output.
        let said = [output.stdout, output.stderr].concat();
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        bail!("failed: {program} {}. {hint}\n{}", args.join(" "), String::from_utf8_lossy(&said));
    }
    Ok(())
}
