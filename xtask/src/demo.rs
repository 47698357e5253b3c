//! The demo upstream: speaks enough OpenAI chat completions to see the guard at work. It says here what it saw, and
//! repeats it in its answer, where what was masked comes back.

use std::time::Duration;

use sentinel_harness::wire::{Response, UpstreamSaw};
use serde_json::{Value, json};

pub(crate) fn answer(request: &UpstreamSaw) -> Response {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let said = last_user_text(&body).unwrap_or("nothing");
    println!("the upstream saw  {said:?}");
    let text = format!("You said: {said}");
    match body.get("stream") {
        Some(Value::Bool(true)) => stream(&text),
        _ => Response::json(completion(&text).to_string()),
    }
}

fn last_user_text(body: &Value) -> Option<&str> {
    body.get("messages")?.as_array()?.last()?.get("content")?.as_str()
}

fn completion(text: &str) -> Value {
    json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": "demo",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    })
}

fn stream(text: &str) -> Response {
    let event = |delta: Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": "demo",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let mut chunks = vec![event(json!({ "role": "assistant", "content": "" }), None)];
    chunks.extend(text.split_inclusive(' ').map(|word| event(json!({ "content": word }), None)));
    chunks.push(event(json!({}), Some("stop")));
    chunks.push(b"data: [DONE]\n\n".to_vec());
    Response::chunked(200, chunks)
        .with_header("content-type", "text/event-stream")
        .with_delay(Duration::from_millis(40))
}
