//! Counters, gauges and histograms: values live with the host under their names, ids with the VM.

use std::collections::BTreeMap;

use super::abi::Status;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValue {
    Counter(u64),
    Gauge(u64),
    /// Every recorded value, in order.
    Histogram(Vec<u64>),
}

impl MetricValue {
    /// The number of a counter or gauge; how many values a histogram has.
    pub fn number(&self) -> u64 {
        match self {
            Self::Counter(n) | Self::Gauge(n) => *n,
            Self::Histogram(values) => values.len() as u64,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) values: BTreeMap<String, MetricValue>,
    names: BTreeMap<u32, String>,
    defined: u32,
}

impl Metrics {
    /// As in Envoy the type is in the low bits of the id, and each definition gets an id of its own.
    pub(crate) fn define(&mut self, kind: u32, name: String) -> Result<u32, Status> {
        let zero = match kind {
            0 => MetricValue::Counter(0),
            1 => MetricValue::Gauge(0),
            2 => MetricValue::Histogram(Vec::new()),
            _ => return Err(Status::BadArgument),
        };
        self.values.entry(name.clone()).or_insert(zero);
        self.defined += 1;
        let id = self.defined << 2 | kind;
        self.names.insert(id, name);
        Ok(id)
    }

    /// A counter refuses 0 and below, as Envoy's does.
    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        match self.value(id)? {
            MetricValue::Counter(n) if offset > 0 => *n = n.wrapping_add(offset.unsigned_abs()),
            MetricValue::Gauge(n) => *n = n.saturating_add_signed(offset),
            MetricValue::Counter(_) | MetricValue::Histogram(_) => return Err(Status::BadArgument),
        }
        Ok(())
    }

    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        match self.value(id)? {
            MetricValue::Counter(n) => *n = n.wrapping_add(value),
            MetricValue::Gauge(n) => *n = value,
            MetricValue::Histogram(values) => values.push(value),
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, id: u32) -> Result<u64, Status> {
        match self.value(id)? {
            MetricValue::Counter(n) | MetricValue::Gauge(n) => Ok(*n),
            MetricValue::Histogram(_) => Err(Status::BadArgument),
        }
    }

    pub(crate) fn forget_ids(&mut self) {
        self.names.clear();
        self.defined = 0;
    }

    fn value(&mut self, id: u32) -> Result<&mut MetricValue, Status> {
        let name = self.names.get(&id).ok_or(Status::NotFound)?;
        self.values.get_mut(name).ok_or(Status::NotFound)
    }
}
