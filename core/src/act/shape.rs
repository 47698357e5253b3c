//! What a refusal looks like to each client: the error that its provider would send, so that the provider's own kit
//! raises its own exception; and in the middle of a stream the end that the provider has for filtered content.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::reply::Refusal;
use crate::{
    stream::Opening,
    traffic::{Dialect, Framing, member},
};

pub(super) struct Shaped {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// A reply of its own.
pub(super) fn body(refusal: &Refusal<'_>) -> Shaped {
    let calls = refusal.client.calls;
    if calls.is_rpc || refusal.client.dialect == Dialect::JsonRpc {
        // The transport has done its part: an error status would say that the session is broken.
        let status = if calls.ids.is_empty() { refusal.status } else { 200 };
        return json_body(status, &rpc(refusal));
    }
    let Refusal { status, code, message, .. } = refusal;
    let value = match refusal.client.dialect {
        Dialect::Plain => {
            let mut text = format!("{message}\n{code}\n");
            if let Some(id) = refusal.client.request_id {
                text.push_str(&format!("request {id}\n"));
            }
            let content_type = "text/plain; charset=utf-8";
            return Shaped { status: *status, content_type, body: text.into_bytes() };
        }
        Dialect::Anthropic => anthropic(refusal),
        Dialect::Gemini => json!({ "error": {
            "code": status,
            "message": message,
            "status": google_status(*status),
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": code.to_ascii_uppercase(),
                "domain": "sentinel",
            }],
            "sentinel": refusal.sentinel(),
        }}),
        Dialect::Bedrock | Dialect::CohereV1 | Dialect::CohereV2 => {
            json!({ "message": message, "sentinel": refusal.sentinel() })
        }
        Dialect::Ollama => json!({ "error": message, "sentinel": refusal.sentinel() }),
        _ => openai(refusal),
    };
    json_body(*status, &value)
}

/// The end of a stream. The first event tells what the end has to refer to.
pub(super) fn last_words(refusal: &Refusal<'_>, framing: Framing, opening: &Opening) -> Vec<u8> {
    let text = match (framing, refusal.client.dialect) {
        (Framing::Lines, Dialect::CohereV1) => {
            let end = json!({
                "event_type": "stream-end", "is_finished": true, "finish_reason": "ERROR_TOXIC",
                "sentinel": refusal.sentinel(),
            });
            format!("{end}\n")
        }
        (Framing::Lines, _) => {
            let error = json!({ "error": refusal.message, "sentinel": refusal.sentinel() });
            format!("{error}\n")
        }
        (Framing::ServerSentEvents, dialect) => match dialect {
            Dialect::OpenAiChat => {
                let choices = choices(opening, |index| {
                    json!({
                        "index": index, "delta": {}, "logprobs": null, "finish_reason": "content_filter",
                    })
                });
                format!("{}{DONE}", data(&chunk(refusal, opening, "chat.completion.chunk", choices)))
            }
            Dialect::OpenAiText => {
                let choices = choices(
                    opening,
                    |index| json!({ "index": index, "text": "", "logprobs": null, "finish_reason": "content_filter" }),
                );
                format!("{}{DONE}", data(&chunk(refusal, opening, "text_completion", choices)))
            }
            Dialect::OpenAiResponses => event(&incomplete_response(refusal, opening)),
            Dialect::Anthropic => anthropic_end(refusal, opening),
            Dialect::Gemini => data(&json!({
                "candidates": [{ "index": 0, "finishReason": "SAFETY", "finishMessage": refusal.message }],
                "sentinel": refusal.sentinel(),
            })),
            Dialect::CohereV2 => event(&json!({
                "type": "message-end",
                "delta": { "finish_reason": "ERROR", "error": refusal.message },
                "sentinel": refusal.sentinel(),
            })),
            Dialect::JsonRpc if refusal.client.calls.ids.is_empty() => {
                format!("event: message\n{}", data(&rpc_notice(refusal)))
            }
            Dialect::JsonRpc => format!("event: message\n{}", data(&rpc(refusal))),
            // OpenAI's kit looks for `error` in the data, Anthropic's for the name of the event and the type.
            _ => {
                let mut error = openai(refusal);
                if let Some(members) = error.as_object_mut() {
                    members.insert("type".to_string(), "error".into());
                }
                format!("{}{DONE}", event(&error))
            }
        },
    };
    text.into_bytes()
}

/// The header in which a provider names the request.
pub(super) fn request_id_header(dialect: Dialect) -> Option<&'static str> {
    match dialect {
        Dialect::OpenAi | Dialect::OpenAiChat | Dialect::OpenAiText | Dialect::OpenAiResponses => {
            Some("x-request-id")
        }
        Dialect::Anthropic => Some("request-id"),
        Dialect::Bedrock => Some("x-amzn-requestid"),
        _ => None,
    }
}

