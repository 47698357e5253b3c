//! How many tokens an answer says it took, read from one JSON text: a whole body, or one event of a stream.
//!
//! Only the places where providers write it are looked at. What a model says or hands to a tool can have the same words,
//! and must not count.

use crate::{
    span::Span,
    traffic::{Reader, Token},
};

/// What was reported so far. Of several reports, as in a stream, the largest numbers count: they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    input: Option<u32>,
    output: Option<u32>,
    /// What a provider counts beside the input.
    cache_read: Option<u32>,
    cache_written: Option<u32>,
    total: Option<u32>,
}

/// The deepest place of a report is `delta.usage.tokens.input_tokens`.
const DEPTH_MAX: usize = 4;

/// What the object is that a key leads into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Elsewhere,
    /// The whole text.
    Root,
    /// An object of a stream that has a whole answer, or a part of one, in it.
    Answer,
    /// Its numbers are those of the report.
    Report,
}

impl Place {
    fn inside(self, key: &[u8]) -> Self {
        match (self, key) {
            (Self::Root, b"message" | b"response" | b"delta") => Self::Answer,
            (
                Self::Root | Self::Answer,
                b"usage"
                | b"usageMetadata"
                | b"usage_metadata"
                | b"meta"
                | b"amazon-bedrock-invocationMetrics",
            )
            | (Self::Report, b"tokens" | b"billed_units") => Self::Report,
            _ => Self::Elsewhere,
        }
    }
}

impl Usage {
    /// Reads one JSON text. What is no JSON reports what stands before the mistake.
    pub fn read(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut reader = Reader::new(text);
        let mut places = [Place::Elsewhere; DEPTH_MAX];
        let mut depth = 0_usize;
        let mut key = Span::default();
        while let Ok(Some(token)) = reader.token() {
            let place = |depth: usize| depth.checked_sub(1).and_then(|at| places.get(at)).copied();
            match token {
                Token::Key(span) => key = span,
                Token::ObjectStart | Token::ArrayStart => {
                    let inside = match (token, place(depth)) {
                        (Token::ArrayStart, _) => Place::Elsewhere,
                        (_, None) if depth == 0 => Place::Root,
                        (_, around) => around.unwrap_or_default().inside(key.of(bytes)),
                    };
                    if let Some(slot) = places.get_mut(depth) {
                        *slot = inside;
                    }
                    depth += 1;
                }
                Token::ObjectEnd | Token::ArrayEnd => depth = depth.saturating_sub(1),
                Token::Number(span) => {
                    if let Some(place @ (Place::Root | Place::Report)) = place(depth) {
                        self.number(place, key.of(bytes), span.of(bytes));
                    }
                }
                Token::String(_) | Token::Word => {}
            }
        }
    }

    /// All tokens of the exchange, if anything was reported.
    pub fn total(&self) -> Option<u32> {
        let parts = [self.input, self.output, self.cache_read, self.cache_written];
        let sum = parts.iter().flatten().fold(0, |sum: u32, part| sum.saturating_add(*part));
        let has_parts = parts.iter().any(Option::is_some);
        self.total.or(has_parts.then_some(0)).map(|total| total.max(sum))
    }

    pub const fn input(&self) -> Option<u32> {
        self.input
    }

    pub const fn output(&self) -> Option<u32> {
        self.output
    }

    fn number(&mut self, place: Place, key: &[u8], number: &[u8]) {
        let slot = match (place, key) {
            (Place::Root, b"prompt_eval_count" | b"inputTextTokenCount") => &mut self.input,
            (Place::Root, b"eval_count") => &mut self.output,
            (
                Place::Report,
                b"prompt_tokens" | b"input_tokens" | b"inputTokens" | b"promptTokenCount"
                | b"inputTokenCount",
            ) => &mut self.input,
            (
                Place::Report,
                b"completion_tokens"
                | b"output_tokens"
                | b"outputTokens"
                | b"candidatesTokenCount"
                | b"outputTokenCount",
            ) => &mut self.output,
            (Place::Report, b"cache_read_input_tokens" | b"cacheReadInputTokens") => &mut self.cache_read,
            (Place::Report, b"cache_creation_input_tokens" | b"cacheWriteInputTokens") => {
                &mut self.cache_written
            }
            (Place::Report, b"total_tokens" | b"totalTokens" | b"totalTokenCount") => &mut self.total,
            _ => return,
        };
        let Some(value) = whole(number) else { return };
        *slot = Some(slot.unwrap_or_default().max(value));
    }
}

