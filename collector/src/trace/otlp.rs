//! The messages of OTLP for traces, `opentelemetry/proto/collector/trace/v1`, and what is answered to them.

use super::protobuf::{Field, Message, fields};
use super::span::{Span, Traced, Value};
use crate::domain::signals::TraceId;

/// An `ExportTraceServiceRequest`.
pub(super) fn request(exchanges: &[Traced]) -> Vec<u8> {
    let scope = Message::default().text(1, "sentinel").text(2, env!("CARGO_PKG_VERSION"));
    let spans = exchanges.iter().fold(Message::default().message(1, &scope), |spans, traced| {
        spans.messages(2, &traced.spans, |it| span(&traced.trace, traced.is_sampled, it))
    });
    let service = [
        ("service.name", Value::Text("sentinel".to_owned())),
        ("service.version", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let resource = Message::default().messages(1, &service, attribute);
    let of_resource = Message::default().message(1, &resource).message(2, &spans);
    Message::default().message(1, &of_resource).into_bytes()
}

/// How many spans an `ExportTraceServiceResponse` says were not taken.
pub(super) fn n_rejected(answer: &[u8]) -> u64 {
    let partial = fields(answer).find_map(|field| match field {
        (1, Field::Bytes(partial)) => Some(partial),
        _ => None,
    });
    let rejected = fields(partial.unwrap_or_default()).find_map(|field| match field {
        (1, Field::Number(n)) => Some(n),
        _ => None,
    });
    rejected.unwrap_or(0)
}

fn span(trace: &TraceId, is_sampled: bool, span: &Span) -> Message {
    let mut message = Message::default().bytes(1, &trace.0).bytes(2, &span.id.0);
    if let Some(parent) = &span.parent {
        message = message.bytes(4, &parent.0);
    }
    message = message
        .text(5, span.name)
        .number(6, INTERNAL)
        .fixed64(7, span.start_ns)
        .fixed64(8, span.end_ns)
        .messages(9, &span.attributes, attribute);
    if span.has_failed {
        message = message.message(15, &Message::default().number(3, ERROR));
    }
    message.fixed32(16, u32::from(is_sampled))
}

fn attribute((name, value): &(&'static str, Value)) -> Message {
    Message::default().text(1, name).message(2, &any(value))
}

fn any(value: &Value) -> Message {
    let message = Message::default();
    match value {
        Value::Text(text) => message.text(1, text),
        Value::Flag(flag) => message.number(2, u64::from(*flag)),
        // Two's complement, as the encoding has it.
        Value::Number(n) => message.number(3, n.cast_unsigned()),
        Value::Real(real) => message.fixed64(4, real.to_bits()),
        Value::Texts(texts) => {
            let list = Message::default().messages(1, texts, |text| Message::default().text(1, text));
            message.message(5, &list)
        }
    }
}

/// A span inside of a service, rather than at its border: that one is the proxy's.
const INTERNAL: u64 = 1;
const ERROR: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_read_from_the_answer() {
        let partial = Message::default().number(1, 3).text(2, "too old");
        assert_eq!(n_rejected(&Message::default().message(1, &partial).into_bytes()), 3);
        assert_eq!(n_rejected(b""), 0);
        assert_eq!(n_rejected(b"\x0a\xff nonsense"), 0);
    }
}
