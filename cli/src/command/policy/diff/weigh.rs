//! Whether a change makes a policy stricter or laxer: whether more is refused, hidden or looked at, or less.

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Stricter,
    Laxer,
    /// Neither, or it depends on the traffic.
    Different,
}

impl Effect {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stricter => "stricter",
            Self::Laxer => "laxer",
            Self::Different => "different",
        }
    }
}

pub(super) fn weigh(field: &str, before: &Value, after: &Value) -> Effect {
    match (strictness(field, before), strictness(field, after)) {
        (Some(before), Some(after)) if after > before => Effect::Stricter,
        (Some(before), Some(after)) if after < before => Effect::Laxer,
        _ => Effect::Different,
    }
}

/// The higher, the stricter; none where values cannot be ordered.
fn strictness(field: &str, value: &Value) -> Option<f64> {
    let parts: Vec<&str> = field.split('.').collect();
    let among = |words: &[&str]| {
        let word = value.as_str()?;
        words.iter().position(|known| *known == word).map(|at| at as f64)
    };
    let fewer_is_stricter = || value.as_f64().map(|number| -number);
    let is_on = || value.as_bool().map(|on| f64::from(u8::from(on)));
    match parts.as_slice() {
        ["mode"] => among(&["monitor", "enforce"]),
        ["level"] | ["channels", _, "level"] => value.as_f64(),
        ["detectors", _, "level"] => value.as_f64(),
        ["thresholds", _] | ["channels" | "detectors", _, "tag" | "block"] => fewer_is_stricter(),
        // What a score leads to depends on the thresholds.
        ["rules", _] | ["channels", _, "rules", _] | ["detectors", _, "action"] => {
            among(&["off", "monitor", "tag", "mask", "block"])
        }
        ["masks", _] => match value.get("keep_last") {
            Some(kept) => kept.as_f64().map(|kept| -kept),
            None => Some(0.0),
        },
        ["on_gap", _, _] | ["detectors", _, "on_gap"] => among(&["allow", "tag", "block"]),
        ["limits", "on_limit"] => among(&["scan_and_mark", "reject"]),
        ["limits", "prompt_chars" | "response_chars"] => fewer_is_stricter(),
        ["guard"] | ["response", "guard"] | ["model", "enabled"] | ["detectors", _, "enabled"] => is_on(),
        ["detectors", _, "shadow"] => value.as_bool().map(|shadow| f64::from(u8::from(!shadow))),
        ["response", "restore"] => among(&["everywhere", "text", "off"]),
        ["tools", "drift"] => among(&["off", "responses", "everywhere"]),
        ["model", "windows"] => value.as_f64(),
        ["unknown"] => among(&["route", "block"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_weighed_by_what_it_does() {
        for (field, before, after, effect) in [
            ("level", json!(1), json!(2), Effect::Stricter),
            ("thresholds.block", json!(0.8), json!(0.9), Effect::Laxer),
            ("channels.user.tag", json!(0.4), json!(0.2), Effect::Stricter),
            ("rules.pii/card", json!("mask"), json!("block"), Effect::Stricter),
            ("rules.jailbreak", json!("score"), json!("block"), Effect::Different),
            ("masks.pii", json!("placeholder"), json!({ "keep_last": 2 }), Effect::Laxer),
            ("masks.pii", json!({ "keep_last": 4 }), json!({ "keep_last": 2 }), Effect::Stricter),
            ("on_gap.request.size", json!("block"), json!("tag"), Effect::Laxer),
            ("detectors.model.shadow", json!(true), json!(false), Effect::Stricter),
            ("detectors.model.block", json!(0.5), json!(0.9), Effect::Laxer),
            ("detectors.pii.action", json!("mask"), json!("block"), Effect::Stricter),
            ("guard", json!(true), json!(false), Effect::Laxer),
            ("limits.body_bytes", json!(1024), json!(2048), Effect::Different),
            ("match.path", json!("/a"), json!("/b"), Effect::Different),
        ] {
            assert_eq!(weigh(field, &before, &after), effect, "{field}: {before} -> {after}");
        }
    }
}
