//! `cargo xtask lint`: what a tool can check, as errors.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::build::{cargo, root};

/// A workspace of its own.
const COMPUTE: &str = "edge/compute/Cargo.toml";

pub(crate) fn run() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    let bindgen = "xtask/bindgen/Cargo.toml";
    for apart in [COMPUTE, "fuzz/Cargo.toml", bindgen, "xtask/probe-matchers/Cargo.toml"] {
        cargo(&["fmt", "--all", "--manifest-path", apart, "--check"])?;
    }
    cargo(&[
        "clippy",
        "--workspace",
        "--exclude",
        "sentinel-filter",
        "--exclude",
        "sentinel-worker",
        "--all-targets",
        "--",
        "-Dwarnings",
    ])?;
    cargo(&["clippy", "--package", "sentinel-filter", "--target", "wasm32-wasip1", "--", "-Dwarnings"])?;
    let edge = "wasm32-unknown-unknown";
    cargo(&["clippy", "--package", "sentinel-worker", "--target", edge, "--", "-Dwarnings"])?;
    let compute = ["clippy", "--locked", "--manifest-path", COMPUTE, "--target-dir", "target/compute"];
    cargo(&[&compute[..], &["--target", "wasm32-wasip1", "--all-targets", "--", "-Dwarnings"]].concat())?;
    // Fuzzing is no part of a build, so that nothing else would notice when it no longer compiles.
    cargo(&["check", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target"])?;
    // The core stays free of hosts: it builds where there is no clock, no file and no socket, and no host crate is
    // among its dependencies.
    cargo(&["check", "--package", "sentinel-core", "--target", "wasm32-unknown-unknown"])?;
    never_depends("sentinel-filter", "tract-onnx")?;
    never_depends("sentinel-worker", "tract-onnx")?;
    for host in ["proxy-wasm", "wasm-bindgen", "tokio", "wasmtime", "axum", "sqlx", "tract-onnx"] {
        for package in
            ["sentinel-adapter", "sentinel-bundle", "sentinel-core", "sentinel-guard", "sentinel-model"]
        {
            never_depends(package, host)?;
        }
    }
    deny()
}

fn never_depends(package: &str, on: &str) -> Result<()> {
    // `cargo tree --invert` fails where the package is not in the tree, which is what is wanted here.
    let found = Command::new("cargo")
        .args(["tree", "--package", package, "--edges", "normal", "--invert", on])
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if found.success() {
        bail!("{package} depends on {on}; the arrows of docs/architecture.md forbid it");
    }
    Ok(())
}

/// Licences, sources and duplicates by `deny.toml`. The advisory database cannot be had everywhere, so that check is
/// left to `cargo deny check advisories`.
fn deny() -> Result<()> {
    let installed =
        Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match installed {
        Ok(status) if status.success() => {
            cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])
        }
        _ => {
            println!(
                "SKIPPED: licences and bans of deny.toml; install the tool with: cargo install cargo-deny"
            );
            Ok(())
        }
    }
}
