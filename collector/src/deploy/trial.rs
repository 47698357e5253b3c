//! What a running trial is fed with, and the judge's turn.

use std::time::Duration;

use super::change::figures;
use super::{Desk, JUDGE, Open, Refusal};
use crate::canary::{Context, Decision, HEAPS_MAX, Sample};
use crate::domain::{Deed, Deployment, Entry, Label, Outcome, Received, State, Words};
use crate::store::{Change, Feedback};

impl Desk {
    /// Counts the events of a batch that were stored now, each once.
    pub(crate) fn count(&self, elements: &[Received], outcomes: &[Outcome]) {
        // Reading events again costs something, so only while somebody wants to know.
        if self.now().open.is_none() {
            return;
        }
        let accepted =
            elements.iter().zip(outcomes).filter_map(|(element, outcome)| match (element, outcome) {
                (Received::Event(event), Outcome::Accept) => Sample::read(&event.body),
                _ => None,
            });
        let samples: Vec<Sample> = accepted.collect();
        if let Some(open) = &mut self.now().open {
            for sample in &samples {
                open.count(|context, tally| tally.add(context, sample));
            }
        }
    }

    /// A person's word about a decision; what was said before about the same event, if anything.
    pub(crate) async fn label(
        &self,
        event: &str,
        label: Label,
        who: &str,
        now_ms: i64,
    ) -> Result<Option<Label>, Refusal> {
        let _turn = self.turn.lock().await;
        let Some(body) = self
            .reader
            .event(event.to_owned())
            .await
            .map_err(|error| crate::store::StoreError(error.to_string()))?
        else {
            return Err(Refusal::NotFound("there is no event with this id".to_owned()));
        };
        let previous = self.store.label(event.to_owned()).await?;
        let feedback = Feedback { event: event.to_owned(), label, at_ms: now_ms, who: who.to_owned() };
        self.store.change(Change::PutFeedback(feedback)).await?;
        if previous != Some(label) {
            *self.now().counts.feedback.entry(label.word()).or_default() += 1;
        }
        if let (Some(open), Some(sample)) = (&mut self.now().open, Sample::read(&body)) {
            open.count(|context, tally| tally.label(context, &sample, previous, label));
        }
        Ok(previous)
    }

    /// The heap that an instance reports when it polls.
    pub(crate) fn heap(&self, instance: &str, bytes: u64) {
        let mut now = self.now();
        let before = now.heaps.get(instance).copied();
        if let Some(open) = &mut now.open
            && open.deployment.plan.percent_of(Some(instance)) > 0
        {
            let allowed = open.rules.heap.unwrap_or(u64::MAX);
            open.tally.heaps.report(instance, bytes, before, allowed);
            open.unsaved = true;
        }
        if before.is_some() || now.heaps.len() < HEAPS_MAX {
            now.heaps.insert(instance.to_owned(), bytes);
        }
    }

    /// Judges until nobody is there any more to be judged for.
    pub(crate) async fn judge_every(&self, pause: Duration, clock: fn() -> i64) {
        loop {
            tokio::time::sleep(pause).await;
            if let Err(refusal) = self.judge(clock()).await {
                tracing::warn!(
                    ?refusal,
                    "what the judge decided could not be noted, and will be tried again"
                );
            }
        }
    }

    async fn judge(&self, now_ms: i64) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        let Some((deployment, decision, entry)) = self.judgement(now_ms) else { return Ok(()) };
        match decision {
            Decision::Wait => self.save(&deployment).await,
            Decision::Promote => self.enter(&deployment, State::Promoted, entry, JUDGE).await.map(drop),
            Decision::RollBack(test) => {
                self.enter(&deployment, State::RolledBack, entry, test).await.map(drop)
            }
        }
    }

    /// Condemning takes effect here, whatever the store says afterwards.
    fn judgement(&self, now_ms: i64) -> Option<(Deployment, Decision, Entry)> {
        let mut now = self.now();
        let open = now.open.as_mut()?;
        let deployment = open.deployment.clone();
        let mode = deployment.plan.mode;
        let (decision, report) = match (&open.condemned, deployment.state) {
            (Some((test, report)), _) => (Decision::RollBack(test), report.clone()),
            (None, State::Running) => open.judge.decide(&open.rules, mode, &open.tally, now_ms),
            (None, _) => (Decision::Wait, open.report()),
        };
        let (what, why) = match decision {
            Decision::RollBack(test) => {
                open.condemned = Some((test, report.clone()));
                (Deed::RolledBack, test)
            }
            _ => (Deed::Promoted, "clean for its whole window"),
        };
        let (who, why) = (JUDGE.to_owned(), why.to_owned());
        Some((deployment, decision, Entry { at_ms: now_ms, what, who, why, figures: figures(&report) }))
    }

    /// Writes down what was counted, so that a restart goes on with it.
    async fn save(&self, deployment: &Deployment) -> Result<(), Refusal> {
        let unsaved = |open: &mut Open| {
            std::mem::take(&mut open.unsaved).then(|| serde_json::to_string(&open.tally).ok()).flatten()
        };
        let tally = self.now().open.as_mut().and_then(unsaved);
        let Some(tally) = tally else { return Ok(()) };
        let saved = self.store.change(Change::Tally { number: deployment.number, tally }).await;
        if saved.is_err()
            && let Some(open) = &mut self.now().open
        {
            open.unsaved = true;
        }
        saved?;
        Ok(())
    }

    /// At the end: what was counted since the judge last looked.
    pub(crate) async fn close(&self) {
        let _turn = self.turn.lock().await;
        if let Some((deployment, _)) = self.current()
            && let Err(refusal) = self.save(&deployment).await
        {
            tracing::warn!(?refusal, "the last counts of a deployment could not be kept");
        }
    }
}

impl Open {
    fn count(&mut self, count: impl FnOnce(&Context<'_>, &mut crate::canary::Tally)) {
        let plan = &self.deployment.plan;
        let Some(active) = &plan.active else { return };
        let context = Context {
            mode: plan.mode,
            candidate: &plan.candidate.id,
            active: &active.id,
            started_ms: plan.started_ms,
            benign_routes: &self.rules.benign_routes,
        };
        count(&context, &mut self.tally);
        self.unsaved = true;
    }
}
