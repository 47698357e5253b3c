//! Calls to the collector: what all of them have in common.

use std::time::Duration;

use sentinel_core::config::CollectorConfig;

use crate::host::{self, HostResult};

/// Answers the token of the callout.
pub(crate) fn call(
    collector: &CollectorConfig,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: Duration,
) -> HostResult<u32> {
    let authorization = format!("Bearer {}", collector.token);
    let mut all = vec![
        (":method", method),
        (":path", path),
        (":authority", collector.authority.as_str()),
        ("authorization", authorization.as_str()),
    ];
    all.extend(headers);
    host::call(&collector.cluster, all, body, timeout)
}
