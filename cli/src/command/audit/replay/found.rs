//! The event, from where the evidence is, with the proof that it is in the log as it stands there.

use sentinel_collector::audit;
use sentinel_ledger::VerifierKey;
use serde_json::{Value, json};

use crate::{
    collector::Collector,
    command::{
        audit::{prove, source::Evidence},
        events::encoded,
    },
    report::Fault,
};

pub(super) struct Found {
    pub(super) index: u64,
    pub(super) size: u64,
    pub(super) log: String,
    pub(super) event: String,
}

impl Found {
    pub(super) async fn find(
        evidence: &mut Evidence,
        id: &str,
        key: Option<&VerifierKey>,
    ) -> Result<Self, Fault> {
        if let Evidence::Collector(collector) = evidence {
            return of_collector(collector, id, key);
        }
        let found = audit::find(evidence, key, id).await.map_err(Fault::Input)?;
        let found = found.ok_or_else(|| {
            Fault::Input(format!("there is no event {id} that is signed for, or its text is gone"))
        })?;
        let audit::Found { index, size, log, event } = found;
        Ok(Self { index, size, log, event })
    }

    pub(super) fn json(&self) -> Value {
        json!({ "index": self.index, "size": self.size, "log": self.log })
    }
}

fn of_collector(collector: &Collector, id: &str, key: Option<&VerifierKey>) -> Result<Found, Fault> {
    let bytes = collector.get_bytes(&format!("/v1/events/{}", encoded(id)))?;
    let bytes = bytes.ok_or_else(|| Fault::Input(format!("there is no event {id}")))?;
    let event = String::from_utf8(bytes).map_err(|_| Fault::Internal(format!("event {id} is no text")))?;
    let key = key.map(ToString::to_string);
    let proven = prove::proven(collector, id, key.as_deref())?;
    let salt = proven.answer.get("salt").and_then(Value::as_str);
    let salt = salt.ok_or_else(|| Fault::Input(format!("the text of event {id} is gone")))?;
    if !audit::commits_to(&proven.leaf, salt, &event) {
        let why = format!("it is not what entry {} of the log commits to", proven.index);
        return Err(Fault::Input(format!("event {id} was changed: {why}")));
    }
    Ok(Found { index: proven.index, size: proven.size, log: proven.log, event })
}
