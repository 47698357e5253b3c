//! Metrics of the traces that are sent.

use super::Text;
use crate::trace::{RESULTS, Standing, Tracer};

pub(super) fn write(tracer: &Tracer, text: &mut Text) {
    let Standing { counts, queued, is_up, .. } = tracer.standing();
    let name = "sentinel_trace_exchanges_total";
    text.head(name, "counter", "Exchanges, by what became of their trace.");
    for (result, count) in RESULTS.iter().zip(counts) {
        text.sample(name, &[("result", result)], count);
    }
    text.gauge("sentinel_trace_queue", "Exchanges that wait to be sent as traces.", queued);
    if let Some(is_up) = is_up {
        text.gauge("sentinel_trace_up", "Whether the last batch of traces was taken.", u8::from(is_up));
    }
}
