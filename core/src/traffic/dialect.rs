//! Whose words a client speaks: what a refusal has to look like for it. Told by the path, by a header, and by the
//! shape of what was read; the shape has the last word.

use alloc::{string::String, vec::Vec};

use super::json::{member, string_member};
use crate::http::{Headers, media_type};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Embeddings, images, files and whatever else answers with an `error` object: also what unknown clients get.
    #[default]
    OpenAi,
    OpenAiChat,
    /// The older completions.
    OpenAiText,
    OpenAiResponses,
    Anthropic,
    Gemini,
    Bedrock,
    Ollama,
    CohereV1,
    CohereV2,
    /// MCP, A2A.
    JsonRpc,
    /// People and scripts that sent no JSON and expect none.
    Plain,
}

/// Calls by JSON-RPC in one body: each of them wants an answer of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) is_rpc: bool,
    pub(crate) is_batch: bool,
    /// As they stand in the JSON.
    pub(crate) ids: Vec<String>,
}

impl Dialect {
    /// What a request says before its body is read. `path` comes in lower case, without its query.
    pub(crate) fn of_request(path: &str, headers: &Headers<'_>) -> Self {
        if let Some(known) = Self::of_path(path) {
            return known;
        }
        if headers.value("anthropic-version").is_some() {
            return Self::Anthropic;
        }
        let content_type = headers.text("content-type").map(media_type).unwrap_or("");
        let wants_json = headers.text("accept").is_some_and(|accept| accept.contains("json"));
        match content_type {
            "application/x-www-form-urlencoded" if !wants_json => Self::Plain,
            text if text.starts_with("text/") && !text.ends_with("/json") && !wants_json => Self::Plain,
            _ => Self::OpenAi,
        }
    }

    /// Gateways put prefixes before the paths of providers, so only the end counts.
    fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if path.contains("/models/") && path.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            Some(Self::Gemini)
        } else if path.contains("/model/")
            && ends(&["/converse", "/converse-stream", "/invoke", "/invoke-with-response-stream"])
        {
            Some(Self::Bedrock)
        } else if path.contains("/threads") || path.contains("/assistants") {
            Some(Self::OpenAi)
        } else if ends(&["/messages", "/messages/count_tokens", "/messages/batches", "/v1/complete"]) {
            Some(Self::Anthropic)
        } else if ends(&["/chat/completions"]) {
            Some(Self::OpenAiChat)
        } else if ends(&["/completions"]) {
            Some(Self::OpenAiText)
        } else if ends(&["/responses"]) || path.contains("/responses/") {
            Some(Self::OpenAiResponses)
        } else if ends(&["/api/chat", "/api/generate", "/api/embed", "/api/embeddings"]) {
            Some(Self::Ollama)
        } else if ends(&["/v2/chat", "/v2/rerank", "/v2/embed"]) {
            Some(Self::CohereV2)
        } else if ends(&["/v1/chat", "/v1/rerank", "/v1/embed", "/v1/generate"]) {
            Some(Self::CohereV1)
        } else if ends(&["/mcp", "/a2a"]) {
            Some(Self::JsonRpc)
        } else if path.contains("/v1/") {
            Some(Self::OpenAi)
        } else {
            None
        }
    }

    /// What the first event of a stream shows.
    pub(crate) fn of_event(payload: &str) -> Option<Self> {
        match (string_member(payload, "object"), string_member(payload, "type")) {
            (Some("chat.completion.chunk"), _) => Some(Self::OpenAiChat),
            (Some("text_completion"), _) => Some(Self::OpenAiText),
            (_, Some("message_start")) => Some(Self::Anthropic),
            (_, Some("message-start")) => Some(Self::CohereV2),
            (_, Some(kind)) if kind.starts_with("response.") => Some(Self::OpenAiResponses),
            _ if member(payload, "jsonrpc").is_some() => Some(Self::JsonRpc),
            _ if member(payload, "candidates").is_some() => Some(Self::Gemini),
            _ if member(payload, "event_type").is_some() => Some(Self::CohereV1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_providers_apart_behind_any_prefix() {
        let none = Headers::default();
        for (path, dialect) in [
            ("/v1/chat/completions", Dialect::OpenAiChat),
            ("/openai/deployments/d/chat/completions", Dialect::OpenAiChat),
            ("/v1/completions", Dialect::OpenAiText),
            ("/v1/responses", Dialect::OpenAiResponses),
            ("/v1/responses/r_1/input_items", Dialect::OpenAiResponses),
            ("/v1/embeddings", Dialect::OpenAi),
            ("/v1/threads/t/messages", Dialect::OpenAi),
            ("/anthropic/v1/messages", Dialect::Anthropic),
            ("/v1beta/models/gemini:streamgeneratecontent", Dialect::Gemini),
            ("/v1/projects/p/publishers/google/models/m:generatecontent", Dialect::Gemini),
            ("/model/anthropic.claude-v1:0/converse", Dialect::Bedrock),
            ("/api/chat", Dialect::Ollama),
            ("/v1/chat", Dialect::CohereV1),
            ("/v2/chat", Dialect::CohereV2),
            ("/mcp/", Dialect::JsonRpc),
            ("/hook", Dialect::OpenAi),
        ] {
            assert_eq!(Dialect::of_request(path, &none), dialect, "{path}");
        }
    }

    #[test]
    fn headers_decide_where_paths_do_not() {
        let with = |name: &'static [u8], value: &'static [u8]| [(name, value)].into_iter().collect();
        let text: Headers<'_> = with(b"content-type", b"text/plain; charset=utf-8");
        assert_eq!(Dialect::of_request("/hook", &text), Dialect::Plain);
        let anthropic: Headers<'_> = with(b"anthropic-version", b"2023-06-01");
        assert_eq!(Dialect::of_request("/hook", &anthropic), Dialect::Anthropic);
    }

    #[test]
    fn events_show_their_provider() {
        for (payload, dialect) in [
            (r#"{"id":"c","object":"chat.completion.chunk"}"#, Some(Dialect::OpenAiChat)),
            (r#"{"type":"message_start","message":{}}"#, Some(Dialect::Anthropic)),
            (r#"{"type":"response.created"}"#, Some(Dialect::OpenAiResponses)),
            (r#"{"candidates":[]}"#, Some(Dialect::Gemini)),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some(Dialect::JsonRpc)),
            ("{}", None),
            ("[DONE]", None),
        ] {
            assert_eq!(Dialect::of_event(payload), dialect, "{payload}");
        }
    }
}
