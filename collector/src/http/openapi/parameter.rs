//! Parameters of paths, queries and headers, with the values that are taken. A test asks the running server what it
//! takes, and compares.

use serde_json::{Map, Value, json};

pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) schema: Value,
    pub(super) about: &'static str,
    pub(super) is_required: bool,
    pub(super) example: Option<Value>,
}

pub(super) fn query(name: &'static str, schema: Value, about: &'static str) -> Parameter {
    Parameter { name, place: "query", schema, about, is_required: false, example: None }
}

/// `example` is of something that may be there.
pub(super) fn path(name: &'static str, schema: Value, example: &str, about: &'static str) -> Parameter {
    Parameter { name, place: "path", schema, about, is_required: true, example: Some(example.into()) }
}

pub(super) fn header(name: &'static str, schema: Value, about: &'static str) -> Parameter {
    Parameter { name, place: "header", schema, about, is_required: false, example: None }
}

impl Parameter {
    pub(super) fn required(mut self, example: Value) -> Self {
        (self.is_required, self.example) = (true, Some(example));
        self
    }

    pub(super) fn document(&self) -> Value {
        let mut members = Map::new();
        members.insert("name".to_owned(), self.name.into());
        members.insert("in".to_owned(), self.place.into());
        members.insert("description".to_owned(), self.about.into());
        members.insert("required".to_owned(), self.is_required.into());
        members.insert("schema".to_owned(), self.schema.clone());
        if let Some(example) = &self.example {
            members.insert("example".to_owned(), example.clone());
        }
        members.into()
    }
}

/// Each of at least one character.
pub(super) fn text() -> Value {
    json!({"type": "string", "minLength": 1})
}

pub(super) fn pattern(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// From 1.
pub(super) fn page_size(max: usize, unasked: usize) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": max, "default": unasked})
}

pub(super) fn whole(min: i64, max: i64) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": min, "maximum": max})
}

/// Milliseconds since 1970.
pub(super) fn time() -> Value {
    whole(0, i64::MAX)
}

pub(super) fn number(min: f64, max: f64) -> Value {
    // A whole number is written as one, as errors have it.
    let bound = |bound: f64| if bound.fract() == 0.0 { json!(bound as i64) } else { json!(bound) };
    json!({"type": "number", "minimum": bound(min), "maximum": bound(max)})
}

pub(super) fn fraction() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 1})
}
