//! OpenAI's API, as far as the client uses it: chat completions and responses with their streams, and a few others.

use sentinel_harness::wire::{Response, UpstreamSaw};
use serde_json::{Value, json};

use crate::script::{Answer, last_text, pieces, server_sent_events};

const CHAT_ID: &str = "chatcmpl-1";
const RESPONSE_ID: &str = "resp_1";

pub(crate) fn answer(saw: &UpstreamSaw) -> Option<Response> {
    let body: Value = serde_json::from_slice(&saw.body).unwrap_or_default();
    let streams = body["stream"] == true;
    let response = match (saw.path.as_str(), streams) {
        ("/v1/chat/completions", false) => json_response(&chat(&chat_answer(&body))),
        ("/v1/chat/completions", true) => {
            let with_usage = body["stream_options"]["include_usage"] == true;
            chat_stream(&chat_answer(&body), with_usage)
        }
        ("/v1/responses", false) => {
            let answer = responses_answer(&body);
            json_response(&response_object("completed", &[item(&answer, "completed")]))
        }
        ("/v1/responses", true) => responses_stream(&responses_answer(&body)),
        ("/v1/embeddings", _) => {
            assert_eq!(body["encoding_format"], "base64");
            json_response(
                &json!({"object": "list", "model": "demo", "usage": {"prompt_tokens": 1, "total_tokens": 1},
                "data": [{"object": "embedding", "index": 0, "embedding": "AAAAAAAAgD8="}]}),
            )
        }
        ("/v1/files", _) => {
            let text = String::from_utf8(saw.body.clone()).unwrap();
            let content = text.split("\r\n\r\n").find(|part| part.starts_with("Notes")).unwrap();
            let bytes = content.split("\r\n").next().unwrap().len();
            json_response(&json!({"id": "file-1", "object": "file", "bytes": bytes, "created_at": 1,
                "filename": "notes.txt", "purpose": "assistants", "status": "processed"}))
        }
        ("/v1/models", _) => json_response(&json!({"object": "list",
            "data": [{"id": "demo", "object": "model", "created": 1, "owned_by": "demo"}]})),
        _ => return None,
    };
    Some(response.with_header("x-request-id", "req_upstream"))
}

fn chat_answer(body: &Value) -> Answer {
    let last = &body["messages"].as_array().unwrap().last().unwrap();
    let tool = body["tools"][0]["function"]["name"].as_str().filter(|_| last["role"] == "user");
    Answer::to(&last_text(&last["content"]), tool)
}

fn responses_answer(body: &Value) -> Answer {
    let last = match &body["input"] {
        Value::Array(items) => items.last().unwrap().clone(),
        text => json!({"role": "user", "content": text}),
    };
    if last["type"] == "function_call_output" {
        return Answer::to(&last_text(&last["output"]), None);
    }
    Answer::to(&last_text(&last["content"]), body["tools"][0]["name"].as_str())
}

fn json_response(body: &Value) -> Response {
    let body = body.to_string();
    let length = body.len().to_string();
    Response::json(body).with_header("content-length", length)
}

fn chat(answer: &Answer) -> Value {
    let (message, finish_reason) = match answer {
        Answer::Text(text) => (json!({"role": "assistant", "content": text, "refusal": null}), "stop"),
        Answer::ToolCall { name, arguments } => {
            let function = json!({"name": name, "arguments": arguments});
            let calls = json!([{"id": "call_1", "type": "function", "function": function}]);
            (json!({"role": "assistant", "content": null, "tool_calls": calls}), "tool_calls")
        }
    };
    json!({
        "id": CHAT_ID, "object": "chat.completion", "created": 1, "model": "demo", "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
        "usage": chat_usage(),
    })
}

fn chat_usage() -> Value {
    json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
}

fn chat_stream(answer: &Answer, with_usage: bool) -> Response {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": CHAT_ID, "object": "chat.completion.chunk", "created": 1, "model": "demo",
            "system_fingerprint": "fp_1", "choices": choices,
        });
        if with_usage {
            chunk["usage"] = usage;
        }
        chunk
    };
    let delta = |delta: Value, finish_reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        chunk(json!([choice]), Value::Null)
    };
    let mut events = Vec::new();
    let finish_reason = match answer {
        Answer::Text(text) => {
            events.push(delta(json!({"role": "assistant", "content": "", "refusal": null}), None));
            events.extend(pieces(text).map(|piece| delta(json!({"content": piece}), None)));
            "stop"
        }
        Answer::ToolCall { name, arguments } => {
            let function = json!({"name": name, "arguments": ""});
            let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
            events.push(delta(json!({"role": "assistant", "content": null, "tool_calls": [call]}), None));
            events.extend(pieces(arguments).map(|piece| {
                delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), None)
            }));
            "tool_calls"
        }
    };
    events.push(delta(json!({}), Some(finish_reason)));
    if with_usage {
        events.push(chunk(json!([]), chat_usage()));
    }
    let mut events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events.push("data: [DONE]\n\n".to_owned());
    server_sent_events(events)
}

fn response_object(status: &str, output: &[Value]) -> Value {
    json!({
        "id": RESPONSE_ID, "object": "response", "created_at": 1, "status": status, "background": false,
        "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null, "model": "demo",
        "output": output, "parallel_tool_calls": true, "previous_response_id": null, "store": false,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "metadata": {},
        "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2},
    })
}

/// An item of the output: whole, or as a stream begins it.
fn item(answer: &Answer, status: &str) -> Value {
    let begins = status == "in_progress";
    match answer {
        Answer::Text(text) => {
            let content = if begins { json!([]) } else { json!([part(text)]) };
            json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content})
        }
        Answer::ToolCall { name, arguments } => {
            let arguments = if begins { "" } else { arguments };
            json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "status": status, "name": name,
                "arguments": arguments})
        }
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn responses_stream(answer: &Answer) -> Response {
    let begun = response_object("in_progress", &[]);
    let done = item(answer, "completed");
    let mut events = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item(answer, "in_progress")}),
    ];
    match answer {
        Answer::Text(text) => {
            let at = |kind: &str, member: &str, value: Value| {
                let mut event =
                    json!({"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": 0});
                event[member] = value;
                event
            };
            events.push(at("response.content_part.added", "part", part("")));
            for piece in pieces(text) {
                let mut event = at("response.output_text.delta", "delta", json!(piece));
                event["logprobs"] = json!([]);
                events.push(event);
            }
            let mut event = at("response.output_text.done", "text", json!(text));
            event["logprobs"] = json!([]);
            events.push(event);
            events.push(at("response.content_part.done", "part", part(text)));
        }
        Answer::ToolCall { name, arguments } => {
            let at = |kind: &str| json!({"type": kind, "item_id": "fc_1", "output_index": 0});
            for piece in pieces(arguments) {
                let mut event = at("response.function_call_arguments.delta");
                event["delta"] = json!(piece);
                events.push(event);
            }
            let mut event = at("response.function_call_arguments.done");
            event["name"] = json!(name);
            event["arguments"] = json!(arguments);
            events.push(event);
        }
    }
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": done}));
    events.push(json!({"type": "response.completed", "response": response_object("completed", &[done])}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
    });
    server_sent_events(numbered)
}
