//! A document as it was written, YAML or JSON, with the place of every key and value.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Place,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Neither a list nor a map.
    pub(crate) const fn is_plain(&self) -> bool {
        !matches!(self.content, Content::List(_) | Content::Map(_))
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(value) => Value::Number(value.clone()),
            Content::Text(value) => Value::String(value.clone()),
            Content::List(items) => items.iter().map(Self::to_json).collect(),
            Content::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }

    /// Where a field such as `routes[1].match.path` stands, and what. Of one that is not there: what is nearest above.
    pub(crate) fn find(&self, field: &str) -> Found<'_> {
        let mut found = Found { at: self.at, node: self, is_whole: true };
        let mut rest = field;
        while !rest.is_empty() {
            let Some((next, at, behind)) = found.node.step(rest) else {
                return Found { is_whole: false, ..found };
            };
            (found.node, found.at, rest) = (next, at, behind);
        }
        found
    }

    /// One key or number of an item off the front of a field. Keys may have dots: the longest that fits is meant.
    fn step<'a, 'f>(&'a self, field: &'f str) -> Option<(&'a Self, Place, &'f str)> {
        match &self.content {
            Content::List(items) => {
                let (number, behind) = field.strip_prefix('[')?.split_once(']')?;
                let item = items.get(number.parse::<usize>().ok()?)?;
                Some((item, item.at, behind.strip_prefix('.').unwrap_or(behind)))
            }
            Content::Map(entries) => {
                let behind_key = |entry: &Entry| match field.strip_prefix(entry.key.as_str())? {
                    "" => Some(""),
                    behind if behind.starts_with('[') => Some(behind),
                    behind => behind.strip_prefix('.'),
                };
                let fitting = entries.iter().filter_map(|entry| Some((entry, behind_key(entry)?)));
                let (entry, behind) = fitting.max_by_key(|(entry, _)| entry.key.len())?;
                Some((&entry.value, entry.at, behind))
            }
            _ => None,
        }
    }
}

pub(crate) struct Found<'a> {
    pub(crate) at: Place,
    pub(crate) node: &'a Node,
    /// The document has the field itself.
    pub(crate) is_whole: bool,
}

impl From<&serde_saphyr::Location> for Place {
    fn from(at: &serde_saphyr::Location) -> Self {
        Self { line: at.line(), column: at.column() }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: content, referenced, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { at: Place::from(&referenced), content })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        // Neither of the two that JSON cannot say is a number that a field could want.
        Ok(serde_json::Number::from_f64(value).map_or(Content::Null, Content::Number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(Spanned { value: key, referenced, .. }) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry { key, at: Place::from(&referenced), value: map.next_value()? });
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_leads_to_its_place() {
        let text = "routes:\n- name: a\npatterns:\n  - id: custom/a\n    regex: aaa\n  - id: custom/b\n    channels:\n      \
                    - user\n    regex:\n      - bbb\n      - c\n  - {regex: d, id: e}\n\
                    profiles:\n  a.b:\n    level: 2\n  a: {level: 3}\n";
        let node: Node = serde_saphyr::from_str(text).expect("a document");
        for (field, place, is_whole) in [
            ("routes", (1, 1), true),
            ("routes[0].name", (2, 3), true),
            ("patterns[0].regex", (5, 5), true),
            ("patterns[1].id", (6, 5), true),
            ("patterns[1].regex[1]", (11, 9), true),
            ("patterns[2].regex", (12, 6), true),
            ("patterns[2].score", (12, 5), false),
            ("profiles.a.b.level", (15, 5), true),
            ("profiles.a.level", (16, 7), true),
        ] {
            let found = node.find(field);
            assert_eq!(
                (found.at.line, found.at.column, found.is_whole),
                (place.0, place.1, is_whole),
                "{field}"
            );
        }
        assert_eq!(node.to_json()["profiles"]["a"]["level"], 3);
    }

    #[test]
    fn json_has_places_too() {
        let node: Node =
            serde_saphyr::from_str("{\n  \"a\": [1, 0.5, true, null],\n  \"b\": \"c\"\n}").expect("JSON");
        assert_eq!(node.find("a[1]").at, Place { line: 2, column: 12 });
        assert_eq!(node.find("b").at, Place { line: 3, column: 3 });
        assert_eq!(node.to_json(), serde_json::json!({ "a": [1, 0.5, true, null], "b": "c" }));
    }
}
