//! The form of `coverage/surfaces.yaml`. Unknown keys are errors; how to write it is said at its top.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use sentinel_core::builtin_packs;
use sentinel_model::{Channel, ChannelSet};
use serde::Deserialize;

use super::{encoding::Encoding, template::Form};

#[derive(Debug)]
pub struct Table {
    pub providers: Vec<Provider>,
    /// Channels that some rule judges.
    pub judged: ChannelSet,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub provider: String,
    pub surfaces: Vec<Surface>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    pub name: String,
    #[serde(default = "post")]
    pub method: String,
    pub path: String,
    /// Of the request, beside its content-type.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default = "json")]
    pub content_type: String,
    #[serde(default = "json")]
    pub answer_type: String,
    /// Of answers of one JSON text a line.
    #[serde(default = "ndjson")]
    pub lines_type: String,
    #[serde(default = "ok")]
    pub status: u16,
    /// Both bodies are compressed.
    pub encoding: Option<Encoding>,
    /// The request of the probes of answers; not given: the first of `requests`.
    ask: Option<String>,
    /// The answer of the probes of requests; not given: the first of `answers`.
    answer: Option<String>,
    #[serde(default)]
    pub requests: Vec<Place>,
    #[serde(default)]
    pub answers: Vec<Place>,
}

/// A part of a body that carries text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub what: What,
    /// Tells it apart where a surface has more than one of the kind.
    pub name: Option<String>,
    /// The channel that it belongs on; not given: it is not read.
    pub channel: Option<Channel>,
    whole: Option<String>,
    events: Option<Vec<String>>,
    named_events: Option<Vec<String>>,
    lines: Option<Vec<String>>,
    expected: Option<Expected>,
    /// Why it is not as one would expect.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Text,
    System,
    ToolDefinition,
    ToolArguments,
    ToolResult,
    Document,
}

/// What differs from what one would expect of the channel.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Everywhere(String),
    Given(Given),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    channel: Option<String>,
    attack: Option<String>,
    card: Option<String>,
    restored: Option<String>,
    harmless: Option<String>,
}

impl Table {
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::read(&text).with_context(|| path.display().to_string())
    }

    pub fn read(text: &str) -> Result<Self> {
        let mut providers: Vec<Provider> = serde_saphyr::from_str(text).map_err(|e| anyhow!("{e}"))?;
        providers.iter_mut().flat_map(|provider| &mut provider.surfaces).for_each(Surface::end_lines);
        for (provider, surface) in providers.iter().flat_map(|p| p.surfaces.iter().map(move |s| (p, s))) {
            surface.check().with_context(|| format!("{}, {}", provider.provider, surface.name))?;
        }
        Ok(Self { providers, judged: judged_channels()? })
    }

    pub fn surfaces(&self) -> impl Iterator<Item = (&Provider, &Surface)> {
        self.providers
            .iter()
            .flat_map(|provider| provider.surfaces.iter().map(move |surface| (provider, surface)))
    }
}

/// Channels that at least one rule judges that is used at the lowest level.
fn judged_channels() -> Result<ChannelSet> {
    let packs = builtin_packs().map_err(|e| anyhow!("{e}"))?;
    let rules = packs.iter().flat_map(|pack| &pack.rules).filter(|rule| rule.level == 1);
    Ok(rules.flat_map(|rule| rule.channels.iter().copied()).collect())
}

impl Surface {
    /// Multipart has line ends of its own, which YAML cannot show.
    fn end_lines(&mut self) {
        if self.content_type.starts_with("multipart/") {
            let bodies = self.requests.iter_mut().filter_map(|place| place.whole.as_mut());
            bodies.for_each(|body| *body = body.replace('\n', "\r\n"));
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.requests.is_empty() || !self.answers.is_empty(), "no place");
        for place in self.requests.iter().chain(&self.answers) {
            place.check().with_context(|| place.label())?;
        }
        let streams = self.requests.iter().flat_map(Place::forms).any(|form| form.is_stream());
        ensure!(!streams, "a request is no stream; lines are a content type of their own");
        Ok(())
    }

