//! The wire formats of providers: documents of one format, bent out of shape, as a request, an answer or a stream, with
//! something planted in them.

use sentinel_core::{Action, Direction};
use serde::Deserialize;

use super::stream::Framing;
use crate::{
    document::{Node, bend},
    drive::{Message, Traffic},
    law::{self, is_json, shown},
    plant::{self, Way},
    source::Source,
};

/// The documents of a format, from `fuzz/formats`. What words the format has is taken from them.
#[derive(Debug, Deserialize)]
pub struct Documents {
    path: String,
    framing: Wire,
    requests: Vec<Node>,
    responses: Vec<Node>,
    events: Vec<Node>,
    #[serde(skip)]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wire {
    Sse,
    Ndjson,
}

/// The target of one format.
#[macro_export]
macro_rules! format_target {
    ($name:literal) => {
        $crate::target!(|data| {
            static DOCUMENTS: std::sync::LazyLock<$crate::targets::format::Documents> =
                std::sync::LazyLock::new(|| {
                    $crate::targets::format::Documents::read(include_str!(concat!(
                        "../../formats/",
                        $name,
                        ".json"
                    )))
                });
            $crate::targets::format::run(&DOCUMENTS, data)
        });
    };
}

impl Documents {
    pub fn read(json: &str) -> Self {
        let mut documents: Self = serde_json::from_str(json).expect("the documents of a format");
        let mut words = Vec::new();
        for document in [&mut documents.requests, &mut documents.responses, &mut documents.events] {
            words.extend(document.iter_mut().flat_map(Node::texts).map(|text| text.clone()));
        }
        words.sort_unstable();
        words.dedup();
        documents.words = words;
        documents
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
    Stream,
}

/// More edits than this leave nothing of a document.
const EDITS_MAX: usize = 8;

const EVENTS_MAX: usize = 5;

pub fn run(documents: &Documents, data: &[u8]) {
    let mut source = Source::new(data);
    let kind = source.pick(&[Kind::Request, Kind::Response, Kind::Stream]);
    let (cuts, ending) = (source.cuts(), source.ending());
    let (pick, way) = (source.below(1 << 12), Way::pick(&mut source));
    let build = |planted: Option<&str>| build(documents, kind, source.clone(), pick, way, planted);
    let traffic = build(None);
    let direction = if kind == Kind::Request { Direction::Request } else { Direction::Response };
    let outcome = law::run(&traffic, &cuts, ending);
    if outcome.event.action == Action::Mask && kind != Kind::Stream {
        let passed = outcome.passed(direction);
        assert!(is_json(passed), "masked, and no JSON any more\n{}", shown(passed));
    }
    plant::check(direction, |planted| build(Some(planted)), &cuts, ending);
}

fn build(
    documents: &Documents,
    kind: Kind,
    mut source: Source<'_>,
    pick: usize,
    way: Way,
    planted: Option<&str>,
) -> Traffic {
    let n_documents = if kind == Kind::Stream { 1 + source.below(EVENTS_MAX) } else { 1 };
    let from = match kind {
        Kind::Request => &documents.requests,
        Kind::Response => &documents.responses,
        Kind::Stream => &documents.events,
    };
    let chosen = source.below(n_documents);
    let texts: Vec<String> = (0..n_documents)
        .map(|idx| {
            let mut document = from[source.below(from.len())].clone();
            let (before, after) = (source.below(EDITS_MAX), source.below(EDITS_MAX));
            bend(&mut document, &documents.words, &mut source, before);
            if let Some(planted) = planted.filter(|_| idx == chosen) {
                plant_in(&mut document, pick, way, planted);
            }
            bend(&mut document, &documents.words, &mut source, after);
            document.render()
        })
        .collect();
    let only = texts.first().map_or("", String::as_str);
    match kind {
        Kind::Request => {
            Traffic::request(Message::post(&documents.path, b"application/json", only.as_bytes()))
        }
        Kind::Response => Traffic::response(Message::answer(b"application/json", only.as_bytes())),
        Kind::Stream => {
            let framing = match documents.framing {
                Wire::Sse => Framing::ServerSentEvents,
                Wire::Ndjson => Framing::Lines,
            };
            let stream: String = texts.iter().map(|text| framing.event(text)).collect();
            Traffic::response(Message::answer(framing.content_type(), stream.as_bytes()))
        }
    }
}

fn plant_in(document: &mut Node, pick: usize, way: Way, planted: &str) {
    let mut texts = document.texts();
    if let Some(idx) = pick.checked_rem(texts.len()) {
        *texts[idx] = way.put(planted, texts[idx]);
    }
}
