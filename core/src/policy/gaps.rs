//! What a gap in the receipt leads to.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Direction},
    receipt::GapReason,
};

/// What a gap in the receipt leads to. A reason that is not listed takes the built-in choice of its direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct GapPolicy {
    #[cfg_attr(feature = "schema", schemars(transform = only_reasons))]
    pub request: BTreeMap<GapReason, GapAction>,
    #[cfg_attr(feature = "schema", schemars(transform = only_reasons))]
    pub response: BTreeMap<GapReason, GapAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapAction {
    Allow,
    Tag,
    Block,
}

impl From<GapAction> for Action {
    fn from(action: GapAction) -> Self {
        match action {
            GapAction::Allow => Self::Allow,
            GapAction::Tag => Self::Tag,
            GapAction::Block => Self::Block,
        }
    }
}

/// In a request, what a sender can choose in order to hide text is refused; what an honest sender cannot help
/// is marked. A response is never refused for what could not be read unless policy asks for it.
pub(super) const fn builtin_gap_action(direction: Direction, reason: GapReason) -> GapAction {
    match (direction, reason) {
        (_, GapReason::NotGuarded | GapReason::SecondLook | GapReason::Opinion) => GapAction::Allow,
        // What `fail: closed` means; `fail: open` writes `tag` here. And what was not masked must not go on.
        (_, GapReason::DetectorError | GapReason::Budget) => GapAction::Block,
        (
            Direction::Request,
            GapReason::Encoding
            | GapReason::Size
            | GapReason::Depth
            | GapReason::Unparsable
            | GapReason::Stream,
        ) => GapAction::Block,
        _ => GapAction::Tag,
    }
}

/// The keys of a map are reasons. Derived schemas do not say so of names that have comments of their own.
#[cfg(feature = "schema")]
fn only_reasons(schema: &mut schemars::Schema) {
    if let Some(action) = schema.remove("additionalProperties") {
        let named = GapReason::ALL.iter().map(|reason| (reason.name().into(), action.clone()));
        schema.insert("properties".into(), named.collect::<serde_json::Map<_, _>>().into());
        schema.insert("additionalProperties".into(), false.into());
    }
}
