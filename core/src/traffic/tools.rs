//! The tools that a JSON text offers, each with a digest of its definition that stays the same as long as the definition
//! says the same: white space, escapes and the order of keys do not count.
//!
//! A second pass over the tokens, for the few bodies that offer tools. Invariant: a text that is not well formed offers
//! none; somebody else calls that a gap.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use super::{
    json::{Reader, Token},
    walk::key_name,
};
use crate::{
    action::Direction,
    hash,
    span::Span,
    text::{Layers, View},
};

/// Tools of one text that are looked at.
pub(crate) const TOOLS_MAX: usize = 1024;

/// Members of a definition that neither a model nor the one who approves it goes by, and that may change every day.
const UNREAD: [&str; 3] = ["_meta", "icons", "cache_control"];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) digest: [u8; 32],
    /// The definition in the text.
    pub(crate) span: Span,
}

/// In an answer: what servers of tools list. In a request: what an application gives to its model.
pub(crate) fn read(text: &str, direction: Direction) -> Vec<Tool> {
    let mut tools = Vec::new();
    let root = Value { text, at: 0 };
    let lists = root.each().into_iter().flat_map(|message| lists(message, direction));
    for element in lists.flat_map(Value::elements) {
        match direction {
            // A server must not hide its definition behind one that no client reads.
            Direction::Response => element.note(&mut tools),
            Direction::Request => unwrapped(element).into_iter().for_each(|inner| inner.note(&mut tools)),
        }
        if tools.len() == TOOLS_MAX {
            break;
        }
    }
    tools
}

