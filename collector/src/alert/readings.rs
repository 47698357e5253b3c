//! Readings of a moment, as rules ask for them.

use super::Alarm;
use super::rule::Measure;
use super::watch::Observation;
use crate::monitor::Unusual;

/// What a collector can say about itself now; what it cannot say is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Readings {
    /// 0 to 1.
    pub(crate) backlog: f64,
    /// Events that never arrived, over all VMs.
    pub(crate) missing: Option<i64>,
    pub(crate) certificate_ends_ms: Option<i64>,
    pub(crate) bundle_ends_ms: Option<i64>,
    pub(crate) store_answers: bool,
    pub(crate) unusual: Vec<Unusual>,
}

impl Alarm {
    pub(crate) fn read(&self, readings: &Readings, now_ms: i64) {
        let days = |ends_ms: i64| (ends_ms.saturating_sub(now_ms) as f64 / DAY_MS).max(0.0);
        let mut watch = self.watch();
        let mut level = |measure, value: f64| {
            watch.observe(Observation::Level { measure, of: None, value }, now_ms);
        };
        level(Measure::Backlog, readings.backlog);
        for (measure, ends_ms) in [
            (Measure::CertificateDays, readings.certificate_ends_ms),
            (Measure::BundleDays, readings.bundle_ends_ms),
        ] {
            if let Some(ends_ms) = ends_ms {
                level(measure, days(ends_ms));
            }
        }
        if let Some(missing) = readings.missing {
            level(Measure::VmMissing, missing as f64);
        }
        for Unusual { what, weeks } in &readings.unusual {
            let level =
                Observation::Level { measure: Measure::Unusual, of: Some(what.as_str()), value: *weeks };
            watch.observe(level, now_ms);
        }
        if !readings.store_answers {
            watch.observe(Observation::Error { place: "store" }, now_ms);
        }
    }
}

const DAY_MS: f64 = 86_400_000.0;
