//! An event as spans: one of the exchange, and one below it for each layer that says how long it took.
//!
//! Invariants: nothing stands in them that a client can choose freely, and their size is bounded. Ids follow from the
//! event, so an event that is sent twice is the same span.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::sampler::Why;
use crate::domain::StoredEvent;
use crate::domain::shown;
use crate::domain::signals::{Lap, SpanId, TraceId};
use crate::http::LAYERS;

#[derive(Debug)]
pub(super) struct Traced {
    pub(super) trace: TraceId,
    pub(super) is_sampled: bool,
    /// The first is the exchange.
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Span {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: &'static str,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) has_failed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Number(i64),
    Real(f64),
    Flag(bool),
}

impl Traced {
    pub(super) fn of(event: &StoredEvent, why: Why) -> Self {
        let trace = event.signals.trace.as_ref();
        let id = span_id(event, "exchange");
        let (start_ns, end_ns) = times(event);
        let exchange = Span {
            id,
            parent: trace.and_then(|trace| trace.parent),
            name: "sentinel.exchange",
            start_ns,
            end_ns,
            attributes: attributes(event, why),
            has_failed: event.signals.is_degraded || event.signals.status.is_some_and(|status| status >= 500),
        };
        let laps = trace.map(|trace| trace.layers.as_slice()).unwrap_or_default();
        let layers = laps.iter().filter_map(|lap| layer(event, lap, id, (start_ns, end_ns)));
        Self {
            trace: trace_id(event),
            is_sampled: trace.is_none_or(|trace| trace.parent.is_none() || trace.is_sampled),
            spans: std::iter::once(exchange).chain(layers).collect(),
        }
    }
}

fn layer(event: &StoredEvent, lap: &Lap, parent: SpanId, (start_ns, end_ns): (u64, u64)) -> Option<Span> {
    let (layer, name) = LAYERS.into_iter().zip(SPAN_NAMES).find(|(layer, _)| *layer == lap.layer)?;
    let direction = DIRECTIONS.into_iter().find(|direction| *direction == lap.direction)?;
    let begins_ns = start_ns.saturating_add(lap.at_ns).min(end_ns);
    let text = |text: &str| Value::Text(text.to_owned());
    Some(Span {
        id: span_id(event, &format!("{layer} {direction}")),
        parent: Some(parent),
        name,
        start_ns: begins_ns,
        end_ns: begins_ns.saturating_add(lap.took_ns).min(end_ns),
        attributes: vec![("sentinel.layer", text(layer)), ("sentinel.direction", text(direction))],
        has_failed: false,
    })
}

/// The proxy's, or one of its own.
pub(super) fn trace_id(event: &StoredEvent) -> TraceId {
    event.signals.trace_id.unwrap_or_else(|| TraceId(digest(event, "trace")))
}

fn span_id(event: &StoredEvent, what: &str) -> SpanId {
    SpanId(digest(event, what))
}

/// Never all zero, which would be no id.
fn digest<const N: usize>(event: &StoredEvent, what: &str) -> [u8; N] {
    let whole = Sha256::digest(format!("sentinel {what} {}-{}", event.vm, event.seq));
    let mut id = [1; N];
    for (byte, of_whole) in id.iter_mut().zip(whole) {
        *byte = of_whole;
    }
    if id == [0; N] { [1; N] } else { id }
}

fn times(event: &StoredEvent) -> (u64, u64) {
    if let Some(trace) = &event.signals.trace {
        return (trace.began_ns, trace.began_ns.saturating_add(trace.took_ns));
    }
    let end_ns = u64::try_from(event.time_ms).unwrap_or_default().saturating_mul(1_000_000);
    let took_ns = u64::try_from(took(event).as_nanos()).unwrap_or(u64::MAX);
    (end_ns.saturating_sub(took_ns), end_ns)
}

/// The whole exchange, or as much of it as is known.
pub(super) fn took(event: &StoredEvent) -> Duration {
    match &event.signals.trace {
        Some(trace) => Duration::from_nanos(trace.took_ns),
        None => {
            let latency = event.signals.latency;
            let known = [latency.request, latency.response].into_iter().flatten();
            Duration::from_micros(known.fold(0, u64::saturating_add))
        }
    }
}

fn attributes(event: &StoredEvent, why: Why) -> Vec<(&'static str, Value)> {
    let signals = &event.signals;
    let mut list = Vec::with_capacity(24);
    let mut add = |name, value: Option<Value>| list.extend(value.map(|value| (name, value)));
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let label =
        |word: &Option<String>| word.as_deref().map(|word| Value::Text(shown::label(word).to_owned()));
    let labels = |words: &mut dyn Iterator<Item = &str>| {
        let words: Vec<String> = words.take(LISTED_MAX).map(|word| shown::label(word).to_owned()).collect();
        (!words.is_empty()).then_some(Value::Texts(words))
    };
    let number = |n: Option<u64>| n.map(|n| Value::Number(i64::try_from(n).unwrap_or(i64::MAX)));
    let model = signals.gen_ai.model.clone().filter(|model| shown::is_model(model));
    add("gen_ai.operation.name", label(&signals.gen_ai.operation));
    add("gen_ai.provider.name", label(&signals.gen_ai.provider));
    add("gen_ai.request.model", model.map(Value::Text));
    add("gen_ai.usage.input_tokens", number(signals.gen_ai.input_tokens));
    add("gen_ai.usage.output_tokens", number(signals.gen_ai.output_tokens));
    add("http.request.method", signals.method.as_deref().and_then(|name| text(method(name))));
    add("http.response.status_code", number(signals.status.map(u64::from)));
    add("sentinel.event.id", text(&format!("{}-{}", event.vm, event.seq)));
    add("sentinel.request.id", event.request_id.as_deref().and_then(shown::request_id).and_then(text));
    add("sentinel.verdict", text(&event.verdict));
    add("sentinel.action", text(&event.action));
    add("sentinel.score", Some(Value::Real(event.score)));
    add("sentinel.direction", label(&signals.direction));
    add("sentinel.route", label(&event.route));
    add("sentinel.profile", label(&signals.profile));
    add("sentinel.rules", labels(&mut event.rules().into_iter()));
    add("sentinel.gaps", labels(&mut signals.gaps.iter().map(String::as_str)));
    add("sentinel.policy", label(&event.provenance.policy));
    add("sentinel.bundle", label(&event.provenance.bundle));
    add("sentinel.model", label(&event.provenance.model));
    add("sentinel.degraded", signals.is_degraded.then_some(Value::Flag(true)));
    add("sentinel.sampled_by", text(why.word()));
    list
}

fn method(name: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == name).unwrap_or("_OTHER")
}

