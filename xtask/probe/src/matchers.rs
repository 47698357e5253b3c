//! What the probe of matchers says. It is a workspace of its own (`xtask/probe-matchers`), so that nobody who builds
//! Sentinel compiles the engines that it is compared with.

use serde::{Deserialize, Serialize};

/// One way of matching on one text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub way: String,
    pub text: String,
    pub bytes: usize,
    /// Microseconds per KB for all rules; for a sample of them multiplied up.
    pub per_kb: f64,
    pub build_ms: f64,
    /// Bytes of tables, once built and while they are built; for a sample multiplied up.
    pub table_bytes: f64,
    pub peak_bytes: f64,
    /// How many rules were measured, of how many.
    pub measured: usize,
    pub rules: usize,
    pub note: String,
}
