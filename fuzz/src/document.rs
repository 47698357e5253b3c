//! JSON documents as trees that can be bent out of shape: what a format's generator starts from are real documents,
//! and every edit is one that a careless or hostile client could make.

use std::fmt::{self, Write};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use crate::source::Source;

#[derive(Clone, Debug)]
pub enum Node {
    /// In the order of the text, names as often as they come. A name is the inside of a string, escapes and all.
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    /// The inside of a string.
    Text(String),
    /// A number or a word.
    Bare(String),
}

/// Longer documents show nothing that shorter ones do not.
const RENDERED_BYTES_MAX: usize = 64 * 1024;

impl Node {
    pub fn parse(json: &str) -> Self {
        serde_json::from_str(json).expect("documents of the formats are JSON")
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => {
                let _ = write!(out, "\"{text}\"");
            }
            Self::Bare(bare) => out.push_str(bare),
            Self::Array(items) => {
                out.push('[');
                for (idx, item) in items.iter().enumerate() {
                    out.push_str(if idx > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (idx, (name, value)) in members.iter().enumerate() {
                    let _ = write!(out, "{}\"{name}\":", if idx > 0 { "," } else { "" });
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.size()).sum::<usize>(),
            Self::Array(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Text(_) | Self::Bare(_) => 1,
        }
    }

    /// The node number `n`, in the order of the text.
    fn nth(&mut self, n: usize) -> &mut Self {
        let mut left = n % self.size();
        let mut node = self;
        while left > 0 {
            left -= 1;
            let children: Vec<&mut Self> = match node {
                Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
                Self::Array(items) => items.iter_mut().collect(),
                Self::Text(_) | Self::Bare(_) => unreachable!("a leaf has the size of one"),
            };
            node = children
                .into_iter()
                .find(|child| {
                    let size = child.size();
                    let is_in = left < size;
                    left -= if is_in { 0 } else { size };
                    is_in
                })
                .expect("the size is that of the children");
        }
        node
    }

    /// Its members, or those of the nearest object behind it.
    fn nth_members(&mut self, n: usize) -> Option<&mut Vec<(String, Self)>> {
        let size = self.size();
        let at = (n..n + size).find(|at| matches!(self.nth(*at), Self::Object(_)))?;
        match self.nth(at) {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Every name and text in it, in order, to be changed.
    pub fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::Object(members) => members
                .iter_mut()
                .flat_map(|(name, value)| std::iter::once(name).chain(value.texts()))
                .collect(),
            Self::Array(items) => items.iter_mut().flat_map(Self::texts).collect(),
            Self::Text(text) => vec![text],
            Self::Bare(_) => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Bare(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Bare("null".into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(escaped(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Node::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Node>()? {
            object.push((escaped(&name), value));
        }
        Ok(Node::Object(object))
    }
}

/// The inside of a JSON string.
pub fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text can be a JSON string");
    quoted[1..quoted.len() - 1].to_owned()
}

/// Puts the document out of shape, as the source says.
pub fn bend(document: &mut Node, words: &[String], source: &mut Source<'_>, edits_max: usize) {
    for _ in 0..edits_max {
        if source.is_empty() {
            return;
        }
        edit(document, words, source);
        if document.render().len() > RENDERED_BYTES_MAX {
            *document = Node::Text("too long".into());
        }
    }
}

fn edit(document: &mut Node, words: &[String], source: &mut Source<'_>) {
    let at = 1 + source.byte() as usize;
    match source.byte() % 12 {
        0 | 1 => *document.nth(at) = value(words, source),
        2 | 3 => {
            let (name, value) = (word(words, source), value(words, source));
            if let Some(members) = document.nth_members(at) {
                members.push((name, value));
            }
        }
        4 => {
            let value = value(words, source);
            let pick = usize::from(source.byte());
            if let Some(members) = document.nth_members(at)
                && let Some((name, _)) = members.get(pick.checked_rem(members.len()).unwrap_or(0)).cloned()
            {
                members.push((name, value));
            }
        }
        5 | 6 => {
            let node = document.nth(at);
            *node = Node::Text(escaped(&node.render()));
        }
        7 => {
            let (pick, spelling) = (usize::from(source.byte()), source.byte());
            if let Some(members) = document.nth_members(at)
                && let Some(idx) = pick.checked_rem(members.len())
            {
                members[idx].0 = spelled(&members[idx].0, spelling);
            }
        }
        8 => {
            let pick = usize::from(source.byte());
            if let Some(members) = document.nth_members(at)
                && let Some(idx) = pick.checked_rem(members.len())
            {
                let member = members.remove(idx);
                if source.flag() {
                    members.push(member);
                }
            }
        }
        9 => {
            let name = word(words, source);
            let node = document.nth(at);
            let inner = std::mem::replace(node, Node::Bare("null".into()));
            *node = match source.flag() {
                true => Node::Object(vec![(name, inner)]),
                false => Node::Array(vec![inner]),
            };
        }
        10 => {
            let copy = document.nth(at).clone();
            *document.nth(1 + usize::from(source.byte())) = copy;
        }
        _ => {
            let text = escaped(&source.text(40));
            if let Node::Text(known) = document.nth(at) {
                known.push_str(&text);
            }
        }
    }
}

fn value(words: &[String], source: &mut Source<'_>) -> Node {
    match source.byte() % 10 {
        0..=2 => Node::Text(word(words, source)),
        3 | 4 => Node::Text(escaped(&source.text(60))),
        5 => Node::Bare(
            source
                .pick(&["0", "1", "-1.5e3", "true", "false", "null", "99999999999", "5555555555554444"])
                .into(),
        ),
        6 => Node::Array(vec![Node::Text(word(words, source)), Node::Bare("7".into())]),
        7 => Node::Object(vec![(word(words, source), Node::Text(word(words, source)))]),
        8 => Node::Text(source.pick(MEDIA).into()),
        _ if source.flag() => Node::Array(Vec::new()),
        _ => Node::Object(Vec::new()),
    }
}

/// What may stand where media is.
const MEDIA: &[&str] = &[
    "data:image/png;base64,iVBORw0KGgo=",
    "iVBORw0KGgoAAAANSUhEUg==",
    "JVBERi0xLjQ=",
    "https://h.example/a.png",
    "data:text/plain,ignore",
    "file_1",
];

fn word(words: &[String], source: &mut Source<'_>) -> String {
    match words.is_empty() {
        true => "a".into(),
        false => words[source.below(words.len())].clone(),
    }
}

/// The same name to a generous reader.
fn spelled(name: &str, how: u8) -> String {
    let plain = !name.contains('\\');
    match how % 4 {
        0 if plain => name.to_uppercase(),
        1 if plain => name.chars().map(|c| format!("\\u{:04x}", u32::from(c).min(0xffff))).collect(),
        2 => format!("{name}\u{200b}"),
        _ => format!("{name} "),
    }
}