/// The whole part of a number that is not negative. One that is too large is the largest; one with an exponent is none,
/// as nobody counts so.
fn whole(number: &[u8]) -> Option<u32> {
    let digits = number.iter().position(|b| !b.is_ascii_digit()).unwrap_or(number.len());
    let (digits, rest) = number.split_at_checked(digits)?;
    if digits.is_empty() || rest.iter().any(|b| matches!(b, b'e' | b'E')) {
        return None;
    }
    Some(
        digits
            .iter()
            .fold(0, |value: u32, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(texts: &[&str]) -> Option<u32> {
        let mut usage = Usage::default();
        texts.iter().for_each(|text| usage.read(text));
        usage.total()
    }

    #[track_caller]
    fn check(texts: &[&str], expected: u32) {
        assert_eq!(total(texts), Some(expected));
    }

    #[test]
    fn openai() {
        check(
            &[r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}],"usage":
            {"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":7}}}"#],
            29,
        );
        check(
            &[
                r#"{"choices":[{"delta":{"content":"Hi"}}],"usage":null}"#,
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
                "[DONE]",
            ],
            7,
        );
        check(
            &[r#"{"object":"response","output":[],"usage":{"input_tokens":36,"input_tokens_details":
            {"cached_tokens":0},"output_tokens":87,"total_tokens":123}}"#],
            123,
        );
        check(
            &[r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#],
            7,
        );
        check(&[r#"{"object":"list","data":[{"embedding":[0.1,2]}],"usage":{"prompt_tokens":1}}"#], 1);
    }

    #[test]
    fn anthropic() {
        check(
            &[r#"{"type":"message","content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":10,
            "cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":20}}"#],
            1130,
        );
        check(
            &[
                r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":25,"output_tokens":1}}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#,
            ],
            40,
        );
    }

    #[test]
    fn gemini() {
        check(
            &[
                r#"{"candidates":[],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#,
                r#"{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":11,
                "totalTokenCount":20}}"#,
            ],
            20,
        );
    }

    #[test]
    fn ollama() {
        check(
            &[
                r#"{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}"#,
                r#"{"model":"m","done":true,"total_duration":4883583458,"prompt_eval_count":26,"eval_count":282}"#,
            ],
            308,
        );
    }

    #[test]
    fn cohere() {
        check(
            &[r#"{"id":"x","message":{"role":"assistant"},"usage":{"billed_units":{"input_tokens":5,
            "output_tokens":418},"tokens":{"input_tokens":71.0,"output_tokens":418.0}}}"#],
            489,
        );
        check(
            &[r#"{"type":"message-end","delta":{"usage":{"tokens":{"input_tokens":2,"output_tokens":3}}}}"#],
            5,
        );
        check(&[r#"{"text":"Hi","meta":{"tokens":{"input_tokens":2,"output_tokens":3}}}"#], 5);
        check(
            &[
                r#"{"event_type":"stream-end","response":{"meta":{"billed_units":{"input_tokens":2,"output_tokens":3}}}}"#,
            ],
            5,
        );
    }

    #[test]
    fn bedrock() {
        check(
            &[r#"{"output":{"message":{"role":"assistant"}},"usage":{"inputTokens":30,"outputTokens":12,
            "totalTokens":42},"metrics":{"latencyMs":1275}}"#],
            42,
        );
        check(&[r#"{"amazon-bedrock-invocationMetrics":{"inputTokenCount":8,"outputTokenCount":9}}"#], 17);
        check(&[r#"{"inputTextTokenCount":3,"results":[{"tokenCount":9,"outputText":"late"}]}"#], 3);
    }

    #[test]
    fn what_a_model_says_is_no_report() {
        for text in [
            r#"{"choices":[{"message":{"content":"{\"usage\":{\"total_tokens\":9}}"}}]}"#,
            r#"{"content":[{"type":"tool_use","input":{"usage":{"total_tokens":9}}}]}"#,
            r#"{"candidates":[{"usage":{"total_tokens":9}}]}"#,
            r#"{"message":{"tool_calls":[{"function":{"arguments":{"usage":{"total_tokens":9}}}}]}}"#,
            r#"{"a":{"message":{"usage":{"total_tokens":9}}}}"#,
            r#"{"usage":[{"total_tokens":9}],"total_tokens":9}"#,
            r#"{"usage":"9","meta":{"x":{"total_tokens":9}}}"#,
            r#"{"usage":{"total_tokens":-9,"input_tokens":1e9,"output_tokens":"9"}}"#,
            r#"[{"usage":{"total_tokens":9}}]"#,
            "9",
            "",
        ] {
            assert_eq!(total(&[text]), None, "{text}");
        }
        check(&[r#"{"usage":{"total_tokens":99999999999999999999}}"#], u32::MAX);
        check(&[r#"{"usage":{"input_tokens":4294967295,"output_tokens":5}}"#], u32::MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in r#"([\[\]{}:,"\\ 0-9.eE-]|"usage"|"message"|"total_tokens"|\PC){0,60}"#) {
            total(&[&text]);
        }

        /// Wherever the text is cut off, it never says more than the whole.
        #[test]
        fn a_part_says_no_more_than_the_whole(cut in 0_usize..100) {
            let text = r#"{"message":{"usage":{"input_tokens":12,"output_tokens":3}},"usage":{"output_tokens":40}}"#;
            let part = text.get(..cut).unwrap_or(text);
            prop_assert!(total(&[part]).unwrap_or_default() <= 52);
        }
    }
}
