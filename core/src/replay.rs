//! A decision made again from what its event has kept of the content, and held against what was decided.
//!
//! What was masked cannot be found again, and what a session, the memory of tools or a text before knew is not here: such
//! findings are taken from the event, everything else is found anew, and the decision is made from both. So it has to be
//! the same to the last bit, and whatever is not is a difference.

mod again;
mod compare;
mod way;

use alloc::{string::String, vec::Vec};

use serde::Serialize;

use self::again::Again;
use crate::{
    action::{Action, Direction, Verdict},
    content::{Judged, LeftOut},
    engine::Engine,
    event::Event,
    finding::Finding,
    span::Span,
};

/// An event judged again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replay {
    pub request: Turn,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Turn>,
    /// Where the event as a whole is not what its directions were recorded to come to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overall: Vec<Difference>,
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The event has no text of it.
    LeftOut(LeftOut),
    Judged(Comparison),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub recorded: Judged,
    pub again: Judged,
    /// Findings that are the same, found again.
    pub same: u32,
    /// Recorded ones that were masked, or beside a mask in what the model read at once: they cannot come again.
    pub masked: Vec<Finding>,
    /// Recorded ones that rest on what is no part of the content: a session, a text before, the memory of tools.
    pub outside: Vec<Finding>,
    pub differences: Vec<Difference>,
}

/// What is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    Verdict {
        recorded: Verdict,
        again: Verdict,
    },
    Action {
        recorded: Action,
        again: Action,
    },
    /// What enforcing would have done.
    Would {
        recorded: Option<Action>,
        again: Option<Action>,
    },
    Score {
        recorded: f32,
        again: f32,
    },
    Findings {
        recorded: u32,
        again: u32,
    },
    Missing(Finding),
    New(Finding),
    Changed {
        recorded: Finding,
        again: Finding,
    },
}

/// Why nothing can be judged again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoReplay {
    /// The event has no content.
    NoContent,
    /// The policy has no such profile.
    Profile(String),
    /// A text that no reader is named for.
    Format(String),
    /// Pieces of a stream that do not make up its text.
    Pieces,
}

impl core::fmt::Display for NoReplay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoContent => f.write_str("the event has no content"),
            Self::Profile(name) => write!(f, "the policy has no profile {name:?}"),
            Self::Format(name) => write!(f, "the content has the unknown format {name:?}"),
            Self::Pieces => f.write_str("the pieces of the stream do not make up the text of the content"),
        }
    }
}

impl core::error::Error for NoReplay {}

impl Replay {
    pub fn turns(&self) -> impl Iterator<Item = (Direction, &Turn)> {
        let response = self.response.iter().map(|turn| (Direction::Response, turn));
        core::iter::once((Direction::Request, &self.request)).chain(response)
    }

    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.turns().filter_map(|(_, turn)| match turn {
            Turn::Judged(comparison) => Some(comparison),
            Turn::LeftOut(_) => None,
        })
    }

    pub fn differs(&self) -> bool {
        !self.overall.is_empty() || self.comparisons().any(|comparison| !comparison.differences.is_empty())
    }
}

/// Judges the content of an event again, with the policy, the rules and the model of this engine. Whether they are those
/// that the event names is up to the caller.
pub fn replay(engine: &Engine, event: &Event) -> Result<Replay, NoReplay> {
    let content = event.content.as_ref().ok_or(NoReplay::NoContent)?;
    let name = event.profile.as_deref().unwrap_or_default();
    let profile = engine.profile(name).ok_or_else(|| NoReplay::Profile(name.into()))?;
    let mut again = Again::new(engine, profile, event, content);
    let request = again.turn(Direction::Request, &content.request)?;
    let response = content.response.as_ref();
    let response = response.map(|part| again.turn(Direction::Response, part)).transpose()?;
    Ok(Replay { request, response, overall: compare::overall(event, content) })
}

fn finding_span(finding: &Finding) -> Span {
    Span { start: finding.start, end: finding.end.max(finding.start) }
}
