//! The two forms in which metrics are given: the text format of Prometheus, 0.0.4, and OpenMetrics 1.0, for those who ask
//! for it; that one has exemplars and an end.
//!
//! Invariant: whatever a label is given, the text stays readable. Writing to a `String` cannot fail, so the results are
//! dropped.

use std::fmt::{Display, Write as _};

use super::exemplar::Exemplar;
use super::series::Series;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) enum Format {
    #[default]
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What somebody likes better, by the header `accept`.
    pub(super) fn accepted(accept: Option<&str>) -> Self {
        let mut best = (0.0, Self::Prometheus);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Prometheus,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Default)]
pub(in crate::http) struct Text {
    text: String,
    format: Format,
}

impl Text {
    pub(super) const fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    pub(in crate::http) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // There, the family of a counter is called without what its samples end with.
        let family = match (self.format, kind) {
            (Format::OpenMetrics, "counter") => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let _ = writeln!(self.text, "# HELP {family} {}\n# TYPE {family} {kind}", escaped(help));
    }

    pub(in crate::http) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.sample_with(name, labels, value, None);
    }

    pub(in crate::http) fn sample_with(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl Display,
        exemplar: Option<&Exemplar>,
    ) {
        self.text.push_str(name);
        if !labels.is_empty() {
            self.labels(labels.iter().copied());
        }
        let _ = write!(self.text, " {value}");
        if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
            self.text.push_str(" # ");
            self.labels([(exemplar.name, exemplar.id.as_str())].into_iter());
            let _ = write!(self.text, " {} {}", exemplar.value, exemplar.at_ms as f64 / 1_000.0);
        }
        self.text.push('\n');
    }

    fn labels<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        for (idx, (label, value)) in labels.enumerate() {
            let before = if idx == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        self.text.push('}');
    }

    /// A bound of a bucket.
    pub(super) fn bound(&self, bound: f64) -> String {
        match self.format {
            Format::Prometheus => bound.to_string(),
            // There, a whole number has a point, too.
            Format::OpenMetrics => format!("{bound:?}"),
        }
    }

    pub(in crate::http) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    pub(in crate::http) fn series(&mut self, name: &str, help: &str, label: &str, series: &Series) {
        self.head(name, "counter", help);
        for (value, count, exemplar) in series.counts() {
            self.sample_with(name, &[(label, value)], count, exemplar);
        }
    }

    pub(in crate::http) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_likes_openmetrics_better_gets_it() {
        let of = |accept: &str| Format::accepted(Some(accept));
        assert_eq!(Format::accepted(None), Format::Prometheus);
        assert_eq!(of("*/*"), Format::Prometheus);
        assert_eq!(of("application/openmetrics-text"), Format::OpenMetrics);
        assert_eq!(
            of("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.2"),
            Format::Prometheus
        );
        assert_eq!(of("application/openmetrics-text;q=0"), Format::Prometheus);
        // What Prometheus sends.
        assert_eq!(
            of("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                text/plain;version=0.0.4;q=0.2,*/*;q=0.1"),
            Format::OpenMetrics
        );
    }

    #[test]
    fn hostile_values_are_escaped_in_labels_and_exemplars() {
        let mut text = Text::default();
        text.sample("m", &[("l", "a\"b\\c\nd")], 1);
        assert_eq!(text.finish(), "m{l=\"a\\\"b\\\\c\\nd\"} 1\n");
        let exemplar = Exemplar { name: "trace_id", id: "a\"\n".to_owned(), value: 0.5, at_ms: 1_500 };
        let mut text = Text::new(Format::OpenMetrics);
        text.head("n_total", "counter", "Help.");
        text.sample_with("n_total", &[("l", "v")], 2, Some(&exemplar));
        assert_eq!(
            text.finish(),
            "# HELP n Help.\n# TYPE n counter\nn_total{l=\"v\"} 2 # {trace_id=\"a\\\"\\n\"} 0.5 1.5\n# EOF\n"
        );
    }
}
