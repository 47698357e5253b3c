//! What a trial needs of one event. Fields that an older filter does not send are simply not there, and a form that is
//! not known counts as absent: an event is never refused for it.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arm {
    Active,
    Candidate,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) time_ms: i64,
    /// The bundle that decided.
    pub(crate) bundle: String,
    pub(crate) arm: Option<Arm>,
    pub(crate) route: Option<String>,
    /// Whether it was refused, or would have been in monitor mode.
    pub(crate) blocked: bool,
    /// Whether the filter could not do what it should.
    pub(crate) fault: bool,
    /// Both directions.
    pub(crate) latency_us: Option<u64>,
    pub(crate) shadow: Option<Shadow>,
}

/// What a candidate thinks of a request that it does not decide.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shadow {
    pub(crate) bundle: String,
    pub(crate) blocked: bool,
}

impl Sample {
    /// `None` if the event says of no bundle that it decided.
    pub(crate) fn read(body: &str) -> Option<Self> {
        let view: View = serde_json::from_str(body).ok()?;
        let arm = match view.arm.as_str() {
            Some("active") => Some(Arm::Active),
            Some("candidate") => Some(Arm::Candidate),
            _ => None,
        };
        let latency = |field| view.latency_us.get(field).and_then(Value::as_u64);
        let gaps = view.gaps.as_array();
        // One that did not see what the other saw says nothing of how they differ.
        let is_blind = view.shadow.get("blind").and_then(Value::as_bool) == Some(true);
        let shadow = if is_blind { &Value::Null } else { &view.shadow };
        Some(Self {
            time_ms: view.time_ms,
            bundle: view.bundle.as_str()?.to_owned(),
            arm,
            route: view.route.as_str().map(str::to_owned),
            blocked: is_block(&view.action, &view.would),
            fault: !view.degraded.is_null() || gaps.is_some_and(|gaps| gaps.iter().any(is_fault)),
            latency_us: latency("request")
                .map(|request| request.saturating_add(latency("response").unwrap_or(0))),
            shadow: shadow.get("bundle").and_then(Value::as_str).map(|bundle| Shadow {
                bundle: bundle.to_owned(),
                blocked: is_block(
                    shadow.get("action").unwrap_or(&Value::Null),
                    shadow.get("would").unwrap_or(&Value::Null),
                ),
            }),
        })
    }
}

/// In monitor mode the action is what was done, and `would` what enforcing would have done.
fn is_block(action: &Value, would: &Value) -> bool {
    would.as_str().or(action.as_str()) == Some("block")
}

fn is_fault(gap: &Value) -> bool {
    gap == "detector_error"
}

#[derive(Deserialize)]
struct View {
    time_ms: i64,
    #[serde(default)]
    bundle: Value,
    #[serde(default)]
    arm: Value,
    #[serde(default)]
    route: Value,
    #[serde(default)]
    action: Value,
    #[serde(default)]
    would: Value,
    #[serde(default)]
    degraded: Value,
    #[serde(default)]
    gaps: Value,
    #[serde(default)]
    latency_us: Value,
    #[serde(default)]
    shadow: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_trial_are_read() {
        let sample = Sample::read(
            r#"{"time_ms":7,"bundle":"b1","arm":"active","route":"chat","action":"allow","would":"block",
                "degraded":null,"gaps":["detector_error"],"latency_us":{"request":30,"response":12},
                "shadow":{"bundle":"b2","verdict":"clean","action":"block","score":0.5}}"#,
        );
        let expected = Sample {
            time_ms: 7,
            bundle: "b1".to_owned(),
            arm: Some(Arm::Active),
            route: Some("chat".to_owned()),
            blocked: true,
            fault: true,
            latency_us: Some(42),
            shadow: Some(Shadow { bundle: "b2".to_owned(), blocked: true }),
        };
        assert_eq!(sample, Some(expected));
    }

    #[test]
    fn an_older_filters_event_is_no_sample_and_odd_forms_are_absent() {
        assert_eq!(Sample::read(r#"{"time_ms":7,"action":"block"}"#), None);
        assert_eq!(Sample::read(r#"{"time_ms":7,"bundle":null}"#), None);
        let odd = r#"{"time_ms":7,"bundle":"b","arm":3,"route":[],"action":{},"latency_us":9,"shadow":"x","gaps":1}"#;
        let sample = Sample::read(odd).unwrap();
        assert_eq!((sample.arm, sample.route, sample.latency_us, sample.shadow), (None, None, None, None));
        assert!(!sample.blocked && !sample.fault);
        assert!(Sample::read(r#"{"time_ms":7,"bundle":"b","degraded":"configuration"}"#).unwrap().fault);
    }

    #[test]
    fn a_shadow_that_was_blind_is_no_half_of_a_pair() {
        for (blind, is_counted) in [("", true), (r#","blind":false"#, true), (r#","blind":true"#, false)] {
            let shadow =
                format!(r#"{{"bundle":"b2","verdict":"clean","action":"allow","score":0.0{blind}}}"#);
            let event =
                format!(r#"{{"time_ms":7,"bundle":"b1","arm":"active","action":"block","shadow":{shadow}}}"#);
            assert_eq!(Sample::read(&event).unwrap().shadow.is_some(), is_counted, "{event}");
        }
    }

    /// The filters' type and this view are written apart; what they must agree on is compared here.
    #[test]
    fn gap_reasons_have_the_names_of_the_core() {
        let name = serde_json::to_value(sentinel_core::receipt::GapReason::DetectorError).unwrap();
        assert!(is_fault(&name), "{name}");
    }
}