fn lists(message: Value<'_>, direction: Direction) -> Vec<Value<'_>> {
    match direction {
        Direction::Response => message.all("result").flat_map(|result| result.all("tools")).collect(),
        Direction::Request => {
            let configured = message.all("toolconfig").flat_map(|config| config.all("tools"));
            message.all("tools").chain(message.all("functions")).chain(configured).collect()
        }
    }
}

/// What an element of a list defines: providers wrap it in different ways.
fn unwrapped(element: Value<'_>) -> Vec<Value<'_>> {
    let wrapped = element.all("function").chain(element.all("toolspec"));
    let lists = element.all("functiondeclarations").chain(element.all("function_declarations"));
    let inside: Vec<Value<'_>> = wrapped.chain(lists.flat_map(Value::elements)).collect();
    if inside.is_empty() { Vec::from([element]) } else { inside }
}

/// A JSON value, and where it begins in the text around it.
#[derive(Clone, Copy, Debug)]
struct Value<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Value<'a> {
    /// The elements of a batch, or the one value that there is.
    fn each(self) -> Vec<Self> {
        if self.text.trim_start().starts_with('[') { self.elements() } else { Vec::from([self]) }
    }

    fn elements(self) -> Vec<Self> {
        self.children().into_iter().filter(|(key, _)| key.is_none()).map(|(_, value)| value).collect()
    }

    /// The members of that name. Parsers differ in which one they take.
    fn all(self, name: &'static str) -> impl Iterator<Item = Self> {
        let named = move |key: Option<&str>| key.is_some_and(|key| key_name(key) == name);
        self.children().into_iter().filter(move |(key, _)| named(*key)).map(|(_, value)| value)
    }

    /// What stands directly in an object, with its keys, or in an array, without.
    fn children(self) -> Vec<(Option<&'a str>, Self)> {
        let mut reader = Reader::new(self.text);
        let mut children = Vec::new();
        let (mut depth, mut key, mut start) = (0_usize, None, 0);
        while let Ok(Some(token)) = reader.token() {
            match token {
                Token::Key(span) => {
                    if depth == 1 {
                        key = self.text.get(span.range());
                    }
                    continue;
                }
                Token::ObjectStart | Token::ArrayStart => {
                    if depth == 1 {
                        start = reader.at() - 1;
                    }
                    depth += 1;
                    continue;
                }
                Token::ObjectEnd | Token::ArrayEnd => depth = depth.saturating_sub(1),
                Token::String(span) => {
                    start = if depth == 1 { span.range().start.saturating_sub(1) } else { start };
                }
                Token::Number(_) | Token::Word => continue,
            }
            if depth == 1
                && let Some(text) = self.text.get(start..reader.at())
            {
                children.push((key.take(), Value { text, at: self.at + start }));
            }
        }
        children
    }

    /// Takes in the definition, under each of its names where it has several: parsers differ in which one they take.
    fn note(self, tools: &mut Vec<Tool>) {
        let names: Vec<String> =
            self.all("name").filter_map(Self::string).filter(|name| !name.is_empty()).collect();
        let Some(written) = canonical(self.text).filter(|_| !names.is_empty()) else { return };
        let digest = hash::sha256(written.as_bytes());
        let span = Span::new(self.at, self.at + self.text.len());
        let room = TOOLS_MAX - tools.len();
        tools.extend(names.into_iter().take(room).map(|name| Tool { name, digest, span }));
    }

    fn string(self) -> Option<String> {
        Some(plain(self.text.strip_prefix('"')?.strip_suffix('"')?))
    }
}

/// A container that has not closed yet, with what stands in it.
#[derive(Default)]
struct Open {
    /// Its own key in what is around it.
    key: String,
    members: Vec<(String, String)>,
}

/// A definition written in one way only. Every text has its length in front, so that no two values read the same.
fn canonical(text: &str) -> Option<String> {
    let mut reader = Reader::new(text);
    let mut open = Vec::from([Open::default()]);
    let mut key = String::new();
    while let Some(token) = reader.token().ok()? {
        let value = match token {
            Token::Key(span) => {
                key = plain(text.get(span.range())?);
                continue;
            }
            Token::ObjectStart | Token::ArrayStart => {
                open.push(Open { key: core::mem::take(&mut key), members: Vec::new() });
                continue;
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                let closed = open.pop()?;
                let written = closed.written(token == Token::ObjectEnd);
                key = closed.key;
                written
            }
            Token::String(span) => with_length(&plain(text.get(span.range())?)),
            Token::Number(span) => text.get(span.range())?.into(),
            // Four letters tell the three words apart.
            Token::Word => text.get(reader.at().checked_sub(4)?..reader.at())?.into(),
        };
        let (depth, name) = (open.len(), core::mem::take(&mut key));
        if depth != 2 || !UNREAD.contains(&name.as_str()) {
            open.last_mut()?.members.push((name, value));
        }
    }
    open.pop()?.members.pop().map(|(_, value)| value)
}

impl Open {
    fn written(&self, is_object: bool) -> String {
        let mut members: Vec<&(String, String)> = self.members.iter().collect();
        if is_object {
            // Of a key that stands twice, the order counts.
            members.sort_by(|a, b| a.0.cmp(&b.0));
        } else if self.key == "required" {
            // A set in a schema, and some servers write it in any order.
            members.sort();
        }
        let mut out = String::from(if is_object { "{" } else { "[" });
        for (key, value) in members {
            if is_object {
                out.push_str(&with_length(key));
            }
            out.push_str(value);
            out.push(',');
        }
        out.push(if is_object { '}' } else { ']' });
        out
    }
}

fn with_length(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    // Writing to a string cannot fail.
    let _ = write!(out, "\"{}:{text}", text.len());
    out
}

/// The text that the inside of a JSON string means.
fn plain(raw: &str) -> String {
    if !raw.contains('\\') {
        return raw.into();
    }
    let mut view = View::default();
    view.append_plain(raw, 0, Layers::STRING);
    view.text().into()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn listed(tools: &str) -> Vec<Tool> {
        read(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{tools}}}}}"#), Direction::Response)
    }

    fn digest(definition: &str) -> Option<[u8; 32]> {
        listed(&format!("[{definition}]")).pop().map(|tool| tool.digest)
    }

    #[track_caller]
    fn same(a: &str, b: &str) {
        assert!(digest(a).is_some());
        assert_eq!(digest(a), digest(b));
    }

    #[track_caller]
    fn other(a: &str, b: &str) {
        assert!(digest(a).is_some() && digest(b).is_some());
        assert_ne!(digest(a), digest(b));
    }

    #[test]
    fn order_of_keys_white_space_and_escapes_do_not_count() {
        same(
            r#"{"name":"a","description":"Adds.","inputSchema":{"type":"object","properties":{"x":1,"y":[2,true]}}}"#,
            "{ \"inputSchema\" : {\"properties\":{\"y\":[2, true],\n\"x\":1},\"type\":\"object\"}, \"description\":\"\\u0041dds.\",\"name\":\"a\"}",
        );
        same(r#"{"name":"a","required":["x","y"]}"#, r#"{"name":"a","required":["y","x"]}"#);
        same(r#"{"name":"a"}"#, r#"{"name":"a","_meta":{"at":1},"icons":[]}"#);
    }

    #[test]
    fn whatever_else_changes_is_a_change() {
        let base = r#"{"name":"a","description":"Adds.","inputSchema":{"e":[1,2],"x":true}}"#;
        for changed in [
            r#"{"name":"a","description":"Adds!","inputSchema":{"e":[1,2],"x":true}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":[2,1],"x":true}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":[1,2],"x":null}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":[1,2],"x":"true"}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":["1,2"],"x":true}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":[[1,2]],"x":true}}"#,
            r#"{"name":"a","description":"Adds.","inputSchema":{"e":[1,2],"x":true,"_meta":1}}"#,
            r#"{"name":"a","description":"Adds."}"#,
        ] {
            other(base, changed);
        }
        other(r#"{"name":"a","d":"x","d":"y"}"#, r#"{"name":"a","d":"y","d":"x"}"#);
        other(r#"{"name":"a","d":["x","y"]}"#, r#"{"name":"a","d":["x\",\"y"]}"#);
        other(r#"{"name":"a","d":true}"#, r#"{"name":"a","d":false}"#);
    }

    #[test]
    fn spans_are_those_of_the_definitions() {
        let text = r#"[{"id":1}, {"result": {"tools": [ {"name":"a"} , 1, {"name":""}, {"title":"b"}, { "name":"\u0062" }]}}]"#;
        let tools = read(text, Direction::Response);
        let seen: Vec<(&str, &str)> = tools
            .iter()
            .map(|tool| (tool.name.as_str(), text.get(tool.span.range()).unwrap_or("")))
            .collect();
        assert_eq!(seen, [("a", r#"{"name":"a"}"#), ("b", r#"{ "name":"\u0062" }"#)]);
    }

    #[test]
    fn tools_of_requests_stand_in_the_places_of_providers() {
        for text in [
            r#"{"tools":[{"type":"function","function":{"name":"look"}}]}"#,
            r#"{"tools":[{"type":"function","name":"look"}]}"#,
            r#"{"functions":[{"name":"look"}]}"#,
            r#"{"tools":[{"name":"look","input_schema":{}}]}"#,
            r#"{"tools":[{"functionDeclarations":[{"name":"look"}]}]}"#,
            r#"{"toolConfig":{"tools":[{"toolSpec":{"name":"look"}}]}}"#,
        ] {
            let names: Vec<String> =
                read(text, Direction::Request).into_iter().map(|tool| tool.name).collect();
            assert_eq!(names, ["look"], "{text}");
            assert!(read(text, Direction::Response).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_number_of_tools_is_bounded_and_odd_texts_have_none() {
        let many = format!("[{}1]", r#"{"name":"a"},"#.repeat(TOOLS_MAX + 1));
        assert_eq!(listed(&many).len(), TOOLS_MAX);
        for text in ["", "{", "[]", "1", "\"tools\"", r#"{"result":{"tools":[{"name":"a"}"#, "{]"] {
            let _ = read(text, Direction::Response);
        }
        assert!(listed("{}").is_empty() && listed(r#"[[{"name":"a"}]]"#).is_empty());
    }
}
