//! Turns `patterns/*.yaml` into the one artefact that is built in, and refuses a pack that is wrong: a rule
//! that cannot be anchored or has no examples stops the build with its file and id.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a build script reports by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "the modules are the crate's own, used here in part")]

extern crate alloc;

#[path = "src/channel.rs"]
mod channel;
#[path = "src/family.rs"]
mod family;
#[path = "src/pack.rs"]
mod pack;
#[path = "src/phrase.rs"]
mod phrase;
#[path = "source.rs"]
mod source;

pub(crate) use channel::Channel;
pub(crate) use family::Family;

use std::{env, fs, path::Path};

fn main() {
    let folder = Path::new("patterns");
    println!("cargo::rerun-if-changed=patterns");
    println!("cargo::rerun-if-changed=source.rs");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("model/patterns").map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    files.sort();
    let packs: Vec<pack::Pack> = files
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let source =
                source::PackSource::read(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            source.into_artefact()
        })
        .collect();
    pack::check(&packs).unwrap_or_else(|e| panic!("model/patterns: {e}"));
    let out = Path::new(&env::var("OUT_DIR").unwrap()).join("packs.json");
    fs::write(out, serde_json::to_string(&packs).unwrap()).unwrap();
}
