//! JSON Schema, as far as the document uses it. A keyword that is not known here fails the test, so that nothing passes
//! because it was not looked at.
//!
//! It is stricter than the standard in one thing: an object whose members are named may have no others, unless the schema
//! says so. A client that is told nothing of a field does not get it.

use serde_json::{Map, Value};

pub(super) struct Schemas<'d> {
    pub(super) document: &'d Value,
}

impl<'d> Schemas<'d> {
    /// What is wrong with it, and where.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        self.walk(schema, value, "", &mut wrong);
        wrong
    }

    pub(super) fn resolve(&self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(to) => self.target(to),
            None => value,
        }
    }

    fn target(&self, to: &str) -> &'d Value {
        self.document.pointer(to.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{to} is not there"))
    }

    fn walk(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if schema == &Value::Bool(true) {
            return;
        }
        let members = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema} is no schema"));
        let mut said = Vec::new();
        let mut say = |what: String| said.push(format!("{at}: {what}, found {value}"));
        let number = |limit: &Value| limit.as_f64().unwrap();
        for (keyword, asked) in members {
            match keyword.as_str() {
                "title" | "description" | "default" | "format" | "examples" => {}
                "$ref" => self.walk(self.target(asked.as_str().unwrap()), value, at, wrong),
                "type" if !is_of(asked, value) => say(format!("not of type {asked}")),
                "enum" if !asked.as_array().unwrap().contains(value) => say(format!("not one of {asked}")),
                "const" if asked != value => say(format!("not {asked}")),
                "minimum" if value.as_f64().is_some_and(|found| found < number(asked)) => {
                    say(format!("below {asked}"))
                }
                "maximum" if value.as_f64().is_some_and(|found| found > number(asked)) => {
                    say(format!("above {asked}"))
                }
                "minLength" if value.as_str().is_some_and(|text| text.chars().count() < length(asked)) => {
                    say(format!("shorter than {asked}"))
                }
                "maxLength" if value.as_str().is_some_and(|text| text.chars().count() > length(asked)) => {
                    say(format!("longer than {asked}"))
                }
                "minItems" if value.as_array().is_some_and(|items| items.len() < length(asked)) => {
                    say(format!("fewer than {asked}"))
                }
                "maxItems" if value.as_array().is_some_and(|items| items.len() > length(asked)) => {
                    say(format!("more than {asked}"))
                }
                "required" => {
                    for name in asked.as_array().unwrap() {
                        if value.as_object().is_some_and(|found| !found.contains_key(name.as_str().unwrap()))
                        {
                            wrong.push(format!("{at}: {name} is missing"));
                        }
                    }
                }
                "items" => {
                    for (idx, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.walk(asked, item, &format!("{at}/{idx}"), wrong);
                    }
                }
                "properties" => self.properties(members, value, at, wrong),
                "additionalProperties" if !members.contains_key("properties") => {
                    for (name, found) in value.as_object().into_iter().flatten() {
                        if *asked == Value::Bool(false) {
                            wrong.push(format!("{at}: {name} has no place"));
                        } else {
                            self.walk(asked, found, &format!("{at}/{name}"), wrong);
                        }
                    }
                }
                "anyOf" | "oneOf" => {
                    let each = asked.as_array().unwrap().iter();
                    let each: Vec<Vec<String>> = each
                        .map(|schema| {
                            let mut wrong = Vec::new();
                            self.walk(schema, value, at, &mut wrong);
                            wrong
                        })
                        .collect();
                    let n_fit = each.iter().filter(|wrong| wrong.is_empty()).count();
                    if n_fit == 0 || keyword == "oneOf" && n_fit > 1 {
                        wrong.push(format!("{at}: fits {n_fit} of {keyword}: {each:?}"));
                    }
                }
                "type"
                | "enum"
                | "const"
                | "minimum"
                | "maximum"
                | "minLength"
                | "maxLength"
                | "minItems"
                | "maxItems"
                | "additionalProperties" => {}
                unknown => panic!("{at}: the test does not know the keyword {unknown}"),
            }
        }
        wrong.append(&mut said);
    }

    fn properties(&self, members: &Map<String, Value>, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let known = members["properties"].as_object().unwrap();
        // Without a type it says more about an object that another schema describes.
        let is_open = members.contains_key("additionalProperties") || !members.contains_key("type");
        for (name, found) in value.as_object().into_iter().flatten() {
            match known.get(name) {
                Some(schema) => self.walk(schema, found, &format!("{at}/{name}"), wrong),
                None if is_open => {}
                None => wrong.push(format!("{at}: {name} is not documented")),
            }
        }
    }
}

fn length(limit: &Value) -> usize {
    limit.as_u64().unwrap() as usize
}

fn is_of(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("{unknown} is no type"),
    };
    types.as_array().map_or_else(|| is(types), |types| types.iter().any(is))
}

#[test]
fn the_validator_finds_what_is_wrong() {
    use serde_json::json;
    let document = json!({"components": {"schemas": {"Name": {"type": "string", "minLength": 2}}}});
    let schemas = Schemas { document: &document };
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"$ref": "#/components/schemas/Name"},
            "n": {"type": ["integer", "null"], "minimum": 1},
            "all": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "way": {"anyOf": [{"enum": ["up", "down"]}, {"type": "null"}]},
        }
    });
    for (value, n_wrong) in [
        (json!({"name": "ab", "n": null, "all": {"x": true}, "way": "up"}), 0),
        (json!({"name": "a"}), 1),
        (json!({}), 1),
        (json!({"name": "ab", "more": 1}), 1),
        (json!({"name": "ab", "n": 0}), 1),
        (json!({"name": "ab", "n": 1.5}), 1),
        (json!({"name": "ab", "all": {"x": 1}}), 1),
        (json!({"name": "ab", "way": "left"}), 1),
        (json!([]), 1),
    ] {
        assert_eq!(schemas.check(&schema, &value).len(), n_wrong, "{value}");
    }
}
