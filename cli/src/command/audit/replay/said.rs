//! What a replay came to, in words.

use std::fmt::Write as _;

use sentinel_core::{
    Finding,
    content::Judged,
    event::Event,
    replay::{Comparison, Difference, Replay, Turn},
};
use serde_json::Value;

use super::{artefacts::Differing, found::Found};

/// What follows from all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    Different,
    /// The event has no text of either direction.
    NothingToJudge,
}

impl Outcome {
    pub(super) fn of(replayed: &Replay) -> Self {
        match replayed.differs() {
            true => Self::Different,
            false if replayed.comparisons().next().is_none() => Self::NothingToJudge,
            false => Self::Same,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::NothingToJudge => "nothing_to_judge",
        }
    }

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Same => 0,
            Self::Different => 1,
            Self::NothingToJudge => 2,
        }
    }
}

/// What took part in the decision and is no part of the content.
pub(super) fn outside(event: &Event) -> Vec<String> {
    let mut list: Vec<String> = event.limits.iter().map(|limit| format!("limit {}", limit.limit)).collect();
    if let Some(session) = &event.session {
        list.push(format!("session {} with risk {}", session.id, session.risk));
    }
    if let Some(degraded) = &event.degraded {
        list.push(format!("degraded: {degraded}"));
    }
    list
}

pub(super) fn stopped(found: &Found, id: &str, differing: &[Differing]) -> String {
    let mut text = proven(found, id);
    artefacts(&mut text, differing);
    text + "not judged again: with these it would be another question (--anyway judges nevertheless)"
}

pub(super) fn text(found: &Found, event: &Event, differing: &[Differing], replayed: &Replay) -> String {
    let mut text = proven(found, &event.id);
    if differing.is_empty() {
        text += "policy, packs and model are those that decided\n";
    }
    artefacts(&mut text, differing);
    for (direction, turn) in replayed.turns() {
        // Writing to a text does not fail.
        match turn {
            Turn::LeftOut(reason) => {
                let reason = serde_json::to_value(reason).ok();
                let reason = reason.as_ref().and_then(Value::as_str).unwrap_or("unknown");
                let _ = writeln!(text, "{}: not kept ({reason}), so not judged again", direction.name());
            }
            Turn::Judged(comparison) => judged(&mut text, direction.name(), comparison),
        }
    }
    for difference in &replayed.overall {
        let _ = writeln!(text, "DIFFERENT event: {}", said(difference));
    }
    for part in outside(event) {
        let _ = writeln!(text, "taken as recorded: {part}");
    }
    text + match Outcome::of(replayed) {
        Outcome::Same => "the decision comes out the same",
        Outcome::Different => "the decision does NOT come out the same",
        Outcome::NothingToJudge => "nothing was kept that could be judged again",
    }
}

fn proven(found: &Found, id: &str) -> String {
    format!("event {id} is entry {} of {} in the log {}\n", found.index, found.size, found.log)
}

fn artefacts(text: &mut String, differing: &[Differing]) {
    for Differing { artefact, recorded, found } in differing {
        let hash = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".into());
        let _ = writeln!(text, "OTHER {artefact}: the event has {}, here is {}", hash(recorded), hash(found));
    }
}

fn judged(text: &mut String, direction: &str, comparison: &Comparison) {
    let Comparison { again: Judged { verdict, action, score, .. }, same, .. } = comparison;
    let (verdict, action) = (verdict.name(), action.name());
    let _ = writeln!(text, "{direction}: {verdict}, {action}, score {score}; {same} findings again");
    for finding in &comparison.masked {
        let _ = writeln!(text, "  masked, cannot come again: {}", place(finding));
    }
    for finding in &comparison.outside {
        let _ = writeln!(text, "  rests on what is not kept: {}", place(finding));
    }
    for difference in &comparison.differences {
        let _ = writeln!(text, "  DIFFERENT {}", said(difference));
    }
}

fn place(finding: &Finding) -> String {
    let Finding { rule, channel, start, end, score, .. } = finding;
    format!("{rule} ({}, bytes {start} to {end}, score {score})", channel.name())
}

fn said(difference: &Difference) -> String {
    match difference {
        Difference::Verdict { recorded, again } => {
            format!("verdict: {} -> {}", recorded.name(), again.name())
        }
        Difference::Action { recorded, again } => format!("action: {} -> {}", recorded.name(), again.name()),
        Difference::Would { recorded, again } => {
            let name = |action: &Option<_>| action.map_or("nothing", sentinel_core::Action::name);
            format!("would: {} -> {}", name(recorded), name(again))
        }
        Difference::Score { recorded, again } => format!("score: {recorded} -> {again}"),
        Difference::Findings { recorded, again } => format!("findings: {recorded} -> {again}"),
        Difference::Missing(finding) => format!("not found again: {}", place(finding)),
        Difference::New(finding) => format!("found only now: {}", place(finding)),
        Difference::Changed { recorded, again } => {
            format!("{}: then {recorded:?}, now {again:?}", recorded.rule)
        }
    }
}
