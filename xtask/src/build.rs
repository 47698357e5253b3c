//! `cargo xtask build`: the two things that are shipped, in `target/dist`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{compute, edge};

pub(crate) const WASM_TARGET: &str = "wasm32-wasip1";

pub(crate) struct Dist {
    pub(crate) filter: PathBuf,
    pub(crate) sentinel: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The package for JavaScript hosts, in target/dist/edge, and the program for Fastly Compute, in target/dist/compute, instead.
    #[arg(long)]
    edge: bool,
    /// Viceroy, which the tests of that program run in: from source, once.
    #[arg(long)]
    viceroy: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.viceroy {
        println!("Viceroy: {}", sentinel_harness::viceroy::build()?.display());
    }
    if args.edge {
        edge::build()?;
        compute::build()?;
    }
    if !args.viceroy && !args.edge {
        dist()?;
    }
    Ok(())
}

pub(crate) fn dist() -> Result<Dist> {
    let filter = filter()?;
    let sentinel = sentinel()?;
    for file in [&filter, &sentinel] {
        println!("built {} ({} KiB)", file.display(), fs::metadata(file)?.len() / 1024);
    }
    Ok(Dist { filter, sentinel })
}

/// The proxy-wasm module.
pub(crate) fn filter() -> Result<PathBuf> {
    ensure_target(WASM_TARGET)?;
    cargo(&["build", "--package", "sentinel-filter", "--target", WASM_TARGET, "--profile", "wasm"])?;
    to_dist(&target_dir().join(WASM_TARGET).join("wasm/sentinel_filter.wasm"))
}

/// The command-line binary, collector included.
pub(crate) fn sentinel() -> Result<PathBuf> {
    cargo(&["build", "--package", "sentinel-cli", "--release"])?;
    to_dist(&target_dir().join("release/sentinel"))
}

pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    run_command(Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into())).args(args))
}

/// Runs in the workspace root; a failure names the whole command.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.current_dir(root()).status().with_context(|| format!("could not start: {shown}"))?;
    if !status.success() {
        bail!("failed ({status}): {shown}");
    }
    Ok(())
}

pub(crate) fn root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_path_buf()
}

pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// `rust-toolchain.toml` names the targets, but rustup may be told not to install by itself.
pub(crate) fn ensure_target(target: &str) -> Result<()> {
    let sysroot =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc is not installed")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    println!("adding the Rust target {target}");
    run_command(Command::new("rustup").args(["target", "add", target])).with_context(|| {
        format!("the Rust target {target} is missing; install it with: rustup target add {target}")
    })
}

fn to_dist(built: &Path) -> Result<PathBuf> {
    let dist = target_dir().join("dist");
    fs::create_dir_all(&dist)?;
    let name = built.file_name().with_context(|| format!("no file name in {}", built.display()))?;
    let to = dist.join(name);
    // A running process keeps the old file; writing over it would fail or, worse, not.
    let _ = fs::remove_file(&to);
    fs::copy(built, &to).with_context(|| format!("copy {} to {}", built.display(), to.display()))?;
    Ok(to)
}
