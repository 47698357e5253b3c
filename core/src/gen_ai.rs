//! What is known of the model behind an exchange, in the words of OpenTelemetry's conventions for generative AI.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{
    guard::Usage,
    traffic::{Dialect, string_member},
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenAi {
    /// Whose words the client speaks; who really serves it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As the answer reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
}

impl GenAi {
    /// Nothing if there is nothing to say.
    pub(crate) fn new(dialect: Dialect, path: &str, model: Option<String>, usage: Usage) -> Option<Self> {
        let (provider, operation) = words(dialect, path);
        let (input_tokens, output_tokens) = (usage.input(), usage.output());
        let known = Self {
            provider: provider.map(String::from),
            operation: operation.map(String::from),
            model,
            input_tokens,
            output_tokens,
        };
        (known != Self::default()).then_some(known)
    }
}

fn words(dialect: Dialect, path: &str) -> (Option<&'static str>, Option<&'static str>) {
    let embeds = path.contains("embed");
    let chat = if embeds { "embeddings" } else { "chat" };
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => (Some("openai"), Some("chat")),
        Dialect::OpenAiText => (Some("openai"), Some("text_completion")),
        Dialect::Anthropic => (Some("anthropic"), Some("chat")),
        Dialect::Gemini if embeds => (Some("gcp.gemini"), Some("embeddings")),
        Dialect::Gemini => (Some("gcp.gemini"), Some("generate_content")),
        Dialect::Bedrock => (Some("aws.bedrock"), Some(chat)),
        Dialect::Ollama => (Some("ollama"), Some(chat)),
        Dialect::CohereV1 | Dialect::CohereV2 => (Some("cohere"), Some(chat)),
        Dialect::OpenAi if embeds => (None, Some("embeddings")),
        Dialect::OpenAi | Dialect::JsonRpc | Dialect::Plain => (None, None),
    }
}

/// The model that a request names, in its body or in its path.
pub(crate) fn model_of(body: &[u8], path: &str) -> Option<String> {
    let in_body = core::str::from_utf8(body).ok().and_then(|text| string_member(text, "model"));
    let in_path = || {
        let (_, rest) = path.split_once("/models/").or_else(|| path.split_once("/model/"))?;
        rest.split(['/', ':']).next()
    };
    in_body.or_else(in_path).filter(|name| is_name(name)).map(String::from)
}

/// What could be the name of a model, and not of a person or an account: it comes from the client, and stands in places
/// that many people read.
fn is_name(text: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_sign)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && digits <= DIGITS_MAX
}

const NAME_BYTES_MAX: usize = 96;
/// A date.
const DIGITS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_from_the_body_or_the_path() {
        let model = |body: &str, path: &str| model_of(body.as_bytes(), path);
        let named = |name: &str| Some(String::from(name));
        assert_eq!(
            model(r#"{"messages":[{"model":"no"}],"model":"gpt-4o-2024-08-06"}"#, "/"),
            named("gpt-4o-2024-08-06")
        );
        assert_eq!(model("{}", "/v1beta/models/gemini-2.0-flash:generateContent"), named("gemini-2.0-flash"));
        assert_eq!(
            model("{}", "/model/anthropic.claude-3-haiku/converse"),
            named("anthropic.claude-3-haiku")
        );
        assert_eq!(model("{}", "/v1/chat/completions"), None);
    }

    #[test]
    fn what_could_be_somebody_is_no_model() {
        for name in
            ["ann@example.org", "4111111111111111", "card-4111111111111111", "Ann Smith", "", "\u{e9}"]
        {
            assert!(!is_name(name), "{name}");
        }
        for name in ["gpt-4o", "claude-sonnet-4-20250514", "meta-llama/Llama-3.1-8B", "qwen2.5:7b"] {
            assert!(is_name(name), "{name}");
        }
    }
}
