//! JSON in which no object names a member twice, at any depth.
//!
//! Readers disagree about which of two members counts. A token that is checked by one reader and obeyed by another could
//! so mean two things.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The object that the bytes are, and nothing after it.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err("it is no JSON object"),
        Err(error) if error.is_data() => Err("a member stands in it twice"),
        Err(_) => Err("it is no JSON"),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_stands_once_is_read_as_any_reader_reads_it() {
        let text = r#"{"a": {"x": [1, -2, 3.5, "é\n", null, true]}, "b": {"x": 18446744073709551615}}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(object(text.as_bytes()).map(Value::Object), Ok(expected));
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"alg": "none", "alg": "EdDSA"}"#,
            r#"{"alg": "EdDSA", "\u0061lg": "none"}"#,
            r#"{"a": [{"b": 1, "b": 1}]}"#,
        ] {
            assert_eq!(object(text.as_bytes()), Err("a member stands in it twice"), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(object(b"[]"), Err("it is no JSON object"));
        for bytes in [&b"{} {}"[..], b"", b"{", b"{\"a\": \"\xff\"}", b"{\"a\": 1,}", &b"[".repeat(100_000)] {
            assert_eq!(object(bytes), Err("it is no JSON"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = object(&bytes);
        }

        #[test]
        fn any_text_like_json_is_read_or_refused(text in "[\\[\\]{}:,\"a0-9.eE+ -]{0,60}") {
            if let Ok(members) = object(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).ok(), Some(members));
            }
        }
    }
}
