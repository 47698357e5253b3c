//! `sentinel-bindgen MODULE.wasm FOLDER`: writes `guard.js` and `guard_bg.wasm`, as `cargo xtask build --edge` wants them.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let (module, folder) = args.next().zip(args.next()).context("usage: sentinel-bindgen MODULE FOLDER")?;
    let mut bindgen = Bindgen::new();
    bindgen.input_path(&module).out_name("guard").typescript(false).remove_producers_section(true);
    // An instance that trapped is dropped for a new one.
    bindgen.web(true)?.reset_state_function(true);
    bindgen.generate(&folder).with_context(|| format!("{}", module.display()))
}
