//! What a profile says about sizes, answers, tools and the model.

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

use super::error::Complaints;
use crate::action::Direction;

/// Well below the 1 MiB that Envoy buffers by default, so that policy decides and not the proxy's 413.
pub const BODY_BYTES_DEFAULT: u32 = 512 * 1024;
pub const BODY_BYTES_LIMIT: u32 = 16 * 1024 * 1024;
pub const PROMPT_CHARS_DEFAULT: u32 = 10_000;
pub const RESPONSE_CHARS_DEFAULT: u32 = 50_000;
const BODY_BYTES_MIN: u32 = 1024;

/// What a host has time for between two other connections: a window takes it two milliseconds.
const WINDOWS_DEFAULT: u32 = 2;
const WINDOWS_MAX: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A larger body is a `size` gap. Keep it below the buffer limit of the proxy.
    pub body_bytes: u32,
    /// A longer text of a user, in one message or several in a row, is a `length` gap.
    pub prompt_chars: u32,
    /// The same for an answer.
    pub response_chars: u32,
    pub on_limit: OnLimit,
}

/// What becomes of texts that are longer than they should be. All of them are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    Reject,
    ScanAndMark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ResponsePolicy {
    /// `false` forwards responses as they come and records them as not guarded.
    pub guard: bool,
    pub accept_encoding: AcceptEncoding,
    pub restore: Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcceptEncoding {
    /// The upstream is asked for a plain response, so that it can be read.
    Strip,
    /// It is asked for no coding that cannot be decoded here.
    Readable,
    Keep,
}

/// Where an answer gets the text back that was masked in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// In what the model says and in the arguments of the tools that it calls.
    Everywhere,
    /// Not in the arguments of tools.
    Text,
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ToolPolicy {
    pub drift: Drift,
}

/// What the model does for a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ModelPolicy {
    pub enabled: bool,
    /// Windows of a body that the second stage reads, of those that the first leaves open.
    pub windows: u32,
}

/// Whether texts of requests that were judged clean are judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct KnownTextsPolicy {
    pub enabled: bool,
}

/// Where definitions of tools are held against those that were seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// In what servers of tools list.
    #[default]
    Responses,
    /// In what applications send to their models, too.
    Everywhere,
    Off,
}

impl Drift {
    pub(crate) const fn covers(self, direction: Direction) -> bool {
        match self {
            Self::Responses => matches!(direction, Direction::Response),
            Self::Everywhere => true,
            Self::Off => false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES_DEFAULT,
            prompt_chars: PROMPT_CHARS_DEFAULT,
            response_chars: RESPONSE_CHARS_DEFAULT,
            on_limit: OnLimit::ScanAndMark,
        }
    }
}

impl Default for ModelPolicy {
    fn default() -> Self {
        Self { enabled: true, windows: WINDOWS_DEFAULT }
    }
}

impl Default for KnownTextsPolicy {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for ResponsePolicy {
    fn default() -> Self {
        Self { guard: true, accept_encoding: AcceptEncoding::Strip, restore: Restore::Everywhere }
    }
}

impl Limits {
    pub(super) fn check(&self, complaints: &mut Complaints<'_>) {
        let Self { body_bytes, prompt_chars, response_chars, .. } = *self;
        if !(BODY_BYTES_MIN..=BODY_BYTES_LIMIT).contains(&body_bytes) {
            let reason = format!("is {body_bytes}, expected {BODY_BYTES_MIN} to {BODY_BYTES_LIMIT}");
            complaints.add("limits.body_bytes", reason);
        }
        for (field, chars) in
            [("limits.prompt_chars", prompt_chars), ("limits.response_chars", response_chars)]
        {
            if chars == 0 {
                complaints.add(field, String::from("is 0, expected at least 1"));
            }
        }
    }
}

impl ModelPolicy {
    pub(super) fn check(&self, complaints: &mut Complaints<'_>) {
        if self.windows > WINDOWS_MAX {
            let reason = format!("is {}, expected {WINDOWS_MAX} at most", self.windows);
            complaints.add("model.windows", reason);
        }
    }
}
