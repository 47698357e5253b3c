//! A text of the document that means something: it is kept as it was written, and what it means is found out once.

use alloc::string::String;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reading never fails, so that one wrong text does not hide what is wrong elsewhere; `Policy::check` asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    text: String,
    meaning: Result<T, String>,
}

impl<T: FromStr<Err = String>> Parsed<T> {
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { meaning: text.parse(), text }
    }
}

impl<T> Parsed<T> {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it means, if it means anything. Of a policy that was checked it always does.
    pub const fn get(&self) -> Option<&T> {
        match &self.meaning {
            Ok(meaning) => Some(meaning),
            Err(_) => None,
        }
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.meaning.as_ref().err().cloned()
    }
}

impl<T> Serialize for Parsed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(feature = "schema")]
impl<T> schemars::JsonSchema for Parsed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}
