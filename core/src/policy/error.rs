//! Why a policy is refused: where, and what to do.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    pub field: String,
    pub reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl core::error::Error for PolicyError {}

pub(super) fn error(field: &str, reason: String) -> PolicyError {
    PolicyError { field: field.into(), reason }
}

/// Collects what is wrong with the fields below one place of the document.
pub(super) struct Complaints<'a> {
    place: String,
    list: &'a mut Vec<PolicyError>,
}

impl<'a> Complaints<'a> {
    pub(super) const fn new(list: &'a mut Vec<PolicyError>) -> Self {
        Self { place: String::new(), list }
    }

    /// For what lies at `field`, such as `profiles.default` or `routes[2]`.
    pub(super) fn at(&mut self, field: &str) -> Complaints<'_> {
        let place = self.field(field);
        Complaints { place, list: self.list }
    }

    pub(super) fn add(&mut self, field: &str, reason: String) {
        let field = self.field(field);
        self.list.push(PolicyError { field, reason });
    }

    fn field(&self, field: &str) -> String {
        match (self.place.as_str(), field) {
            ("", field) => field.into(),
            (place, "") => place.into(),
            (place, field) if field.starts_with('[') => format!("{place}{field}"),
            (place, field) => format!("{place}.{field}"),
        }
    }
}
