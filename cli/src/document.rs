//! Reading what users write: policies as YAML or JSON, with errors that name file, line, field and reason.

use std::{fs, path::Path, sync::Arc};

use sentinel_core::{CompactModel, Engine, PatternSet, config::PluginConfig, policy::Policy};
use serde::de::DeserializeOwned;

use crate::report::Fault;

pub(crate) fn builtin_patterns() -> Result<Arc<PatternSet>, Fault> {
    PatternSet::builtin().map(Arc::new).map_err(|e| Fault::Internal(format!("built-in rule packs: {e}")))
}

/// The model of a file, or the one that is built in.
pub(crate) fn model(path: Option<&Path>) -> Result<Arc<CompactModel>, Fault> {
    let Some(path) = path else {
        let model = CompactModel::builtin().map_err(|e| Fault::Internal(format!("built-in model: {e}")))?;
        return Ok(Arc::new(model));
    };
    let bytes = fs::read(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
    let model = CompactModel::open_shared(bytes.into());
    model.map(Arc::new).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
}

/// A policy that types and engine accept, or the built-in one.
pub(crate) fn engine(policy: Option<&Path>) -> Result<Engine, Fault> {
    let patterns = builtin_patterns()?;
    let engine = match policy {
        Some(path) => engine_with(path, patterns)?,
        None => Engine::new(Policy::default(), patterns)
            .map_err(|e| Fault::Internal(format!("built-in policy: {e}")))?,
    };
    Ok(engine.with_model(model(None)?))
}

/// A policy that types and an engine with these rules accept.
pub(crate) fn engine_with(path: &Path, patterns: Arc<PatternSet>) -> Result<Engine, Fault> {
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
    let engine = Engine::new(config.effective_policy(), builtin_patterns()?)
        .map_err(|e| Fault::Input(format!("{}: policy.{e}", path.display())))?;
    Ok(engine.with_model(model(None)?))
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

/// The line that a field path such as `patterns[1].regex` ends at: each part is looked for after the one before it.
/// Good enough to point a person to the place; the path itself is in the message.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut from, mut found) = (0, None);
    for part in field.split(['.', '[']).map(|part| part.trim_end_matches(']')) {
        if let Ok(nth) = part.parse() {
            // The item's own line may have the next part. Lists in brackets are not looked into.
            from = item(&lines, from, nth).unwrap_or(from);
            continue;
        }
        let is_part = |line: &&str| {
            let key = line.trim_start().trim_start_matches("- ").trim_start_matches(['"', '\'']);
            key.strip_prefix(part).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
        };
        let at = from + lines.iter().skip(from).position(is_part)?;
        (from, found) = (at + 1, Some(at + 1));
    }
    found
}

/// Where an item of the list begins that begins after a line.
fn item(lines: &[&str], from: usize, nth: usize) -> Option<usize> {
    let indent_of =
        |line: &str| line.trim_start().starts_with("- ").then(|| line.len() - line.trim_start().len());
    let mut items = lines.iter().enumerate().skip(from);
    let (first, indent) = items.find_map(|(at, line)| Some((at, indent_of(line)?)))?;
    let same = items.filter(|(_, line)| indent_of(line) == Some(indent)).map(|(at, _)| at);
    core::iter::once(first).chain(same).nth(nth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_leads_to_its_line() {
        let text = "routes:\n- name: a\npatterns:\n  - id: custom/a\n    regex: aaa\n  - id: custom/b\n    channels:\n      \
                    - user\n    regex:\n      - bbb\n      - c\n  - regex: d\n    id: e\n";
        for (field, line) in [
            ("routes", Some(1)),
            ("routes[0].name", Some(2)),
            ("patterns[0].regex", Some(5)),
            ("patterns[1].id", Some(6)),
            ("patterns[1].regex[1]", Some(9)),
            ("patterns[2].regex", Some(12)),
            ("patterns[2].score", None),
        ] {
            assert_eq!(line_of(text, field), line, "{field}");
        }
    }
}
