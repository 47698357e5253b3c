//! What is told to the next hop and to the client in headers.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::step::HeaderEdit;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Emit {
    /// Headers that go with what is tagged or masked. Forged ones are taken out of requests whatever stands here.
    pub headers: Vec<EmitHeader>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EmitHeader {
    XSentinelVerdict,
    XSentinelAction,
    XSentinelScore,
    XSentinelRules,
    XSentinelGaps,
}

impl EmitHeader {
    pub const ALL: [Self; 5] = [
        Self::XSentinelVerdict,
        Self::XSentinelAction,
        Self::XSentinelScore,
        Self::XSentinelRules,
        Self::XSentinelGaps,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::XSentinelVerdict => "x-sentinel-verdict",
            Self::XSentinelAction => "x-sentinel-action",
            Self::XSentinelScore => "x-sentinel-score",
            Self::XSentinelRules => "x-sentinel-rules",
            Self::XSentinelGaps => "x-sentinel-gaps",
        }
    }
}

impl Default for Emit {
    fn default() -> Self {
        Self { headers: EmitHeader::ALL.to_vec() }
    }
}

impl Emit {
    /// What is left of the headers of a tag.
    pub(crate) fn only_wanted(&self, mut edits: Vec<HeaderEdit>) -> Vec<HeaderEdit> {
        edits.retain(|edit| {
            let (HeaderEdit::Set(name, _) | HeaderEdit::Remove(name)) = edit;
            self.headers.iter().any(|header| header.name() == name)
        });
        edits
    }
}
