//! Counters and gauges of an instance, as the text that Prometheus reads. The names are those of the filter.

use std::{collections::BTreeMap, fmt::Write};

use sentinel_adapter::{
    breakers::{Kind, News},
    shipper::Tally,
};
use sentinel_core::{
    Action, Family, Verdict,
    event::Event,
    guard::known::Counts,
    receipt::{GapReason, Receipt},
};

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [u64; Action::ALL.len()],
    verdicts: [u64; Verdict::ALL.len()],
    attacks: [u64; Family::ALL.len()],
    /// By the kind of personal data.
    entities: BTreeMap<String, u64>,
    secrets: u64,
    gaps: [u64; GapReason::ALL.len()],
    /// Scanned, structural, and in a gap.
    bytes: [u64; 3],
    /// Refused and tagged.
    limits: [u64; 2],
    quarantines: u64,
    quarantined: u64,
    events: Tally,
    known: Counts,
    calls: [News; Kind::ALL.len()],
    breakers: [u32; Kind::ALL.len()],
    pub(crate) config_errors: u64,
    pub(crate) host_errors: u64,
    /// Instances that broke before this one.
    pub(crate) traps: u64,
    pub(crate) bundle_version: u64,
    pub(crate) bundle_swaps: u64,
    pub(crate) bundles_refused: u64,
    pub(crate) bundle_polls_failed: u64,
    pub(crate) holds_last_good: bool,
    pub(crate) gauges: Gauges,
}

#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) degraded: bool,
    pub(crate) buffered: usize,
    pub(crate) in_progress: u32,
    pub(crate) heap: usize,
    pub(crate) strain: u32,
    pub(crate) expires: u64,
}

/// More kinds of personal data are counted together.
const ENTITIES_MAX: usize = 100;

