//! Packages of npm in a folder of their own in the target folder, installed once for each lock file; and programs that they
//! bring, or that run with Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::install;

#[derive(Clone, Debug)]
pub struct Packages {
    home: PathBuf,
}

impl Packages {
    /// Installs what `folder` has a `package.json` and a `package-lock.json` for, unless that was done before. No script of a
    /// package is run.
    pub fn with(folder: &Path) -> Result<Self> {
        let lock = folder.join("package-lock.json");
        let list = fs::read(&lock).with_context(|| lock.display().to_string())?;
        let key: String = Sha256::digest(&list).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let home = install::target_folder().join("npm").join(key);
        install::once(&home, |new| installed(new, folder))?;
        Ok(Self { home })
    }

    /// A file of a package.
    pub fn file(&self, path: &str) -> Result<PathBuf> {
        let file = self.home.join("node_modules").join(path);
        if !file.is_file() {
            bail!("the packages have no {} for this machine", file.display());
        }
        Ok(file)
    }
}

/// The Node of this machine.
pub fn node() -> Result<PathBuf> {
    let node = PathBuf::from("node");
    let output = Command::new(&node).arg("--version").output().context(NODE_HINT)?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(NODE_MIN..) => Ok(node),
        _ => bail!("this machine has Node {version:?}. {NODE_HINT}"),
    }
}

const NODE_MIN: u32 = 20;
const NODE_HINT: &str =
    "Install Node 20 or newer with npm (Debian: nodejs and npm), so that `node` is on the PATH";

fn installed(new: &Path, folder: &Path) -> Result<()> {
    eprintln!("installing the packages of {} with npm (once)", folder.display());
    fs::create_dir_all(new)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(folder.join(name), new.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(new);
    install::run(&mut npm, "Install Node 20 or newer with npm, and give it access to a package registry")
}
