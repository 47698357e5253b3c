//! One exchange that a number stands for, so that a graph leads to a trace.

use crate::domain::StoredEvent;
use crate::domain::shown;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) struct Exemplar {
    pub(super) name: &'static str,
    pub(super) id: String,
    pub(super) value: f64,
    pub(super) at_ms: i64,
}

impl Exemplar {
    /// By its trace, or else by the id that its proxy gave it; one that has neither is none.
    pub(super) fn of(event: &StoredEvent) -> Option<Self> {
        let trace = event.signals.trace_id.map(|id| ("trace_id", id.to_string()));
        let request = || {
            let id = event.request_id.as_deref().and_then(shown::request_id)?;
            Some(("request_id", id.to_owned()))
        };
        let (name, id) = trace.or_else(request)?;
        Some(Self { name, id, value: 1.0, at_ms: event.time_ms })
    }

    pub(super) fn with_value(&self, value: f64) -> Self {
        Self { value, ..self.clone() }
    }
}
