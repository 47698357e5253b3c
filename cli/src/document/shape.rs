//! Whether a document has the form that a JSON Schema says, with every place where it has not.
//!
//! The schema is made from the types, so that there is one list of fields. Of JSON Schema only what those types lead to
//! is known: `type`, `properties`, `required`, `additionalProperties`, `items`, `enum`, `const`, `minimum`, `maximum`,
//! `anyOf`, `oneOf` and `$ref`.

use serde_json::{Map, Value};

use super::{
    problem::Problem,
    tree::{Content, Node},
};
use crate::nearest::nearest;

pub(crate) fn problems(node: &Node, schema: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    Check { root: schema, found: &mut found }.node(node, schema, "");
    found
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<Problem>,
}

impl<'a> Check<'a> {
    fn node(&mut self, node: &Node, schema: &'a Value, field: &str) {
        let Some(schema) = self.resolved(schema) else { return };
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
        if let Some(choices) = choices {
            return self.choice(node, choices, field);
        }
        if let Some(wanted) = words(schema) {
            return self.word(node, &wanted, field);
        }
        if !self.has_type(node, schema, field) {
            return;
        }
        match &node.content {
            Content::Map(_) => self.map(node, schema, field),
            Content::List(items) => {
                let Some(of_items) = schema.get("items") else { return };
                for (idx, item) in items.iter().enumerate() {
                    self.node(item, of_items, &format!("{field}[{idx}]"));
                }
            }
            Content::Number(number) => self.number(node, number, schema, field),
            _ => {}
        }
    }

    fn resolved(&self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(name) => self.root.pointer(name.strip_prefix('#')?)?.as_object(),
            None => schema.as_object(),
        }
    }

    /// One of several forms. Where none fits, the one is held against the node that looks like it.
    fn choice(&mut self, node: &Node, choices: &'a [Value], field: &str) {
        let resolved: Vec<_> = choices.iter().filter_map(|choice| self.resolved(choice)).collect();
        let fits = |choice: &Value| {
            let mut found = Vec::new();
            Check { root: self.root, found: &mut found }.node(node, choice, field);
            found.is_empty()
        };
        if choices.iter().any(fits) {
            return;
        }
        let is_map = matches!(node.content, Content::Map(_));
        let same_kind =
            |schema: &&&Map<String, Value>| is_map == (schema.get("type") == Some(&"object".into()));
        let similar: Vec<_> = resolved.iter().filter(same_kind).collect();
        if is_map && let [only] = similar.as_slice() {
            let only: &'a Map<String, Value> = only;
            return self.map(node, only, field);
        }
        let wanted: Vec<&str> = resolved.iter().filter_map(|schema| words(schema)).flatten().collect();
        match node.text() {
            Some(_) if !wanted.is_empty() => self.word(node, &wanted, field),
            _ => {
                let mut kinds: Vec<String> = wanted.iter().map(|word| format!("{word:?}")).collect();
                kinds.extend(
                    resolved.iter().filter(|schema| words(schema).is_none()).map(|schema| kind(schema)),
                );
                kinds.retain(|kind| kind != "nothing");
                self.add(
                    node,
                    field,
                    format!("is {}, expected {}", said(node, field), kinds.join(" or ")),
                    None,
                );
            }
        }
    }

    fn word(&mut self, node: &Node, wanted: &[&str], field: &str) {
        match node.text() {
            Some(text) if wanted.contains(&text) => {}
            text => {
                let near = text.and_then(|text| nearest(wanted.iter().copied(), text));
                let reason = format!("is {}, expected {}", said(node, field), one_of(wanted));
                self.add(node, field, reason, near);
            }
        }
    }

    fn has_type(&mut self, node: &Node, schema: &Map<String, Value>, field: &str) -> bool {
        let fits = |wanted: &str| match (&node.content, wanted) {
            (Content::Null, "null")
            | (Content::Bool(_), "boolean")
            | (Content::Number(_), "number")
            // YAML has no quotes around most texts, and so a number may be one.
            | (Content::Text(_) | Content::Number(_) | Content::Bool(_), "string")
            | (Content::List(_), "array")
            | (Content::Map(_), "object") => true,
            (Content::Number(number), "integer") => number.is_u64() || number.is_i64(),
            _ => false,
        };
        let is_right = match schema.get("type") {
            None => true,
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(fits),
            Some(wanted) => wanted.as_str().is_none_or(fits),
        };
        if !is_right {
            self.add(node, field, format!("is {}, expected {}", said(node, field), kind(schema)), None);
        }
        is_right
    }

    fn number(&mut self, node: &Node, number: &serde_json::Number, schema: &Map<String, Value>, field: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (min, max, value) = (bound("minimum"), bound("maximum"), number.as_f64().unwrap_or(f64::NAN));
        let expected = match (min, max) {
            (Some(min), Some(max)) if value < min || value > max => format!("{min} to {max}"),
            (Some(min), None) if value < min => format!("at least {min}"),
            (None, Some(max)) if value > max => format!("at most {max}"),
            _ => return,
        };
        self.add(node, field, format!("is {number}, expected {expected}"), None);
    }

    fn map(&mut self, node: &Node, schema: &'a Map<String, Value>, field: &str) {
        let Content::Map(entries) = &node.content else { return };
        let named = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let mut meant = Vec::new();
        for entry in entries {
            let path = if field.is_empty() { entry.key.clone() } else { format!("{field}.{}", entry.key) };
            match named.and_then(|named| named.get(&entry.key)).or(others) {
                Some(Value::Bool(false)) => {
                    let names: Vec<&str> =
                        named.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                    let near = nearest(names.iter().copied(), &entry.key).map(String::from);
                    meant.extend(near.clone());
                    let reason = format!("there is no such field, only {}", names.join(", "));
                    self.found.push(Problem { at: Some(entry.at), field: path, reason, nearest: near });
                }
                Some(of_entry) => self.node(&entry.value, of_entry, &path),
                None => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required
            .filter_map(Value::as_str)
            .filter(|name| node.get(name).is_none() && !meant.iter().any(|near| near == name))
        {
            self.add(node, field, format!("{name:?} is missing"), None);
        }
    }

    fn add(&mut self, node: &Node, field: &str, reason: String, near: Option<&str>) {
        let nearest = near.map(String::from);
        self.found.push(Problem { at: Some(node.at), field: field.into(), reason, nearest });
    }
}

/// The words that a schema of words allows.
fn words(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    let several = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice);
    let several = several.or_else(|| schema.get("const").map(std::slice::from_ref))?;
    several.iter().map(Value::as_str).collect()
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("{only:?}"),
        several => format!("one of {}", several.join(", ")),
    }
}

