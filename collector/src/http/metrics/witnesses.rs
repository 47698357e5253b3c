//! Metrics of the log and of the witnesses that cosign it.

use super::Text;
use crate::evidence::{OUTCOMES, WitnessStanding};
use crate::http::App;
use crate::http::events::now_ms;

pub(super) async fn write(app: &App, text: &mut Text) {
    let size = app.notary.standing().size;
    text.gauge("sentinel_log_size", "Entries that the newest checkpoint is over.", size);
    let standings = app.cosigners.standings();
    if standings.is_empty() {
        return;
    }
    // Without an answer it is unknown, which is not 0.
    if let Ok(witnessed) = app.files.witnessed().await {
        let size = witnessed.map_or(0, |row| row.size);
        let help = "Entries that the newest checkpoint with enough cosignatures is over.";
        text.gauge("sentinel_log_witnessed_size", help, size);
    }
    requests(&standings, text);
    let mut gauges = |name: &str, help: &str, value: &dyn Fn(&WitnessStanding) -> Option<f64>| {
        text.head(name, "gauge", help);
        for standing in &standings {
            if let Some(value) = value(standing) {
                text.sample(name, &[("witness", &standing.name)], value);
            }
        }
    };
    gauges("sentinel_log_witness_up", "Whether the witness cosigned when it was asked last.", &|standing| {
        standing.outcome.map(|_| f64::from(u8::from(standing.failing_since_ms.is_none())))
    });
    let help = "Whether the witness has cosigned what this log does not continue.";
    gauges("sentinel_log_witness_contradicted", help, &|standing| {
        Some(f64::from(u8::from(standing.is_contradicted())))
    });
    let help = "Entries that the witness has cosigned, since the start.";
    gauges("sentinel_log_witness_size", help, &|standing| standing.size.map(|size| size as f64));
    let now_ms = now_ms();
    let help = "How long the witness has not cosigned what it was asked to.";
    gauges("sentinel_log_witness_failing_seconds", help, &|standing| {
        let since_ms = standing.failing_since_ms.unwrap_or(now_ms);
        Some(now_ms.saturating_sub(since_ms).max(0) as f64 / 1_000.0)
    });
}

fn requests(standings: &[WitnessStanding], text: &mut Text) {
    let name = "sentinel_log_witness_requests_total";
    text.head(name, "counter", "What witnesses were asked, by what it came to.");
    for standing in standings {
        for ((_, word), count) in OUTCOMES.iter().zip(standing.counts) {
            text.sample(name, &[("witness", &standing.name), ("outcome", word)], count);
        }
    }
}
