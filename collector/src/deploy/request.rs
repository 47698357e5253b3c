//! What somebody who deploys asks for.

use std::hash::{BuildHasher, RandomState};

use schemars::JsonSchema;
use serde::Deserialize;

use super::Refusal;
use crate::canary::Rules;
use crate::domain::{BundleInfo, Mode, Plan};

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeploymentRequest")]
pub(crate) struct Request {
    /// The id of a pushed bundle.
    pub(crate) bundle: String,
    mode: Mode,
    #[serde(default)]
    #[schemars(range(max = 100))]
    percent: Option<u8>,
    #[serde(default)]
    #[schemars(length(max = LABELS_MAX), inner(length(min = 1, max = WORD_CHARS_MAX)))]
    labels: Vec<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = WORD_CHARS_MAX))]
    key: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = WORD_CHARS_MAX))]
    salt: Option<String>,
    #[serde(default)]
    #[schemars(length(max = REASON_BYTES_MAX))]
    pub(super) reason: String,
    #[serde(default)]
    judge: Rules,
}

impl Request {
    pub(super) fn plan(
        &self,
        candidate: BundleInfo,
        active: Option<BundleInfo>,
        now_ms: i64,
    ) -> Result<(Plan, Rules), Refusal> {
        self.check().map_err(Refusal::Malformed)?;
        let percent = match (self.mode, self.percent) {
            (_, Some(percent)) => percent,
            (Mode::Canary, None) => 0,
            (Mode::Shadow, None) if !self.labels.is_empty() => 0,
            (Mode::Shadow | Mode::Active, None) => 100,
        };
        let rules =
            serde_json::to_string(&self.judge).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let plan = Plan {
            candidate,
            active,
            mode: self.mode,
            percent,
            // Whoever knows it could choose the arm that he gets.
            salt: self
                .salt
                .clone()
                .unwrap_or_else(|| format!("{:016x}", RandomState::new().hash_one(now_ms))),
            key: self.key.clone(),
            labels: self.labels.clone(),
            rules,
            started_ms: now_ms,
        };
        Ok((plan, self.judge.clone()))
    }

    fn check(&self) -> Result<(), String> {
        let is_word = |text: &str| {
            let in_header = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:*".contains(&byte);
            (1..=WORD_CHARS_MAX).contains(&text.len()) && text.bytes().all(in_header)
        };
        let words = [("key", &self.key), ("salt", &self.salt)];
        let words = words.into_iter().filter_map(|(field, word)| Some((field, word.as_ref()?)));
        for (field, word) in words.chain(self.labels.iter().map(|label| ("labels", label))) {
            if !is_word(word) {
                return Err(format!(
                    "{field} is not 1 to {WORD_CHARS_MAX} letters, digits and signs of - _ . : *"
                ));
            }
        }
        if self.labels.len() > LABELS_MAX {
            return Err(format!("labels has more than {LABELS_MAX}"));
        }
        if self.percent.is_some_and(|percent| percent > 100) {
            return Err("percent is above 100".to_owned());
        }
        match self.mode {
            Mode::Active if self.percent.is_some_and(|percent| percent < 100) || !self.labels.is_empty() => {
                Err("an active bundle is for all traffic: leave percent and labels out".to_owned())
            }
            Mode::Shadow | Mode::Canary if self.percent.unwrap_or(0) == 0 && self.labels.is_empty() => {
                match (self.mode, self.percent) {
                    (Mode::Shadow, None) => Ok(()),
                    _ => Err("without percent or labels nobody gets the candidate".to_owned()),
                }
            }
            _ => Ok(()),
        }?;
        check_reason(&self.reason)?;
        self.judge.check()
    }
}

pub(super) fn check_reason(reason: &str) -> Result<(), String> {
    match reason.len() {
        ..=REASON_BYTES_MAX => Ok(()),
        found => Err(format!("reason has {found} bytes, at most {REASON_BYTES_MAX} are allowed")),
    }
}

const WORD_CHARS_MAX: usize = 128;
const LABELS_MAX: usize = 100;
const REASON_BYTES_MAX: usize = 1_000;
