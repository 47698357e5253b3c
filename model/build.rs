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
/// The checks of phrases need no more of it.
mod fold {
    pub(crate) fn fold_word(word: &str) -> String {
        word.to_lowercase()
    }
}
#[path = "src/invisible.rs"]
mod invisible;
#[path = "src/pack.rs"]
mod pack;
#[path = "src/phrase.rs"]
mod phrase;
#[path = "src/source.rs"]
mod source;

pub(crate) use channel::Channel;
pub(crate) use family::Family;

use std::{env, fs, path::Path};

fn main() {
    let folder = Path::new("patterns");
    println!("cargo::rerun-if-changed=patterns");
    println!("cargo::rerun-if-changed=src");
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
    let out = env::var("OUT_DIR").unwrap();
    // Four fifths smaller; a module is loaded by every proxy.
    let json = serde_json::to_vec(&packs).unwrap();
    fs::write(Path::new(&out).join("packs.zlib"), miniz_oxide::deflate::compress_to_vec_zlib(&json, 10))
        .unwrap();
    fs::write(Path::new(&out).join("fold_table.rs"), fold_table()).unwrap();
    fs::write(Path::new(&out).join("sources.rs"), sources(&files)).unwrap();
}

/// The YAML files, for commands that explain rules with their examples.
fn sources(files: &[std::path::PathBuf]) -> String {
    let entry = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        format!("({name:?}, include_str!({:?})),\n", path.canonicalize().unwrap())
    };
    let entries: String = files.iter().map(entry).collect();
    format!(
        "/// The built-in packs as they are written: name and YAML.\npub const BUILTIN_SOURCES: &[(&str, &str)] = &[\n{entries}];\n"
    )
}

/// Characters whose compatibility decomposition, without its marks, is ASCII.
fn fold_table() -> String {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for c in ('\u{80}'..=char::MAX).filter(|c| c.is_alphanumeric() || !c.is_control()) {
        let mut text = String::new();
        unicode_normalization::char::decompose_compatible(c, |part| {
            if !unicode_normalization::char::is_combining_mark(part) {
                text.push(part.to_ascii_lowercase());
            }
        });
        let is_itself = text.chars().eq([c]);
        match text.as_bytes() {
            _ if text.is_empty() || is_itself || !text.is_ascii() => {}
            [byte] => one.push(u32::from(c) << 8 | u32::from(*byte)),
            _ => many.push((u32::from(c), text)),
        }
    }
    format!(
        "static ONE: [u32; {}] = {one:?};\nstatic MANY: [(u32, &str); {}] = {many:?};\n",
        one.len(),
        many.len()
    )
}
