//! The `sentinel` command as it was built beside the tests.

use std::{env, path::PathBuf};

use anyhow::{Context, Result, ensure};

/// Tests of a workspace build it; whoever runs a single one has to build it before.
pub fn built_command() -> Result<PathBuf> {
    let path = match env::var_os("SENTINEL_COMMAND") {
        Some(path) => PathBuf::from(path),
        None => {
            let test = env::current_exe()?;
            // Tests lie in `deps` of the folder where the commands are.
            let folder = test.parent().and_then(|deps| deps.parent());
            folder.context("the test lies nowhere")?.join("sentinel")
        }
    };
    ensure!(
        path.is_file(),
        "{}: there is no such file; run `cargo build -p sentinel-cli` first",
        path.display()
    );
    Ok(path.canonicalize()?)
}
