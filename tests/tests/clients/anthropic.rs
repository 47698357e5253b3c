//! Anthropic's messages API with its stream.

use sentinel_harness::wire::{Response, UpstreamSaw};
use serde_json::{Value, json};

use crate::script::{Answer, last_text, pieces, server_sent_events};

pub(crate) fn answer(saw: &UpstreamSaw) -> Option<Response> {
    let body: Value = serde_json::from_slice(&saw.body).unwrap_or_default();
    let response = match saw.path.as_str() {
        "/v1/messages" if body["stream"] == true => stream(&answer_to(&body)),
        "/v1/messages" => Response::json(whole(&answer_to(&body)).to_string()),
        "/v1/messages/count_tokens" => Response::json(r#"{"input_tokens":1}"#),
        _ => return None,
    };
    Some(response.with_header("request-id", "req_upstream"))
}

fn answer_to(body: &Value) -> Answer {
    let last = &body["messages"].as_array().unwrap().last().unwrap()["content"];
    let result = &last[0];
    if result["type"] == "tool_result" {
        return Answer::to(&last_text(&result["content"]), None);
    }
    Answer::to(&last_text(last), body["tools"][0]["name"].as_str())
}

fn message(content: &[Value], stop_reason: Option<&str>) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "demo", "content": content,
        "stop_reason": stop_reason, "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1},
    })
}

const fn stop_reason(answer: &Answer) -> &'static str {
    match answer {
        Answer::Text(_) => "end_turn",
        Answer::ToolCall { .. } => "tool_use",
    }
}

fn whole(answer: &Answer) -> Value {
    let block = match answer {
        Answer::Text(text) => json!({"type": "text", "text": text}),
        Answer::ToolCall { name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap();
            json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": input})
        }
    };
    message(&[block], Some(stop_reason(answer)))
}

fn stream(answer: &Answer) -> Response {
    let (begun, deltas): (Value, Vec<Value>) = match answer {
        Answer::Text(text) => {
            let delta = |piece| json!({"type": "text_delta", "text": piece});
            (json!({"type": "text", "text": ""}), pieces(text).map(delta).collect())
        }
        Answer::ToolCall { name, arguments } => {
            let delta = |piece| json!({"type": "input_json_delta", "partial_json": piece});
            let begun = json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}});
            (begun, [""].into_iter().chain(pieces(arguments)).map(delta).collect())
        }
    };
    let mut events = vec![
        json!({"type": "message_start", "message": message(&[], None)}),
        json!({"type": "content_block_start", "index": 0, "content_block": begun}),
        json!({"type": "ping"}),
    ];
    let delta = |delta| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    events.extend(deltas.into_iter().map(delta));
    events.push(json!({"type": "content_block_stop", "index": 0}));
    events.push(json!({"type": "message_delta", "usage": {"output_tokens": 2},
        "delta": {"stop_reason": stop_reason(answer), "stop_sequence": null}}));
    events.push(json!({"type": "message_stop"}));
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    server_sent_events(events.into_iter().map(event))
}
