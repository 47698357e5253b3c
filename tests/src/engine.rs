//! The engines that run an exchange: the core by itself, the built filter in a fake host and in Envoy, the built edge
//! module in hosts of JavaScript, and the built edge program in Viceroy.

mod compute;
mod edge;
mod ends;
mod envoy;
mod wasmtime;

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

pub use sentinel_cases::native::{Cut, Native};

pub use self::{
    compute::{InViceroy, built_program},
    edge::{EdgeHost, Entry, InEdge, Servers, built_edge},
    envoy::InEnvoy,
    wasmtime::InWasmtime,
};
use crate::{case::Case, expect::Outcome, folder};

pub trait Engine: Send + Sync {
    fn run(&self, case: &Case) -> Result<Outcome>;
}

impl Engine for Native {
    fn run(&self, case: &Case) -> Result<Outcome> {
        self.run_cut(case, Cut::AsGiven)
    }
}

/// The filter as it is shipped.
pub fn built_filter() -> Result<PathBuf> {
    let path = env::var_os("SENTINEL_FILTER")
        .map_or_else(|| folder().join("../target/dist/sentinel_filter.wasm"), PathBuf::from);
    ensure!(path.is_file(), "{}: there is no such file; run `cargo xtask build` first", path.display());
    Ok(path.canonicalize()?)
}