pub(super) const fn bedrock_error(status: u16) -> &'static str {
    match status {
        403 => "AccessDeniedException",
        502 | 503 => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}

fn openai(refusal: &Refusal<'_>) -> Value {
    json!({ "error": {
        "message": refusal.message,
        "type": refusal.kind,
        "param": null,
        "code": refusal.code,
        "sentinel": refusal.sentinel(),
    }})
}

fn anthropic(refusal: &Refusal<'_>) -> Value {
    let kind = match refusal.status {
        403 => "permission_error",
        413 => "request_too_large",
        400 | 415 => "invalid_request_error",
        _ => "api_error",
    };
    json!({
        "type": "error",
        "error": { "type": kind, "message": refusal.message, "sentinel": refusal.sentinel() },
        "request_id": refusal.client.request_id,
    })
}

const fn google_status(status: u16) -> &'static str {
    match status {
        403 => "PERMISSION_DENIED",
        502 | 503 => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

/// One error for each call. The code is one of those left to servers that neither MCP nor A2A nor their kits have given
/// a meaning to: MCP's take -32001 for a timeout of their own.
fn rpc(refusal: &Refusal<'_>) -> Value {
    const REFUSED: i32 = -32010;
    let error = |id: &str| {
        let id: Value = serde_json::from_str(id).unwrap_or_default();
        let (message, sentinel) = (&refusal.message, refusal.sentinel());
        json!({
            "jsonrpc": "2.0", "id": id,
            "error": { "code": REFUSED, "message": message, "data": { "sentinel": sentinel } },
        })
    };
    let calls = refusal.client.calls;
    match (calls.is_batch, calls.ids.as_slice()) {
        (_, []) => error("null"),
        (false, [id, ..]) => error(id),
        (true, ids) => ids.iter().map(|id| error(id)).collect(),
    }
}

/// On a stream that answers no call, an error would have nobody to go to.
fn rpc_notice(refusal: &Refusal<'_>) -> Value {
    json!({
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": {
            "level": "error",
            "logger": "sentinel",
            "data": { "message": refusal.message, "sentinel": refusal.sentinel() },
        },
    })
}

fn chunk(refusal: &Refusal<'_>, opening: &Opening, object: &str, choices: Value) -> Value {
    let mut chunk = json!({ "object": object, "choices": choices, "sentinel": refusal.sentinel() });
    for name in ["id", "created", "model"] {
        let value = member(&opening.payload, name).and_then(|value| serde_json::from_str(value).ok());
        if let (Some(value), Some(members)) = (value, chunk.as_object_mut()) {
            members.insert(name.to_string(), value);
        }
    }
    chunk
}

fn choices(opening: &Opening, choice: impl Fn(u32) -> Value) -> Value {
    (0..=opening.last_choice).map(choice).collect()
}

fn incomplete_response(refusal: &Refusal<'_>, opening: &Opening) -> Value {
    let response = member(&opening.payload, "response").unwrap_or("{}");
    let mut response: Value = serde_json::from_str(response).unwrap_or_default();
    if let Some(members) = response.as_object_mut() {
        members.insert("status".to_string(), "incomplete".into());
        members.entry("output").or_insert_with(|| json!([]));
        members.insert("incomplete_details".to_string(), json!({ "reason": "content_filter" }));
    }
    json!({
        "type": "response.incomplete",
        "sequence_number": opening.events,
        "response": response,
        "sentinel": refusal.sentinel(),
    })
}

/// An open block is closed before the message is.
fn anthropic_end(refusal: &Refusal<'_>, opening: &Opening) -> String {
    let block =
        opening.open_block.map(|index| event(&json!({ "type": "content_block_stop", "index": index })));
    let refused = json!({
        "type": "message_delta",
        "delta": { "stop_reason": "refusal", "stop_sequence": null },
        "usage": { "output_tokens": 0 },
        "sentinel": refusal.sentinel(),
    });
    let stop = event(&json!({ "type": "message_stop" }));
    format!("{}{}{stop}", block.unwrap_or_default(), event(&refused))
}

fn json_body(status: u16, value: &Value) -> Shaped {
    Shaped { status, content_type: "application/json", body: value.to_string().into_bytes() }
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event that has its type for a name.
fn event(value: &Value) -> String {
    let name = value.get("type").and_then(Value::as_str).unwrap_or("error");
    format!("event: {name}\n{}", data(value))
}

const DONE: &str = "data: [DONE]\n\n";