/// What a schema wants, in words.
fn kind(schema: &Map<String, Value>) -> String {
    let name = |kind: &str| match kind {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "nothing",
    };
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let names: Vec<&str> = kinds.iter().filter_map(Value::as_str).map(name).collect();
            names.join(" or ")
        }
        Some(kind) => kind.as_str().map_or("something else", name).into(),
        None => "something else".into(),
    }
}

/// What stands there, in words.
fn said(node: &Node, field: &str) -> String {
    match &node.content {
        Content::Text(_) | Content::Number(_) if is_private(field) => "text".into(),
        Content::Null => "nothing".into(),
        Content::Bool(value) => value.to_string(),
        Content::Number(value) => value.to_string(),
        Content::Text(text) => format!("{text:?}"),
        Content::List(_) => "a list".into(),
        Content::Map(_) => "a map".into(),
    }
}

/// Texts that no error names, since errors go into logs.
fn is_private(field: &str) -> bool {
    field.contains("canaries")
        || field.ends_with("token")
        || field.contains(".any")
        || field.contains(".regex")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::document::{Kind, schema};

    fn wrong(text: &str) -> Vec<String> {
        let node = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        problems(&node, &schema(Kind::Policy)).iter().map(ToString::to_string).collect()
    }

    /// Policies of the tests, and whole ones of the documents: what the types take, the schema takes.
    #[test]
    fn all_policies_of_this_repository_are_valid_under_the_schema() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |folder: &str| {
            let entries = fs::read_dir(repository.join(folder))
                .expect("the folder")
                .map(|entry| entry.expect("a file").path());
            entries.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap_or_default())
        };
        let keys = ["routes:", "profiles:", "patterns:", "tenants:", "exemptions:", "emit:"];
        let mut texts: Vec<String> = read("tests/policies").collect();
        for document in read("docs") {
            let blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
            let whole = blocks.filter(|block| keys.iter().any(|key| block.starts_with(key)));
            texts.extend(whole.map(String::from));
        }
        assert!(texts.len() > 25, "{} policies: have they moved?", texts.len());
        for text in texts {
            assert_eq!(wrong(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_kind_of_mistake_is_seen() {
        for (text, expected) in [
            ("[]", "is a list, expected a map"),
            ("routes: {}", "routes: is a map, expected a list"),
            ("routes: [{profile: a}]", "routes[0]: \"name\" is missing"),
            ("profiles: {a: {level: 0.5}}", "profiles.a.level: is 0.5, expected a whole number"),
            ("profiles: {a: {level: -1}}", "profiles.a.level: is -1, expected 1 to 4"),
            (
                "profiles: {a: {model: {enabled: 1}}}",
                "profiles.a.model.enabled: is 1, expected true or false",
            ),
            ("profiles: {a: {thresholds: {tag: 1}}}", "profiles.a.thresholds: \"block\" is missing"),
            ("profiles: {a: {masks: {pii: {keep: 1}}}}", "profiles.a.masks.pii.keep: there is no such field"),
            ("profiles: {a: {masks: {pii: stars}}}", "profiles.a.masks.pii: is \"stars\", expected "),
            ("tenants: {key: a, unknown: [b]}", "tenants.unknown: is a list, expected "),
            ("profiles: {a: {on_gap: {request: {siz: tag}}}}", "did you mean \"size\"?"),
            ("emit: {headers: [x-sentinel-gap]}", "did you mean \"x-sentinel-gaps\"?"),
            ("profiles: {a: {channels: {usr: {}}}}", "did you mean \"user\"?"),
            ("patterns: [{id: a, family: pi, regex: {}}]", "did you mean \"pii\"?"),
        ] {
            let found = wrong(text);
            assert!(found.iter().any(|line| line.contains(expected)), "{text}: {found:?}");
        }
    }
}
