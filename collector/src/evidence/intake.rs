//! Taking events in: each is committed to, sealed, and handed to the store; one whose place is taken is compared with
//! what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keeper::{Content, Keeper, KeeperError};
use super::leaf_of_event;
use crate::domain::{
    Kept, NewEvent, Outcome, Quarantined, Received, Record, Sealed, StoredEvent, SubjectTag, same_content,
};
use crate::store::{Store, StoreError};
use crate::vault::{Held, Place, Pooled, System};

#[derive(Debug)]
pub(crate) struct Intake {
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
}

/// For one batch: its keys, so that each is asked for once, and its chance, for the same reason.
struct Work {
    received_ms: i64,
    keys: BTreeMap<Option<SubjectTag>, Held>,
    chance: Pooled<System>,
}

impl Work {
    fn new(received_ms: i64) -> Self {
        Self { received_ms, keys: BTreeMap::new(), chance: Pooled::new(System) }
    }
}

impl Intake {
    pub(crate) fn new(store: Arc<dyn Store>, keeper: Arc<Keeper>) -> Self {
        Self { store, keeper }
    }

    /// What became of each element, durably, in its order. When it fails the whole batch may be sent again.
    ///
    /// The same event again is a duplicate if it says the same, and is set aside if not; nothing is ever overwritten.
    pub(crate) async fn take(
        &self,
        elements: &[Received],
        received_ms: i64,
    ) -> Result<Vec<Outcome>, KeeperError> {
        let mut work = Work::new(received_ms);
        let mut kept = self.store.append(self.records(elements, &mut work).await?).await;
        if kept.is_err() && self.keeper.refresh().await? {
            // Another collector has destroyed a key that was in use here, and nothing is kept that nobody could read.
            work = Work::new(received_ms);
            kept = self.store.append(self.records(elements, &mut work).await?).await;
        }
        let kept = kept?;
        if kept.len() != elements.len() {
            return Err(StoreError("the store did not answer for every element".to_owned()).into());
        }
        let mut outcomes = Vec::with_capacity(kept.len());
        let mut conflicts = Vec::new();
        for (element, kept) in elements.iter().zip(kept) {
            outcomes.push(match (element, kept) {
                (Received::Event(_), Kept::At(_)) => Outcome::Accept,
                (Received::Event(event), Kept::Taken(there)) => {
                    match self.compare(event, there.as_ref()).await? {
                        Outcome::Quarantine { reason } => {
                            conflicts.push(self.aside(&reason, &event.body, &mut work).await?);
                            Outcome::Quarantine { reason }
                        }
                        outcome => outcome,
                    }
                }
                (Received::Problem { reason, .. }, _) => Outcome::Quarantine { reason: reason.clone() },
                (Received::Event(_), Kept::Aside) => {
                    return Err(StoreError("the store set an event aside".to_owned()).into());
                }
            });
        }
        if !conflicts.is_empty() {
            self.store.append(conflicts).await?;
        }
        Ok(outcomes)
    }

    async fn records(&self, elements: &[Received], work: &mut Work) -> Result<Vec<Record>, KeeperError> {
        let mut records = Vec::with_capacity(elements.len());
        for element in elements {
            records.push(match element {
                Received::Event(event) => self.event(event, work).await?,
                Received::Problem { reason, body } => self.aside(reason, body, work).await?,
            });
        }
        Ok(records)
    }

    async fn compare(&self, event: &StoredEvent, there: Option<&Sealed>) -> Result<Outcome, KeeperError> {
        // What is gone cannot be compared; it was here, and must not come back.
        let Some(there) = there else { return Ok(Outcome::Duplicate) };
        let same = match self.keeper.unseal(&place(&event.vm, event.seq), there).await? {
            Content::Gone => true,
            Content::Open(payload) => {
                std::str::from_utf8(&payload.body).is_ok_and(|body| same_content(body, &event.body))
            }
        };
        if same {
            return Ok(Outcome::Duplicate);
        }
        let StoredEvent { vm, seq, .. } = event;
        Ok(Outcome::Quarantine {
            reason: format!("conflict: vm {vm} seq {seq} is already stored with other content"),
        })
    }

    async fn event(&self, event: &StoredEvent, work: &mut Work) -> Result<Record, KeeperError> {
        let keeper = &self.keeper;
        let subject = event.subject.as_deref().map(|id| keeper.subject(id));
        let key = self.key(subject, work).await?;
        let (sealed, commitment) =
            Keeper::seal(&key, &place(&event.vm, event.seq), event.body.as_bytes(), &mut work.chance)?;
        let words = match self.store.keeps_words() {
            true => keeper.words(event.words()),
            false => Vec::new(),
        };
        Ok(Record::Event(Box::new(NewEvent {
            vm: event.vm.clone(),
            seq: event.seq,
            id: event.own_id().map(str::to_owned),
            time_ms: event.time_ms,
            received_ms: work.received_ms,
            request: event.request_id.as_deref().map(|id| keeper.number("request", id)),
            session: event.session.as_deref().map(|id| keeper.number("session", id)),
            subject,
            route: event.route.clone(),
            verdict: event.verdict.clone(),
            action: event.action.clone(),
            score: event.score,
            rules: event.rules().into_iter().map(str::to_owned).collect(),
            fired: event.fired(),
            words,
            leaf: leaf_of_event(event, &commitment, work.received_ms),
            sealed,
        })))
    }

    async fn aside(&self, reason: &str, body: &str, work: &mut Work) -> Result<Record, KeeperError> {
        let key = self.key(None, work).await?;
        // The reason may quote the body, so it is sealed with it.
        let text = format!("{reason}\n{body}");
        let digest = self.keeper.digest(&text);
        let (sealed, _) = Keeper::seal(&key, &ASIDE, text.as_bytes(), &mut work.chance)?;
        Ok(Record::Quarantine(Quarantined { digest, at_ms: work.received_ms, sealed }))
    }

    async fn key(&self, subject: Option<SubjectTag>, work: &mut Work) -> Result<Held, KeeperError> {
        if let Some(key) = work.keys.get(&subject) {
            return Ok(Arc::clone(key));
        }
        let key = self.keeper.sealing_key(work.received_ms, subject).await?;
        work.keys.insert(subject, Arc::clone(&key));
        Ok(key)
    }
}

pub(super) const fn place(vm: &str, seq: i64) -> Place<'_> {
    Place { column: "event", vm, seq }
}

const ASIDE: Place<'static> = Place { column: "quarantine", vm: "", seq: 0 };
