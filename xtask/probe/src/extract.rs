//! How fast bodies are read, beside `serde_json` on the same bodies in the same run.

use std::{hint::black_box, time::Instant};

use sentinel_core::{Direction, Format, survey};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

/// Every round measures every reader once, so that whatever else the machine does hits all of them alike.
pub const ROUNDS: usize = 51;

/// Bytes that each measurement reads: a millisecond of work at most, less than a scheduler gives in one piece, so that
/// most rounds are not interrupted.
const BYTES_PER_MEASUREMENT: usize = 150_000;

const SIZES: [usize; 2] = [4 * 1024, 64 * 1024];

/// Medians over the rounds, in bytes per microsecond: that is MB/s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub body: String,
    pub bytes: usize,
    pub segments: usize,
    /// Bytes to segments and gaps: what this is about.
    pub survey: f64,
    /// `serde_json` into a tree.
    pub value: f64,
    /// `serde_json` without keeping anything: it only checks the syntax.
    pub ignored: f64,
}

pub fn measure() -> Vec<Row> {
    SIZES.into_iter().flat_map(bodies).map(|(name, body)| measure_body(name, body.as_bytes())).collect()
}

fn measure_body(name: &str, body: &[u8]) -> Row {
    let read = || survey(Direction::Request, Format::Json, black_box(body));
    let mut speeds = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let [of_survey, of_value, of_ignored] = &mut speeds;
        of_survey.push(speed(body, read));
        of_value.push(speed(body, || serde_json::from_slice::<Value>(black_box(body))));
        of_ignored.push(speed(body, || serde_json::from_slice::<IgnoredAny>(black_box(body))));
    }
    let [survey, value, ignored] = speeds.map(median);
    Row {
        body: name.to_owned(),
        bytes: body.len(),
        segments: read().segments().len(),
        survey,
        value,
        ignored,
    }
}

fn speed<T>(body: &[u8], read: impl Fn() -> T) -> f64 {
    let repeats = (BYTES_PER_MEASUREMENT / body.len()).max(1);
    let start = Instant::now();
    for _ in 0..repeats {
        black_box(read());
    }
    (repeats * body.len()) as f64 / (start.elapsed().as_secs_f64() * 1e6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Chat requests of about that size.
fn bodies(bytes: usize) -> [(&'static str, String); 4] {
    [
        ("one long message", one_message(PROSE, bytes)),
        ("turns with tool calls", conversation(bytes)),
        // As Python's `json.dumps` writes it.
        ("many escapes", one_message(QUOTES, bytes).replace('ä', r"\u00e4").replace('ü', r"\u00fc")),
        ("Chinese", one_message(CHINESE, bytes)),
    ]
}

const PROSE: &str = "The quarterly report lists revenue by region and explains which of the new products did well, \
                     which did not, and what the team plans to change before the summer. ";
const QUOTES: &str =
    "Sie sagte: \"Das wäre schön.\"\nEr fragte: \"Für wen?\"\n\n    \"Für später\", sagte sie.\n";
const CHINESE: &str = "请把下面这段话翻译成英文，并说明每一段的意思。";

fn one_message(sentence: &str, bytes: usize) -> String {
    let repeats = bytes.saturating_sub(120) / json!(sentence).to_string().len().saturating_sub(2).max(1);
    chat(vec![
        json!({ "role": "system", "content": "You are a helpful assistant." }),
        json!({ "role": "user", "content": sentence.repeat(repeats) }),
    ])
}

fn conversation(bytes: usize) -> String {
    let mut messages = vec![json!({ "role": "system", "content": "You are a helpful assistant." })];
    let mut so_far = 0;
    for turn in 1000.. {
        let arguments =
            json!({ "city": "Stuttgart", "days": 3, "units": "celsius", "fields": ["wind", "rain"] });
        let result = json!({ "city": "Stuttgart", "forecast": [
            { "day": 1, "text": "Cloudy with some rain", "high": 17.5, "low": 9 },
            { "day": 2, "text": "Sunny", "high": 21.0, "low": 11 },
        ] });
        let id = format!("call_{turn}");
        let next = [
            json!({ "role": "user", "content": "What will the weather be like in Stuttgart, and is it worth a trip?" }),
            json!({ "role": "assistant", "content": null, "tool_calls": [{
                "id": id, "type": "function",
                "function": { "name": "get_forecast", "arguments": arguments.to_string() },
            }] }),
            json!({ "role": "tool", "tool_call_id": id, "content": result.to_string() }),
            json!({ "role": "assistant", "content": "It rains a little tomorrow and clears up the day after, so \
                    Wednesday is the better choice for a trip to the lake." }),
        ];
        so_far += next.iter().map(|message| message.to_string().len()).sum::<usize>();
        if so_far > bytes {
            break;
        }
        messages.extend(next);
    }
    chat(messages)
}

fn chat(messages: Vec<Value>) -> String {
    json!({ "model": "demo", "temperature": 0.2, "messages": messages }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_chats_of_their_size_that_are_read_without_gaps() {
        for bytes in SIZES {
            for (name, body) in bodies(bytes) {
                assert!((bytes * 3 / 4..bytes * 5 / 4).contains(&body.len()), "{name}: {}", body.len());
                let survey = survey(Direction::Request, Format::Json, body.as_bytes());
                assert!(survey.gaps().is_empty(), "{name}");
                assert!(survey.receipt().balances(), "{name}");
            }
        }
    }
}
