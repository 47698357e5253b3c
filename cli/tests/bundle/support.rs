//! A folder with a policy and two keys, and the command at work in it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = "profiles:\n  default: { level: 2 }\n";

pub(crate) fn sentinel(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sentinel")).args(args).current_dir(folder).output().unwrap()
}

pub(crate) fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[track_caller]
pub(crate) fn ok(folder: &Path, command: &str) -> Value {
    let args: Vec<&str> = ["--json", "bundle"].into_iter().chain(command.split_whitespace()).collect();
    let output = sentinel(folder, &args);
    assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    json_of(&output)
}

/// Exit code and what is said on standard error.
pub(crate) fn fails(folder: &Path, command: &str) -> (i32, String) {
    let args: Vec<&str> = ["bundle"].into_iter().chain(command.split_whitespace()).collect();
    let output = sentinel(folder, &args);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A policy and two keys.
pub(crate) fn workshop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    for key in ["one.key", "two.key"] {
        ok(folder.path(), &format!("keygen --out {key}"));
    }
    folder
}

pub(crate) const BUILD: &str = "build --policy policy.yaml --name shop --expires 2100-01-01 --key one.key";
