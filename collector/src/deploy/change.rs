//! What people do with bundles and deployments.

use serde::Deserialize;

use super::request::check_reason;
use super::{BY_HAND, Desk, File, Open, Refusal, Request, file};
use crate::canary::{Report, Tally};
use crate::domain::shown;
use crate::domain::{BundleInfo, Deed, Deployment, Entry, Mode, Pushed, State};
use crate::store::Change;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Promote,
    Rollback,
    Freeze,
    Unfreeze,
}

impl Desk {
    /// The bundle, and whether it is new.
    pub(crate) async fn push(
        &self,
        bytes: Vec<u8>,
        who: &str,
        now_ms: i64,
    ) -> Result<(BundleInfo, bool), Refusal> {
        let header = self.trust.check(&bytes, now_ms).map_err(Refusal::Invalid)?;
        let _turn = self.turn.lock().await;
        let there = self.store.bundle(header.id.clone()).await?;
        if let Some(there) = there.as_ref().filter(|there| there.bytes == bytes) {
            return Ok((there.info.clone(), false));
        }
        let info = BundleInfo {
            id: header.id,
            name: header.name,
            version: header.version,
            bytes: bytes.len(),
            pushed_ms: now_ms,
            pushed_by: who.to_owned(),
        };
        let pushed = Pushed { info: info.clone(), bytes };
        if !self.store.change(Change::PutBundle(pushed.clone())).await? {
            let (name, version) = (&info.name, info.version);
            return Err(Refusal::Conflict(format!("another bundle is {name} version {version} already")));
        }
        self.replace(&File::of(pushed));
        tracing::info!(
            bundle = info.id,
            name = info.name,
            version = info.version,
            who = shown::person(who),
            "bundle pushed"
        );
        Ok((info, there.is_none()))
    }

    /// The same bundle with other signatures, as when keys change, is handed out from now on.
    fn replace(&self, new: &std::sync::Arc<File>) {
        let mut now = self.now();
        if let Some(active) = now.active.as_mut().filter(|active| active.info.id == new.info.id) {
            *active = std::sync::Arc::clone(new);
        }
        if let Some(open) = now.open.as_mut().filter(|open| open.candidate.info.id == new.info.id) {
            open.candidate = std::sync::Arc::clone(new);
        }
    }

    pub(crate) async fn begin(
        &self,
        request: &Request,
        who: &str,
        now_ms: i64,
    ) -> Result<Deployment, Refusal> {
        let _turn = self.turn.lock().await;
        let Some(pushed) = self.store.bundle(request.bundle.clone()).await? else {
            return Err(Refusal::NotFound("there is no bundle with this id; push it first".to_owned()));
        };
        let active = self.active();
        let (plan, rules) = request.plan(pushed.info.clone(), active.clone(), now_ms)?;
        if let Some((running, _)) = self.current() {
            let number = running.number;
            return Err(Refusal::Conflict(format!(
                "deployment {number} is under way; promote it or roll it back"
            )));
        }
        if plan.mode != Mode::Active && active.is_none() {
            let why = "nothing is active that a candidate could be compared with; use mode active";
            return Err(Refusal::Conflict(why.to_owned()));
        }
        if let Some(active) = &active {
            let (new, old) = (&plan.candidate, active);
            if new.id == old.id {
                return Err(Refusal::Conflict("this bundle is active already".to_owned()));
            }
            if new.version < old.version {
                return Err(Refusal::Conflict(format!(
                    "version {} is older than the active version {}, and filters go only forwards; build it again with a \
                     higher version",
                    new.version, old.version
                )));
            }
        }
        let number = self.store.deployments(1, None).await?.first().map_or(1, |newest| newest.number + 1);
        let (state, what) = match plan.mode {
            Mode::Active => (State::Promoted, Deed::Promoted),
            Mode::Shadow | Mode::Canary => (State::Running, Deed::Started),
        };
        let (who, why) = (who.to_owned(), request.reason.clone());
        let entry = Entry { at_ms: now_ms, what, who, why, figures: None };
        let change = Change::Begin { number, plan: Box::new(plan.clone()), state, entry: entry.clone() };
        if !self.store.change(change).await? {
            return Err(Refusal::Conflict("another deployment began in the meantime".to_owned()));
        }
        tracing::info!(deployment = number, mode = ?plan.mode, bundle = plan.candidate.id, "deployment begins");
        let deployment = Deployment { number, plan, state, history: vec![entry], tally: None };
        let candidate = File::of(pushed);
        let mut now = self.now();
        if state == State::Promoted {
            now.active = Some(candidate);
            let [_, by_hand] = &mut now.counts.promotions;
            *by_hand += 1;
        } else {
            now.open = Some(Open::new(deployment.clone(), candidate, rules, Tally::default()));
        }
        Ok(deployment)
    }