impl Metrics {
    pub(crate) fn exchange(&mut self, event: &Event) {
        add(&mut self.requests, event.action as usize, 1);
        add(&mut self.verdicts, event.verdict as usize, 1);
        for finding in event.findings.iter().filter(|finding| !finding.shadow) {
            match finding.family {
                Family::Pii => self.found(&finding.rule),
                Family::Secret => self.secrets += 1,
                attack => add(&mut self.attacks, attack as usize, 1),
            }
        }
        for receipt in std::iter::once(&event.receipt.request).chain(&event.receipt.response) {
            self.receipt(receipt);
        }
        for limit in &event.limits {
            add(&mut self.limits, usize::from(!limit.refused), 1);
        }
        if let Some(seen) = event.session.as_ref().filter(|seen| seen.quarantined_until_ms.is_some()) {
            let count = if seen.began { &mut self.quarantines } else { &mut self.quarantined };
            *count += 1;
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        let [scanned, structural, gaps] = &mut self.bytes;
        *scanned += u64::from(receipt.scanned);
        *structural += u64::from(receipt.structural);
        *gaps += u64::from(receipt.gap_bytes());
        for gap in &receipt.gaps {
            add(&mut self.gaps, gap.reason as usize, 1);
        }
    }

    fn found(&mut self, rule: &str) {
        let kind = rule.split_once('/').map_or(rule, |(_, kind)| kind);
        let has_room = self.entities.len() < ENTITIES_MAX || self.entities.contains_key(kind);
        let kind = if has_room { kind } else { "other" };
        *self.entities.entry(kind.to_owned()).or_default() += 1;
    }

    pub(crate) const fn events(&mut self, tally: Tally) {
        self.events.sent += tally.sent;
        self.events.dropped += tally.dropped;
        self.events.sampled += tally.sampled;
        self.events.refused += tally.refused;
        self.events.failed_calls += tally.failed_calls;
    }

    pub(crate) fn known<E>(&mut self, counts: Result<Counts, E>) {
        let Ok(Counts { hits, misses, evicted }) = counts else { return };
        self.known.hits += hits;
        self.known.misses += misses;
        self.known.evicted += evicted;
    }

    pub(crate) fn calls(&mut self, news: [(Kind, News); Kind::ALL.len()], states: [u32; Kind::ALL.len()]) {
        self.breakers = states;
        for (sum, (_, news)) in self.calls.iter_mut().zip(news) {
            sum.refused += news.refused;
            sum.retries += news.retries;
            for (sum, n) in sum.changes.iter_mut().zip(news.changes) {
                *sum += n;
            }
            for (sum, n) in sum.results.iter_mut().zip(news.results) {
                *sum += n;
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = Text::default();
        let actions = Action::ALL.map(|action| action.name());
        text.group("requests_total", "layer=\"edge\",status", &actions, &self.requests);
        text.group("verdicts_total", "verdict", &Verdict::ALL.map(|it| it.name()), &self.verdicts);
        let attacks = Family::ALL.into_iter().zip(self.attacks).filter(|(family, _)| family.raises_risk());
        let (names, counts): (Vec<&str>, Vec<u64>) = attacks.map(|(it, n)| (it.name(), n)).unzip();
        text.group("injection_attempts_total", "injection_type", &names, &counts);
        for (kind, n) in &self.entities {
            text.line("pii_detections_total", &format!("entity_type=\"{kind}\""), *n);
        }
        text.line("secret_detections_total", "", self.secrets);
        text.group("gaps_total", "reason", &GapReason::ALL.map(|it| it.name()), &self.gaps);
        text.group("body_bytes_total", "coverage", &["scanned", "structural", "gap"], &self.bytes);
        text.group("limits_reached_total", "result", &["refused", "tagged"], &self.limits);
        text.line("quarantines_total", "", self.quarantines);
        text.line("quarantined_requests_total", "", self.quarantined);
        self.about_the_collector(&mut text);
        let Counts { hits, misses, evicted } = self.known;
        text.group("known_texts_total", "result", &["hit", "miss", "evicted"], &[hits, misses, evicted]);
        text.line("config_errors_total", "", self.config_errors);
        text.line("host_errors_total", "", self.host_errors);
        text.line("traps_total", "", self.traps);
        text.line("bundle_version", "", self.bundle_version);
        text.line("bundle_expires_timestamp_seconds", "", self.gauges.expires);
        text.line("bundle_last_good", "", self.holds_last_good.into());
        text.line("bundle_swaps_total", "", self.bundle_swaps);
        text.line("bundles_refused_total", "", self.bundles_refused);
        text.line("bundle_polls_failed_total", "", self.bundle_polls_failed);
        text.line("degraded", "", self.gauges.degraded.into());
        text.line("requests_in_progress", "", self.gauges.in_progress.into());
        text.line("vm_heap_used_bytes", "", self.gauges.heap as u64);
        text.line("memory_strain", "", self.gauges.strain.into());
        text.0
    }

    fn about_the_collector(&self, text: &mut Text) {
        let Tally { sent, dropped, sampled, refused, failed_calls } = self.events;
        let events = [sent, dropped, sampled, refused].map(|n| n as u64);
        text.group("events_total", "result", &["sent", "dropped", "sampled", "refused"], &events);
        text.line("event_calls_failed_total", "", failed_calls as u64);
        text.line("events_buffered", "", self.gauges.buffered as u64);
        for ((kind, news), state) in Kind::ALL.into_iter().zip(&self.calls).zip(self.breakers) {
            let kind = kind.name();
            let callout = format!("callout=\"{kind}\"");
            text.line("breaker_state", &callout, state.into());
            let results = format!("{callout},result");
            text.group("callouts_total", &results, &["answered", "failed"], &news.results);
            let states = format!("{callout},state");
            text.group("breaker_changes_total", &states, &["open", "half_open", "closed"], &news.changes);
            text.line("breaker_refused_total", &callout, news.refused);
            text.line("breaker_retries_total", &callout, news.retries);
        }
    }
}

fn add(counts: &mut [u64], idx: usize, by: u64) {
    if let Some(count) = counts.get_mut(idx) {
        *count += by;
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// One line for each value of the last label.
    fn group(&mut self, name: &str, label: &str, values: &[&str], counts: &[u64]) {
        for (value, n) in values.iter().zip(counts) {
            self.line(name, &format!("{label}=\"{value}\""), *n);
        }
    }

    fn line(&mut self, name: &str, labels: &str, n: u64) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "sentinel_{name}{{{labels}}} {n}");
    }
}
