//! What a command comes to: text for people, JSON for programs, and an exit code that means the same for both.

use std::fmt;

use serde::Serialize;

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) json: serde_json::Value,
    pub(crate) code: u8,
}

/// A value as JSON with its numbers as they are: a 32-bit float that went through a 64-bit one would grow digits.
pub(crate) fn as_json(value: &impl Serialize) -> Result<serde_json::Value, Fault> {
    let text = serde_json::to_string(value).map_err(|e| Fault::Internal(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| Fault::Internal(e.to_string()))
}

/// Why there is no report, by who must act.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The user: says what was wrong with the input and where.
    Input(String),
    /// Us, or the machine.
    Internal(String),
}

impl Fault {
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Internal(_) => 3,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(why) | Self::Internal(why) => f.write_str(why),
        }
    }
}
