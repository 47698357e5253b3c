//! Forms of bodies as JSON Schemas, made from types. A type may be read more freely than it is written: a field with a
//! default can be left out of a question and is always in an answer. So each way has a generator of its own.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value, json};

use super::operation::Shape;

pub(super) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = PATH.into();
            settings.meta_schema = None;
        });
        Self {
            read: settings.clone().for_deserialize().into_generator(),
            written: settings.for_serialize().into_generator(),
        }
    }

    /// Of a question.
    pub(super) fn read(&mut self, shape: Shape) -> Value {
        schema(shape, &mut self.read)
    }

    /// Of an answer.
    pub(super) fn written(&mut self, shape: Shape) -> Value {
        schema(shape, &mut self.written)
    }

    /// All that were referred to, by their names. Where a name means one thing in questions and another in answers, the
    /// one of questions gets [`READ`] behind it; `document` has been made with both, and is corrected.
    pub(super) fn components(mut self, document: &mut Value) -> Value {
        let mut read = self.read.take_definitions(true);
        let mut written = self.written.take_definitions(true);
        read.values_mut().for_each(bounded);
        let parts = |schema: &Value| schema.to_string().contains("\"$ref\"");
        let differs = |(name, schema): &(&String, &Value)| {
            written.get(*name).is_some_and(|other| other != *schema || parts(schema))
        };
        let differing: Vec<String> = read.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        for name in differing {
            let (from, to) = (format!("#{PATH}/{name}"), format!("#{PATH}/{name}{READ}"));
            read.values_mut().for_each(|schema| renamed(schema, &from, &to));
            questions(document, &mut |schema| renamed(schema, &from, &to));
            if let Some(schema) = read.remove(&name) {
                read.insert(format!("{name}{READ}"), schema);
            }
        }
        written.extend(read);
        written.into()
    }
}

fn schema(shape: Shape, generator: &mut SchemaGenerator) -> Value {
    match shape {
        Shape::Of(schema) => schema(generator).to_value(),
        Shape::Text => json!({"type": "string"}),
        // OpenAPI 3.1 says bytes by saying nothing.
        Shape::Bytes => json!({}),
    }
}

/// Numbers that a Rust type cannot hold are refused, so the form says it.
fn bounded(schema: &mut Value) {
    let Ok(schema) = <&mut Schema>::try_from(schema) else { return };
    RecursiveTransform(|schema: &mut Schema| {
        let (min, max) = match schema.get("format").and_then(Value::as_str) {
            Some("int64") => (json!(i64::MIN), json!(i64::MAX)),
            Some("uint64" | "uint") => (json!(0), json!(u64::MAX)),
            Some("uint32") => (json!(0), json!(u32::MAX)),
            _ => return,
        };
        for (keyword, value) in [("minimum", min), ("maximum", max)] {
            if schema.get(keyword).is_none() {
                schema.insert(keyword.to_owned(), value);
            }
        }
    })
    .transform(schema);
}

/// Calls for the request body of each operation.
fn questions(document: &mut Value, change: &mut impl FnMut(&mut Value)) {
    let paths =
        document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    let operations = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    operations.filter_map(|operation| operation.get_mut("requestBody")).for_each(change);
}

fn renamed(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(|value| renamed(value, from, to)),
        Value::Object(members) => members.values_mut().for_each(|value| renamed(value, from, to)),
        _ => {}
    }
}

const PATH: &str = "/components/schemas";
const READ: &str = "Input";
