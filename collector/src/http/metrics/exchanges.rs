//! What accepted events say of exchanges. Each event is counted once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Text;
use super::exemplar::Exemplar;
use super::histogram::{EXCHANGE_BOUNDS_S, Histogram, LAYER_BOUNDS_S, SCORE_BOUNDS};
use super::series::Series;
use crate::domain::shown::{self, OTHER};
use crate::domain::{ACTIONS, StoredEvent, VERDICTS};

#[derive(Debug)]
pub(super) struct Exchanges {
    by_action: Series,
    by_verdict: Series,
    attacks: Series,
    pii: Series,
    secrets: Series,
    gaps: Series,
    tokens: Series,
    with_gap: u64,
    degraded: u64,
    scores: Histogram,
    held: BTreeMap<&'static str, Histogram>,
    layers: BTreeMap<String, Histogram>,
}

impl Default for Exchanges {
    /// Series that are known beforehand begin at 0, so that their first increase is seen as one.
    fn default() -> Self {
        let held = DIRECTIONS.map(|direction| (direction, Histogram::with(&EXCHANGE_BOUNDS_S)));
        Self {
            by_action: Series::from_zero(&ACTIONS),
            by_verdict: Series::from_zero(&VERDICTS),
            attacks: Series::from_zero(&ATTACK_FAMILIES),
            pii: Series::default(),
            secrets: Series::default(),
            gaps: Series::default(),
            tokens: Series::default(),
            with_gap: 0,
            degraded: 0,
            scores: Histogram::with(&SCORE_BOUNDS),
            held: held.into(),
            layers: BTreeMap::new(),
        }
    }
}

impl Exchanges {
    pub(super) fn add(&mut self, event: &StoredEvent) {
        let exemplar = Exemplar::of(event);
        let of_attack = exemplar.as_ref().filter(|_| event.action == "block");
        self.by_action.add_with(&event.action, of_attack);
        self.by_verdict.add_with(&event.verdict, of_attack);
        self.findings(event, exemplar.as_ref());
        if event.score > 0.0 {
            self.scores.observe(event.score * 100.0, exemplar.as_ref());
        }
        let signals = &event.signals;
        signals.gaps.iter().for_each(|reason| self.gaps.add(reason));
        self.with_gap += u64::from(!signals.gaps.is_empty());
        self.degraded += u64::from(signals.is_degraded);
        // Without a response it is 0.
        let response = signals.latency.response.filter(|micros| *micros > 0);
        for (direction, micros) in DIRECTIONS.into_iter().zip([signals.latency.request, response]) {
            if let (Some(histogram), Some(micros)) = (self.held.get_mut(direction), micros) {
                histogram.observe(Duration::from_micros(micros).as_secs_f64(), exemplar.as_ref());
            }
        }
        for lap in signals.trace.iter().flat_map(|trace| &trace.layers) {
            let layer = if LAYERS.contains(&lap.layer.as_str()) { lap.layer.as_str() } else { OTHER };
            let histogram = self.layers.entry(layer.to_owned());
            let histogram = histogram.or_insert_with(|| Histogram::with(&LAYER_BOUNDS_S));
            histogram.observe(Duration::from_nanos(lap.took_ns).as_secs_f64(), exemplar.as_ref());
        }
        for (kind, n) in [("input", signals.gen_ai.input_tokens), ("output", signals.gen_ai.output_tokens)] {
            if let Some(n) = n {
                self.tokens.add_many(kind, n, None);
            }
        }
    }

    pub(super) fn with_gap(&self) -> u64 {
        self.with_gap
    }

    fn findings(&mut self, event: &StoredEvent, exemplar: Option<&Exemplar>) {
        // One event is one attempt of each kind, however many of its findings say so.
        for family in ATTACK_FAMILIES {
            if event.findings.iter().any(|finding| finding.family == family) {
                self.attacks.add_with(family, exemplar);
            }
        }
        for finding in &event.findings {
            let kind = finding.rule.split_once('/').map_or(finding.rule.as_str(), |(_, kind)| kind);
            match finding.family.as_str() {
                "pii" => self.pii.add(shown::label(kind)),
                "secret" => self.secrets.add(shown::label(kind)),
                _ => {}
            }
        }
    }

    pub(super) fn write(&self, text: &mut Text) {
        for (name, help, label, series) in [
            ("sentinel_events_by_action_total", "Accepted events, by action.", "action", &self.by_action),
            ("sentinel_verdicts_total", "Accepted events, by verdict.", "verdict", &self.by_verdict),
            (
                "sentinel_injection_attempts_total",
                "Accepted events with a finding of an attack family.",
                "injection_type",
                &self.attacks,
            ),
            ("sentinel_pii_detections_total", "Findings of personal data.", "entity_type", &self.pii),
            ("sentinel_secret_detections_total", "Findings of secrets.", "secret_type", &self.secrets),
            (
                "sentinel_events_with_gap_total",
                "Accepted events with a gap that policy names.",
                "reason",
                &self.gaps,
            ),
            ("sentinel_tokens_total", "Tokens that answers reported.", "token_type", &self.tokens),
        ] {
            // What nobody has sent yet, and perhaps never will, is no series.
            if !series.is_empty() {
                text.series(name, help, label, series);
            }
        }
        text.counter(
            "sentinel_degraded_events_total",
            "Accepted events of a degraded filter.",
            self.degraded,
        );
        self.scores.write("sentinel_risk_scores", "Scores above 0 of accepted events, in hundredths.", text);
        let name = "sentinel_exchange_duration_seconds";
        text.head(name, "histogram", "From the first to the last byte of a direction, by accepted events.");
        for (direction, histogram) in &self.held {
            histogram.samples(name, &[("direction", direction)], text);
        }
        if !self.layers.is_empty() {
            let name = "sentinel_layer_duration_seconds";
            text.head(name, "histogram", "What layers of the guard took, by events that say it.");
            for (layer, histogram) in &self.layers {
                histogram.samples(name, &[("layer", layer)], text);
            }
        }
    }
}

pub(in crate::http) const ATTACK_FAMILIES: [&str; 4] = ["injection", "jailbreak", "leak", "obfuscation"];
const DIRECTIONS: [&str; 2] = ["request", "response"];
pub(crate) const LAYERS: [&str; 8] =
    ["traffic", "text", "patterns", "model", "second_opinion", "risk", "policy", "act"];
