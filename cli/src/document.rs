//! Reading what users write: policies as YAML or JSON, with errors that name file, line, field and reason.

use std::{fs, path::Path, sync::Arc};

use sentinel_core::{Engine, PatternSet, config::PluginConfig, policy::Policy};
use serde::de::DeserializeOwned;

use crate::report::Fault;

pub(crate) fn builtin_patterns() -> Result<Arc<PatternSet>, Fault> {
    PatternSet::builtin().map(Arc::new).map_err(|e| Fault::Internal(format!("built-in rule packs: {e}")))
}

/// A policy that types and engine accept, or the built-in one.
pub(crate) fn engine(policy: Option<&Path>) -> Result<Engine, Fault> {
    let patterns = builtin_patterns()?;
    let Some(path) = policy else {
        return Engine::new(Policy::default(), patterns)
            .map_err(|e| Fault::Internal(format!("built-in policy: {e}")));
    };
    let text = read_text(path)?;
    let document = parse::<Policy>(path, &text)?;
    Engine::new(document, patterns).map_err(|error| {
        let line = line_of(&text, &error.field).map(|line| format!(":{line}")).unwrap_or_default();
        Fault::Input(format!("{}{line}: {error}", path.display()))
    })
}

/// A plugin configuration, as it stands in a proxy's configuration.
pub(crate) fn plugin_engine(path: &Path) -> Result<Engine, Fault> {
    let text = read_text(path)?;
    let config = parse::<PluginConfig>(path, &text)?;
    // The proxy reads JSON and checks more than the types say; let exactly that code decide.
    let json = serde_json::to_vec(&config).map_err(|e| Fault::Internal(e.to_string()))?;
    let config = PluginConfig::parse(&json).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
    Engine::new(config.effective_policy(), builtin_patterns()?)
        .map_err(|e| Fault::Input(format!("{}: policy.{e}", path.display())))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
}

/// YAML 1.2 contains JSON, so one reader serves both.
fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Fault> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        Fault::Input(format!("{}{place}: {}", path.display(), first_line(&error.to_string())))
    })
}

/// The parser repeats the place in words and draws it; file, line and column stand in front already.
fn first_line(message: &str) -> &str {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    match line.strip_prefix("error: line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, reason)) => reason,
        None => line,
    }
}

/// The line that a field path such as `profiles.default.level` ends at: each part is looked for after the one
/// before it. Good enough to point a person to the place; the path itself is in the message.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let mut found = None;
    let mut lines = text.lines().enumerate();
    for part in field.split(['.', '[']).map(|part| part.trim_end_matches(']')) {
        if part.parse::<usize>().is_ok() {
            continue;
        }
        let is_part = |line: &str| {
            let key = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
            key.strip_prefix(part).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
        };
        found = Some(lines.by_ref().find(|(_, line)| is_part(line))?.0 + 1);
    }
    found
}
