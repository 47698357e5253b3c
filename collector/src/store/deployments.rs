//! The part of a store that keeps bundles, deployments and feedback.
//!
//! Invariant: what [`Deployments::change`] answered is on disk. It does one thing wholly or not at all.

use super::Answer;
use crate::domain::{BundleInfo, Deployment, Entry, Label, Plan, Pushed, State};

pub(crate) trait Deployments: Send + Sync {
    /// Whether it was done. `false`: the store already has something that stands against it, and nothing was changed.
    fn change(&self, change: Change) -> Answer<'_, bool>;

    /// All bundles, newest first.
    fn bundles(&self) -> Answer<'_, Vec<BundleInfo>>;

    fn bundle(&self, id: String) -> Answer<'_, Option<Pushed>>;

    /// With their history, newest first, those below number `before`.
    fn deployments(&self, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Deployment>>;

    /// The candidate that was promoted last.
    fn active_bundle(&self) -> Answer<'_, Option<BundleInfo>>;

    fn label(&self, event: String) -> Answer<'_, Option<Label>>;
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Not done if the same name and version is there with another id. The same bundle again, which may be signed by
    /// other keys now, takes the place of the one that is there.
    PutBundle(Pushed),
    /// Not done if the number is taken or another deployment is open.
    Begin {
        number: i64,
        plan: Box<Plan>,
        state: State,
        entry: Entry,
    },
    /// Not done if the deployment is not open any more.
    Enter {
        number: i64,
        state: State,
        entry: Entry,
        tally: Option<String>,
    },
    /// What was counted so far. Not done if the deployment is not open any more.
    Tally {
        number: i64,
        tally: String,
    },
    PutFeedback(Feedback),
}

#[derive(Clone, Debug)]
pub(crate) struct Feedback {
    pub(crate) event: String,
    pub(crate) label: Label,
    pub(crate) at_ms: i64,
    pub(crate) who: String,
}
