//! A text about which the compact model is in doubt, so that a deeper one is asked.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use sentinel_core::{Action, CompactModel, Engine, PatternSet};
use sentinel_model::{Channel, source::PackSource};
use serde_json::json;

/// A harmless text that the first stage leaves open.
pub fn doubtful_text() -> Result<&'static str> {
    static TEXT: OnceLock<Option<String>> = OnceLock::new();
    let text = TEXT.get_or_init(|| find().ok().flatten());
    text.as_deref().context("no harmless twin of a rule is in doubt")
}

fn find() -> Result<Option<String>> {
    let engine = Engine::new(serde_json::from_value(json!({}))?, Arc::new(PatternSet::builtin()?))?;
    let engine = engine.with_model(Arc::new(CompactModel::builtin()?));
    for (name, source) in sentinel_model::BUILTIN_SOURCES {
        let pack = PackSource::read(source).map_err(|e| anyhow::anyhow!("{name}: {e}"))?;
        for text in pack.rules.into_iter().flat_map(|rule| rule.twins) {
            let judged = engine.judge("default", Channel::User, &text).context("no such profile")?;
            if judged.second_looks == 1 && judged.scan.action == Action::Allow {
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}