const DIRECTIONS: [&str; 2] = ["request", "response"];
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// In the order of [`LAYERS`].
const SPAN_NAMES: [&str; LAYERS.len()] = [
    "sentinel.traffic",
    "sentinel.text",
    "sentinel.patterns",
    "sentinel.model",
    "sentinel.second_opinion",
    "sentinel.risk",
    "sentinel.policy",
    "sentinel.act",
];
const LISTED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(more: &str) -> Traced {
        let event = StoredEvent::read(&format!(
            r#"{{"schema":"sentinel.event/1","vm":"a","seq":7,"time_ms":2000,"verdict":"clean","action":"allow",
            "score":0.5{more}}}"#
        ));
        Traced::of(&event.unwrap(), Why::Share)
    }

    #[test]
    fn layers_are_below_the_exchange_and_lie_within_it() {
        let Traced { trace, spans, is_sampled } = traced(
            r#","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","trace":{"parent":"00f067aa0ba902b7","sampled":true,
            "began_ns":1000,"took_ns":500,"layers":[
            {"layer":"patterns","direction":"request","at_ns":10,"took_ns":20},
            {"layer":"act","direction":"response","at_ns":490,"took_ns":900},
            {"layer":"somebody@example.org","direction":"request","at_ns":1,"took_ns":1}]}"#,
        );
        assert_eq!((trace.to_string().as_str(), is_sampled), ("4bf92f3577b34da6a3ce929d0e0e4736", true));
        let [exchange, patterns, act] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(exchange.parent, Some(SpanId([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 2, 0xb7])));
        assert_eq!((exchange.start_ns, exchange.end_ns), (1_000, 1_500));
        assert_eq!((patterns.name, patterns.start_ns, patterns.end_ns), ("sentinel.patterns", 1_010, 1_030));
        assert_eq!((act.start_ns, act.end_ns), (1_490, 1_500));
        assert!([patterns, act].iter().all(|span| span.parent == Some(exchange.id)));
        assert!(patterns.id != act.id && patterns.id != exchange.id);
    }

    #[test]
    fn without_a_trace_it_begins_one_and_is_as_long_as_is_known() {
        let first = traced(r#","latency_us":{"request":300,"response":200}"#);
        let again = traced(r#","latency_us":{"request":300,"response":200}"#);
        assert_eq!((first.trace, &first.spans), (again.trace, &again.spans));
        let [exchange] = first.spans.as_slice() else { panic!("{first:?}") };
        assert_eq!((exchange.parent, exchange.end_ns), (None, 2_000_000_000));
        assert_eq!(exchange.end_ns - exchange.start_ns, 500_000);
    }

    #[test]
    fn what_clients_choose_is_in_no_attribute() {
        const SECRET: &str = "ann@example.org";
        let Traced { spans, .. } = traced(&format!(
            r#","id":"{SECRET}","request_id":"{SECRET}","route":"{SECRET}","host":"{SECRET}","path":"/{SECRET}",
            "subject":"{SECRET}","session":{{"id":"{SECRET}"}},"method":"{SECRET}","profile":"{SECRET}",
            "policy":"{SECRET}","bundle":"{SECRET}","model":"{SECRET}","direction":"{SECRET}","gaps":["{SECRET}"],
            "degraded":"{SECRET}","findings":[{{"rule":"pii/{SECRET}","family":"{SECRET}"}}],
            "gen_ai":{{"model":"{SECRET}","provider":"{SECRET}","operation":"{SECRET}"}}"#
        ));
        assert!(!format!("{spans:?}").contains("ann"), "{spans:?}");
        assert!(format!("{spans:?}").contains("_OTHER"));
    }
}
