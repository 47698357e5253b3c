//! One counter for each value of a label. Values come from filters, so their number and their form are bounded.

use std::collections::BTreeMap;

use super::exemplar::Exemplar;
use crate::domain::shown::{self, OTHER};

#[derive(Debug, Default)]
pub(in crate::http) struct Series(BTreeMap<String, Counted>);

#[derive(Debug, Default)]
struct Counted {
    n: u64,
    last: Option<Exemplar>,
}

impl Series {
    pub(in crate::http) fn from_zero(values: &[&str]) -> Self {
        Self(values.iter().map(|value| ((*value).to_owned(), Counted::default())).collect())
    }

    pub(in crate::http) fn add(&mut self, value: &str) {
        self.add_many(value, 1, None);
    }

    pub(super) fn add_with(&mut self, value: &str, exemplar: Option<&Exemplar>) {
        self.add_many(value, 1, exemplar);
    }

    pub(super) fn add_many(&mut self, value: &str, n: u64, exemplar: Option<&Exemplar>) {
        let value = shown::label(value);
        let value = if self.0.contains_key(value) || self.0.len() < VALUES_MAX { value } else { OTHER };
        let counted = self.0.entry(value.to_owned()).or_default();
        counted.n = counted.n.saturating_add(n);
        if let Some(exemplar) = exemplar {
            counted.last = Some(exemplar.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, u64, Option<&Exemplar>)> {
        self.0.iter().map(|(value, counted)| (value.as_str(), counted.n, counted.last.as_ref()))
    }
}

const VALUES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_are_bounded_in_number_and_form() {
        let mut series = Series::default();
        for n in 0..1_000 {
            series.add(&format!("v{n}"));
        }
        series.add("ann@example.org");
        assert_eq!(series.counts().count(), VALUES_MAX + 1);
        assert!(series.counts().any(|(value, n, _)| (value, n) == (OTHER, 901)));
    }
}
