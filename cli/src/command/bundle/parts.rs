//! What is in a bundle, made into what a proxy makes of it: rules, an engine, a model. What cannot be made is refused here
//! and not by a proxy.

use std::{path::Path, sync::Arc};

use sentinel_bundle::Contents;
use sentinel_core::{CompactModel, Engine, PatternSet, policy::Policy};
use sentinel_model::Pack;

use super::{at, read};
use crate::{
    document::{self, Kind},
    packs,
    report::{Fault, Report},
};

/// Packs as they travel, with the rules that they come to.
pub(super) fn read_packs(path: &Path) -> Result<(Vec<u8>, Arc<PatternSet>), Fault> {
    let packs = match path.is_dir() {
        true => packs::artefact(path)?,
        false => Pack::read_all(&document::read_text(path)?).map_err(|e| at(path, &e))?,
    };
    let patterns = PatternSet::compile(&packs).map_err(|e| at(path, &e))?;
    let bytes = serde_json::to_vec(&packs).map_err(|e| Fault::Internal(e.to_string()))?;
    Ok((bytes, Arc::new(patterns)))
}

/// A policy as it travels: JSON with every field, so that no version of a proxy fills in others than these.
pub(super) fn read_policy(path: &Path, patterns: Arc<PatternSet>) -> Result<Vec<u8>, Fault> {
    let engine = document::load_with(path, Kind::Policy, patterns)?.engine;
    let bytes = serde_json::to_vec(engine.policy()).map_err(|e| Fault::Internal(e.to_string()))?;
    match serde_json::from_slice::<Policy>(&bytes) {
        Ok(again) if again == *engine.policy() => Ok(bytes),
        _ => Err(Fault::Internal(format!("{}: written as JSON it is another policy", path.display()))),
    }
}

pub(super) fn read_model(path: &Path) -> Result<Vec<u8>, Fault> {
    let bytes = read(path)?;
    open_model(&bytes).map_err(|e| at(path, &e))?;
    Ok(bytes)
}

/// A feed by the name of its file.
pub(super) fn read_feed(path: &Path) -> Result<(String, Vec<u8>), Fault> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| at(path, &"the name of the file is no text"))?;
    match read(path)? {
        bytes if bytes.is_empty() => Err(at(path, &"the feed is empty")),
        bytes => Ok((name.to_owned(), bytes)),
    }
}

/// Why a proxy could not use what was rightly signed.
pub(super) fn check(contents: &Contents<'_>) -> Result<(), String> {
    engine(contents, |policy| policy)?;
    contents.model().map_or(Ok(()), |bytes| open_model(bytes).map_err(|e| format!("model: {e}")))
}

/// What a proxy makes of the policy and the packs, where its configuration changes the policy like this.
pub(crate) fn engine(
    contents: &Contents<'_>,
    changed: impl FnOnce(Policy) -> Policy,
) -> Result<Engine, String> {
    let of_part = |name: &'static str| move |e: &dyn std::fmt::Display| format!("{name}: {e}");
    let patterns = match contents.packs() {
        Some(bytes) => {
            let text = str::from_utf8(bytes).map_err(|e| of_part("packs")(&e))?;
            let packs = Pack::read_all(text).map_err(|e| of_part("packs")(&e))?;
            Arc::new(PatternSet::compile(&packs).map_err(|e| of_part("packs")(&e))?)
        }
        None => document::builtin_patterns().map_err(|e| e.to_string())?,
    };
    let policy: Policy = serde_json::from_slice(contents.policy()).map_err(|e| of_part("policy")(&e))?;
    Engine::new(changed(policy), patterns).map_err(|e| of_part("policy")(&e))
}

fn open_model(bytes: &[u8]) -> Result<(), String> {
    CompactModel::open_shared(bytes.into()).map(|_| ()).map_err(|e| e.to_string())
}

/// A report against a bundle.
pub(super) fn refused(path: &Path, label: &str, reason: &str) -> Report {
    Report {
        text: format!("{}: refused: {reason}", path.display()),
        json: serde_json::json!({ "valid": false, "reason": label, "error": reason }),
        code: 1,
    }
}
