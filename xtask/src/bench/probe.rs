//! The probe's two builds: a program, and a module that Envoy runs while it reads its configuration.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy,
};
use sentinel_probe::{DeserializeOwned, from_line};

use crate::build::{self, target_dir};

pub(super) struct Probe {
    pub(super) program: PathBuf,
    pub(super) module: PathBuf,
    /// What is measured.
    pub(super) what: &'static str,
}

impl Probe {
    pub(super) fn build(what: &'static str) -> Result<Self> {
        // Across crates, too: as well as a program of its own would be built.
        let linked = ["--config", "profile.release.lto='thin'"];
        build::cargo(&[&["build", "--package", "sentinel-probe", "--release"][..], &linked].concat())?;
        // As the filter is built.
        let example = ["--example", "probe_in_envoy", "--profile", "wasm"];
        let package = ["build", "--package", "sentinel-probe", "--target", build::WASM_TARGET];
        build::cargo(&[&package[..], &example].concat())?;
        Ok(Self {
            program: target_dir().join("release/sentinel-probe"),
            module: target_dir().join(build::WASM_TARGET).join("wasm/examples/probe_in_envoy.wasm"),
            what,
        })
    }

    pub(super) fn natively<Row: DeserializeOwned>(&self) -> Result<Vec<Row>> {
        self.measured_natively(self.what)
    }

    pub(super) fn in_envoy<Row: DeserializeOwned>(&self) -> Result<Vec<Row>> {
        self.measured_in_envoy(self.what)
    }

    pub(super) fn measured_natively<Row: DeserializeOwned>(&self, what: &str) -> Result<Vec<Row>> {
        let output = Command::new(&self.program)
            .arg(what)
            .output()
            .with_context(|| self.program.display().to_string())?;
        from_line(&String::from_utf8_lossy(&output.stdout)).context("the probe said nothing")
    }

    /// Envoy configures its filters when it validates a bootstrap, and no more than that is needed.
    pub(super) fn measured_in_envoy<Row: DeserializeOwned>(&self, what: &str) -> Result<Vec<Row>> {
        let nowhere = ([127, 0, 0, 1], 9).into();
        let filter = WasmFilter::new(&self.module, what);
        let report = envoy::validate(&Bootstrap::new(nowhere, Some(filter)))?;
        ensure!(report.ok, "Envoy: {}", report.stderr);
        report.stderr.lines().find_map(from_line).context("no line of the probe in Envoy's log")
    }
}
