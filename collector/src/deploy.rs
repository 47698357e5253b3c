//! Which bundle filters are given, and who decides it: people through HTTP, and the judge of a running trial.
//!
//! What filters are given stands in memory, so that polling asks no database, and everything that was decided stands in
//! the store first. Invariant: changes happen one after another (`turn`), and memory never shows what the store does
//! not have, with one exception: a candidate that the judge has condemned is withdrawn at once, even if the store
//! cannot note it yet.

mod change;
mod offer;
mod request;
mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::canary::{Judge, Report, Rules, TESTS, Tally};
use crate::domain::{BundleInfo, Deployment, Label, Pushed, TrustKeys, Words, bundle_ends_ms};
use crate::evidence::Reader;
use crate::store::{Store, StoreError};
pub(crate) use change::Verb;
pub(crate) use offer::{Offer, Slot};
pub(crate) use request::Request;

pub(crate) struct Desk {
    store: Arc<dyn Store>,
    reader: Arc<Reader>,
    trust: TrustKeys,
    /// Held by whoever changes something, over all that he asks of the store.
    turn: tokio::sync::Mutex<()>,
    /// Locked only for moments, and never while the store is asked.
    now: Mutex<Now>,
}

/// What is the case now.
#[derive(Debug)]
struct Now {
    active: Option<Arc<File>>,
    open: Option<Open>,
    /// The last heap that each instance reported.
    heaps: BTreeMap<String, u64>,
    counts: Counts,
}

/// A deployment under way.
#[derive(Debug)]
struct Open {
    deployment: Deployment,
    candidate: Arc<File>,
    rules: Rules,
    tally: Tally,
    judge: Judge,
    /// Whether the tally has changed since it was last written down.
    unsaved: bool,
    /// The test that condemned it, from then until the store has noted it.
    condemned: Option<(&'static str, Report)>,
}

/// A bundle as it is handed out.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) info: BundleInfo,
    pub(crate) bytes: axum::body::Bytes,
    /// Of all bytes: new signatures make another file of the same bundle.
    pub(crate) sha256: String,
    /// When filters do not take it any more; `None` if that cannot be read.
    ends_ms: Option<i64>,
}

/// Since the start, for metrics.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) rollbacks: BTreeMap<&'static str, u64>,
    /// By the judge, and by people.
    pub(crate) promotions: [u64; 2],
    /// What people said of decisions; who says the same of an event again has said nothing new.
    pub(crate) feedback: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) active: Option<BundleInfo>,
    pub(crate) current: Option<(Deployment, Report)>,
    pub(crate) deployments: Vec<Deployment>,
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    Malformed(String),
    NotFound(String),
    Conflict(String),
    Invalid(String),
    Store(StoreError),
}

impl Desk {
    /// Takes up what was under way when the collector stopped.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        reader: Arc<Reader>,
        trust: TrustKeys,
    ) -> Result<Self, StoreError> {
        let active = match store.active_bundle().await? {
            Some(info) => Some(file(&*store, &info.id).await?),
            None => None,
        };
        let newest = store.deployments(1, None).await?.pop();
        let open = match newest.filter(|deployment| deployment.state.is_open()) {
            Some(deployment) => Some(Open::resume(&*store, deployment).await?),
            None => None,
        };
        let rollbacks = TESTS.into_iter().chain([BY_HAND]).map(|reason| (reason, 0)).collect();
        let feedback = [Label::FalsePositive, Label::TruePositive].map(|label| (label.word(), 0)).into();
        let counts = Counts { rollbacks, promotions: [0; 2], feedback };
        let now = Mutex::new(Now { active, open, heaps: BTreeMap::new(), counts });
        Ok(Self { store, reader, trust, turn: tokio::sync::Mutex::new(()), now })
    }

    /// What stands in it is right after a panic, too: each change of it is a single assignment or addition.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn active(&self) -> Option<BundleInfo> {
        self.now().active.as_ref().map(|file| file.info.clone())
    }

    /// When the active bundle is not valid any more.
    pub(crate) fn active_ends_ms(&self) -> Option<i64> {
        self.now().active.as_ref()?.ends_ms
    }

    /// The deployment under way with what its judge sees.
    pub(crate) fn current(&self) -> Option<(Deployment, Report)> {
        let now = self.now();
        let open = now.open.as_ref()?;
        Some((open.deployment.clone(), open.report()))
    }

    /// The history with what is active and under way at the same moment.
    pub(crate) async fn overview(&self, limit: usize, before: Option<i64>) -> Result<Overview, StoreError> {
        let _turn = self.turn.lock().await;
        let deployments = self.store.deployments(limit, before).await?;
        Ok(Overview { active: self.active(), current: self.current(), deployments })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.now().counts.clone()
    }
}

impl Open {
    async fn resume(store: &dyn Store, deployment: Deployment) -> Result<Self, StoreError> {
        let unreadable =
            |error: serde_json::Error| StoreError(format!("a deployment cannot be read: {error}"));
        let candidate = file(store, &deployment.plan.candidate.id).await?;
        let rules = serde_json::from_str(&deployment.plan.rules).map_err(unreadable)?;
        let tally = deployment.tally.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Self::new(deployment, candidate, rules, tally.unwrap_or_default()))
    }

    fn new(deployment: Deployment, candidate: Arc<File>, rules: Rules, tally: Tally) -> Self {
        let judge = Judge::default();
        Self { deployment, candidate, rules, tally, judge, unsaved: false, condemned: None }
    }

    fn report(&self) -> Report {
        match &self.condemned {
            Some((_, report)) => report.clone(),
            None => Report::of(&self.rules, self.deployment.plan.mode, &self.tally),
        }
    }
}

impl File {
    fn of(pushed: Pushed) -> Arc<Self> {
        let sha256 = hex(&Sha256::digest(&pushed.bytes));
        let ends_ms = bundle_ends_ms(&pushed.bytes);
        Arc::new(Self { info: pushed.info, bytes: pushed.bytes.into(), sha256, ends_ms })
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn file(store: &dyn Store, id: &str) -> Result<Arc<File>, StoreError> {
    let pushed = store.bundle(id.to_owned()).await?;
    pushed.map(File::of).ok_or_else(|| StoreError(format!("bundle {id} is not in the database")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const BY_HAND: &str = "manual";
const JUDGE: &str = "judge";