    /// What a person decides about the deployment under way.
    pub(crate) async fn act(
        &self,
        verb: Verb,
        who: &str,
        why: &str,
        now_ms: i64,
    ) -> Result<Deployment, Refusal> {
        check_reason(why).map_err(Refusal::Malformed)?;
        let _turn = self.turn.lock().await;
        let Some((deployment, report)) = self.current() else {
            return Err(Refusal::Conflict("no deployment is under way".to_owned()));
        };
        let (state, what) = match (verb, deployment.state) {
            (Verb::Promote, _) => (State::Promoted, Deed::Promoted),
            (Verb::Rollback, _) => (State::RolledBack, Deed::RolledBack),
            (Verb::Freeze, State::Running) => (State::Frozen, Deed::Frozen),
            (Verb::Unfreeze, State::Frozen) => (State::Running, Deed::Unfrozen),
            (Verb::Freeze, _) => return Err(Refusal::Conflict("it is frozen already".to_owned())),
            (Verb::Unfreeze, _) => return Err(Refusal::Conflict("it is not frozen".to_owned())),
        };
        let (who, why) = (who.to_owned(), why.to_owned());
        let entry = Entry { at_ms: now_ms, what, who, why, figures: figures(&report) };
        self.enter(&deployment, state, entry, BY_HAND).await
    }

    /// Notes it in the store, then lets it be so. The caller holds the turn.
    pub(super) async fn enter(
        &self,
        deployment: &Deployment,
        state: State,
        entry: Entry,
        reason: &'static str,
    ) -> Result<Deployment, Refusal> {
        let number = deployment.number;
        let tally = self.now().open.as_ref().and_then(|open| serde_json::to_string(&open.tally).ok());
        // Fetched before anything is noted, so that nothing can fail afterwards.
        let promoted = match state {
            State::Promoted => Some(file(&*self.store, &deployment.plan.candidate.id).await?),
            _ => None,
        };
        let change = Change::Enter { number, state, entry: entry.clone(), tally: tally.clone() };
        if !self.store.change(change).await? {
            return Err(Refusal::Conflict("the deployment is not under way any more".to_owned()));
        }
        // Why, stands in its history.
        tracing::info!(deployment = number, state = ?state, who = shown::person(&entry.who), "deployment changes");
        let mut changed = Deployment { state, tally, ..deployment.clone() };
        changed.history.push(entry);
        let mut now = self.now();
        match state {
            State::Running | State::Frozen => {
                if let Some(open) = &mut now.open {
                    open.deployment = changed.clone();
                    open.judge = crate::canary::Judge::default();
                }
            }
            State::Promoted => {
                now.active = promoted;
                now.open = None;
                let [by_judge, by_hand] = &mut now.counts.promotions;
                *(if reason == BY_HAND { by_hand } else { by_judge }) += 1;
            }
            State::RolledBack => {
                now.open = None;
                *now.counts.rollbacks.entry(reason).or_default() += 1;
            }
        }
        Ok(changed)
    }
}

pub(super) fn figures(report: &Report) -> Option<String> {
    serde_json::to_string(report).ok()
}
