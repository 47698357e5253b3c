//! The stored events against what the log says of them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Ranges, Report, Suspect};
use crate::evidence::{DELETED_BY_REQUEST, OUTLIVED};
use crate::vault::{Commitment, Salt};

/// Of any leaf, what is looked at here.
#[derive(Deserialize)]
pub(super) struct Leaf<'a> {
    pub(super) leaf: &'a str,
    pub(super) vm: Option<&'a str>,
    pub(super) seq: Option<u64>,
    commitment: Option<&'a str>,
    what: Option<&'a str>,
    target: Option<&'a str>,
}

/// What is stored of an event.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    pub(super) index: u64,
    salt: Option<&'a str>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(default)]
    gone: bool,
    unreadable: Option<String>,
}

/// Texts that are gone, and the entries that say so.
#[derive(Debug, Default)]
pub(super) struct Gone {
    found: Vec<u64>,
    said: Vec<Ranges>,
}

impl Leaf<'_> {
    pub(super) fn is_event(&self) -> bool {
        self.leaf == "sentinel.event/1"
    }
}

/// Looks at the event of one leaf.
pub(super) fn check(
    entry: u64,
    leaf: &Leaf<'_>,
    line: Option<&Line<'_>>,
    gone: &mut Gone,
    report: &mut Report,
) {
    let Some(line) = line else {
        gone.found.push(entry);
        return;
    };
    if let Some(reason) = &line.unreadable {
        report.say(Suspect::Event, Some(entry), format!("the stored event was changed: {reason}"));
        return;
    }
    if line.gone {
        gone.found.push(entry);
        return;
    }
    let (Some(salt), Some(event)) = (line.salt, line.event) else {
        report.say(Suspect::Event, Some(entry), "the stored event has no text");
        return;
    };
    let committed = u128::from_str_radix(salt, 16).ok().map(|salt| {
        let hash = Commitment::to(&Salt(salt.to_be_bytes()), event.get().as_bytes()).0;
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    if committed.is_none() || committed.as_deref() != leaf.commitment {
        report.say(
            Suspect::Event,
            Some(entry),
            "the stored event was changed: it is not what the entry commits to",
        );
        return;
    }
    report.n_opened += 1;
}

impl Gone {
    /// Takes note of an entry that says what was deleted.
    pub(super) fn hear(&mut self, leaf: &Leaf<'_>) {
        let entries = leaf.target.and_then(|target| target.strip_prefix("entries ")).and_then(Ranges::parse);
        if leaf.what.is_some_and(|what| DELETIONS.contains(&what)) {
            self.said.extend(entries);
        }
    }

    pub(super) fn finish(self, report: &mut Report) {
        for entry in self.found {
            match self.said.iter().any(|entries| entries.contains(entry)) {
                true => report.n_gone += 1,
                false => {
                    let text = "the stored event is gone, and no entry of the log says why";
                    report.say(Suspect::Event, Some(entry), text);
                }
            }
        }
    }
}

/// The deeds after which texts are gone rightly.
const DELETIONS: [&str; 2] = [DELETED_BY_REQUEST, OUTLIVED];
