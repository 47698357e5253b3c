//! A second opinion: what a host may ask a deeper model outside of the proxy, and what it hears.

use alloc::{string::String, vec::Vec};

use sentinel_model::{Channel, Family};
use serde::{Deserialize, Serialize};

/// Texts that the compact model is in doubt about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    pub texts: Vec<QuestionText>,
    /// Later, no answer is of use.
    pub deadline_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuestionText {
    pub channel: Channel,
    pub text: String,
}

/// What the deeper model makes of one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// From 0 to 1, as scores are: 0.4 where the deeper model begins to take a text for an attack.
    pub attack: f32,
    #[serde(rename = "head", deserialize_with = "family")]
    pub family: Family,
}

/// The body of an answer; what else is in it is for people.
#[derive(Deserialize)]
struct Answer {
    opinions: Vec<Opinion>,
}

impl Question {
    /// More is not asked about one body.
    pub const TEXTS_MAX: usize = 4;
}

impl Opinion {
    /// The opinions in the body of an answer, if it is one.
    pub fn read(body: &[u8]) -> Option<Vec<Self>> {
        let Answer { opinions } = serde_json::from_slice(body).ok()?;
        opinions.iter().all(|opinion| (0.0..=1.0).contains(&opinion.attack)).then_some(opinions)
    }
}

/// What is none of the kinds that there is a rule for counts as an injection.
fn family<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Family, D::Error> {
    Ok(match String::deserialize(from)?.as_str() {
        "jailbreak" => Family::Jailbreak,
        "leak" => Family::Leak,
        _ => Family::Injection,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_none_is_not() {
        let read = |text: &str| Opinion::read(text.as_bytes());
        let answer =
            r#"{"opinions":[{"attack":0.93,"head":"leak"},{"attack":0,"head":"weather"}],"model":"x"}"#;
        let expected = [
            Opinion { attack: 0.93, family: Family::Leak },
            Opinion { attack: 0.0, family: Family::Injection },
        ];
        assert_eq!(read(answer).as_deref(), Some(expected.as_slice()));
        for wrong in [
            "",
            "null",
            "[]",
            r#"{"opinions":[{"attack":1.5,"head":"leak"}]}"#,
            r#"{"opinions":[{"head":"leak"}]}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