    /// What is sent so that there is an answer.
    pub fn ask(&self) -> Option<Form> {
        let first = || self.requests.first().and_then(|place| place.forms().into_iter().next());
        self.ask.clone().map(Form::Whole).or_else(first)
    }

    /// What is answered so that there is an answer.
    pub fn answer(&self) -> Form {
        let first = || self.answers.first().and_then(|place| place.forms().into_iter().next());
        self.answer.clone().map(Form::Whole).or_else(first).unwrap_or_else(|| Form::Whole("{}".to_owned()))
    }
}

impl Place {
    fn check(&self) -> Result<()> {
        let forms = self.forms();
        ensure!(!forms.is_empty(), "no body");
        ensure!(
            forms.iter().all(|form| form.has_place() || form.is_empty()),
            "a body without a place for text"
        );
        ensure!(self.expected.is_none() || self.reason.is_some(), "what is not as expected needs a reason");
        ensure!(self.channel.is_some() || self.expected.is_some(), "neither a channel nor what is expected");
        Ok(())
    }

    pub fn label(&self) -> String {
        let what = self.what.name();
        self.name.as_ref().map_or_else(|| what.to_owned(), |name| format!("{what} ({name})"))
    }

    pub fn forms(&self) -> Vec<Form> {
        let events =
            |data: &Option<Vec<String>>, named| data.clone().map(|data| Form::Events { data, named });
        let forms = [
            self.whole.clone().map(Form::Whole),
            events(&self.events, false),
            events(&self.named_events, true),
            self.lines.clone().map(Form::Lines),
        ];
        forms.into_iter().flatten().collect()
    }

    /// Whether rules judge the channel that the text belongs on. Of a text that is not read nobody can say.
    pub fn is_to_be_judged(&self, judged: ChannelSet) -> bool {
        self.channel.is_none_or(|channel| judged.contains(channel))
    }

    /// The words that are expected of the four probes.
    pub fn expected(&self, judged: ChannelSet, can_restore: bool) -> Words {
        let is_judged = self.is_to_be_judged(judged);
        let usual = Words {
            channel: self.channel.map_or(NOT_APPLICABLE, |channel| channel.name()).to_owned(),
            attack: if is_judged { "blocked" } else { "not judged" }.to_owned(),
            card: "masked".to_owned(),
            restored: if can_restore { "restored" } else { NOT_APPLICABLE }.to_owned(),
            harmless: "clean".to_owned(),
        };
        match &self.expected {
            None => usual,
            Some(Expected::Everywhere(word)) => Words {
                channel: usual.channel,
                attack: word.clone(),
                card: word.clone(),
                restored: if can_restore { word.clone() } else { usual.restored },
                harmless: word.clone(),
            },
            Some(Expected::Given(given)) => {
                let or = |given: &Option<String>, usual: String| given.clone().unwrap_or(usual);
                Words {
                    channel: or(&given.channel, usual.channel),
                    attack: or(&given.attack, usual.attack),
                    card: or(&given.card, usual.card),
                    restored: or(&given.restored, usual.restored),
                    harmless: or(&given.harmless, usual.harmless),
                }
            }
        }
    }
}

/// What came of the four probes, or what is expected of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The one that a card number was found on.
    pub channel: String,
    pub attack: String,
    pub card: String,
    pub restored: String,
    pub harmless: String,
}

/// Where a probe makes no sense, such as giving text back in an answer that has none.
pub const NOT_APPLICABLE: &str = "–";

impl What {
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::System,
        Self::ToolDefinition,
        Self::ToolArguments,
        Self::ToolResult,
        Self::Document,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::System => "system",
            Self::ToolDefinition => "tool definition",
            Self::ToolArguments => "tool arguments",
            Self::ToolResult => "tool result",
            Self::Document => "document",
        }
    }
}

fn post() -> String {
    "POST".to_owned()
}

fn json() -> String {
    "application/json".to_owned()
}

fn ndjson() -> String {
    "application/x-ndjson".to_owned()
}

fn ok() -> u16 {
    200
}
