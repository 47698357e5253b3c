//! What events say for traces, beyond what they say anyway.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TracePolicy {
    /// How long each layer took, on hosts with a clock.
    pub layers: bool,
    /// The model that was asked, and how many tokens the answer says it took.
    pub gen_ai: bool,
}
