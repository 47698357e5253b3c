//! Counts of values by buckets, and one exchange of each bucket.

use std::time::Duration;

use super::Text;
use super::exemplar::Exemplar;

#[derive(Debug)]
pub(in crate::http) struct Histogram {
    bounds: &'static [f64],
    /// Not cumulative; one more than there are bounds.
    buckets: Vec<(u64, Option<Exemplar>)>,
    sum: f64,
}

impl Default for Histogram {
    /// Of seconds that somebody waits for.
    fn default() -> Self {
        Self::with(&BOUNDS_S)
    }
}

impl Histogram {
    pub(super) fn with(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: vec![(0, None); bounds.len() + 1], sum: 0.0 }
    }

    pub(in crate::http) fn add(&mut self, took: Duration) {
        self.observe(took.as_secs_f64(), None);
    }

    pub(super) fn observe(&mut self, value: f64, exemplar: Option<&Exemplar>) {
        let idx = self.bounds.iter().take_while(|bound| value > **bound).count();
        if let Some((count, last)) = self.buckets.get_mut(idx) {
            *count += 1;
            if let Some(exemplar) = exemplar {
                *last = Some(exemplar.with_value(value));
            }
        }
        self.sum += value;
    }

    pub(in crate::http) fn write(&self, name: &str, help: &str, text: &mut Text) {
        text.head(name, "histogram", help);
        self.samples(name, &[], text);
    }

    pub(super) fn samples(&self, name: &str, labels: &[(&str, &str)], text: &mut Text) {
        let mut count = 0;
        let bounds = self.bounds.iter().map(|bound| text.bound(*bound)).chain(["+Inf".to_owned()]);
        let bounds: Vec<String> = bounds.collect();
        for (bound, (bucket, exemplar)) in bounds.iter().zip(&self.buckets) {
            count += bucket;
            let mut labels = labels.to_vec();
            labels.push(("le", bound));
            text.sample_with(&format!("{name}_bucket"), &labels, count, exemplar.as_ref());
        }
        text.sample(&format!("{name}_sum"), labels, self.sum);
        text.sample(&format!("{name}_count"), labels, count);
    }
}

const BOUNDS_S: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Of what a part of the guard takes.
pub(super) const LAYER_BOUNDS_S: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];
/// Of what an application and its model take.
pub(super) const EXCHANGE_BOUNDS_S: [f64; 13] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0];
/// Of hundredths.
pub(super) const SCORE_BOUNDS: [f64; 12] =
    [5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 100.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::metrics::text::Format;

    #[test]
    fn buckets_are_cumulative_and_end_with_the_count() {
        let mut histogram = Histogram::default();
        for ms in [1, 3, 90, 60_000] {
            histogram.add(Duration::from_millis(ms));
        }
        let written = |format| {
            let mut text = Text::new(format);
            histogram.write("h", "help", &mut text);
            text.finish()
        };
        let text = written(Format::Prometheus);
        for line in [
            "h_bucket{le=\"0.001\"} 1",
            "h_bucket{le=\"0.1\"} 3",
            "h_bucket{le=\"1\"} 3",
            "h_bucket{le=\"+Inf\"} 4",
            "h_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in {text}");
        }
        assert!(written(Format::OpenMetrics).contains("h_bucket{le=\"1.0\"} 3\n"));
    }

    #[test]
    fn an_exemplar_stands_in_the_bucket_that_it_fell_into() {
        let mut histogram = Histogram::with(&SCORE_BOUNDS);
        let exemplar = Exemplar { name: "trace_id", id: "t".to_owned(), value: 1.0, at_ms: 2_000 };
        histogram.observe(75.0, Some(&exemplar));
        let mut text = Text::new(Format::OpenMetrics);
        histogram.write("h", "help", &mut text);
        let text = text.finish();
        assert_eq!(text.matches(" # {").count(), 1);
        assert!(text.contains("h_bucket{le=\"80.0\"} 1 # {trace_id=\"t\"} 75 2\n"), "{text}");
    }
}
