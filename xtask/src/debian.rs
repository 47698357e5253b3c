//! Servers and tools that Debian packages: what is missing is installed where `apt-get` may be used, and named elsewhere.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;
use sentinel_harness::{
    postgres,
    program::{ALERTMANAGER, CHROMEDRIVER, CHROMIUM, PROMETHEUS, PROMTOOL, Program, REDIS},
};

use crate::build::run_command;

/// Everything that the tests start.
pub(crate) fn install_for_tests() -> Result<()> {
    let programs = [&ALERTMANAGER, &CHROMEDRIVER, &CHROMIUM, &PROMETHEUS, &PROMTOOL, &REDIS];
    let mut missing = missing(&programs);
    if postgres::find().is_err() {
        missing.push(postgres::PACKAGE);
    }
    if !missing.is_empty() && !install(&missing)? {
        println!(
            "Not installed, and tests that need them are skipped or fail; to have them all, as root: apt-get install {}",
            missing.join(" ")
        );
    }
    Ok(())
}

/// The packages of those programs that are not there, each once.
pub(crate) fn missing(programs: &[&'static Program]) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        programs.iter().filter(|program| !program.is_there()).map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Whether this machine lets us; an error where it does and the installation fails all the same.
pub(crate) fn install(packages: &[&str]) -> Result<bool> {
    if !is_root() || !has_apt() {
        return Ok(false);
    }
    println!("installing {}", packages.join(", "));
    if apt(packages).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Ok(true);
    }
    // Its lists are too old, or it has none yet.
    run_command(Command::new("apt-get").args(["update", "-q"]))?;
    run_command(&mut apt(packages))?;
    Ok(true)
}

fn apt(packages: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    // A runlevel of one user: what is installed is for the tests to start, not for the machine.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdin(Stdio::null());
    apt
}

fn has_apt() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| Path::is_file(&folder.join("apt-get")))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
