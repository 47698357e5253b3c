//! The proxy as the parts that adapters have in common see it, and what all calls to the collector have in common.

use std::time::Duration;

use proxy_wasm::types::LogLevel;
use sentinel_adapter::host::{Call, Host, Level};
use sentinel_core::config::CollectorConfig;

use crate::{
    host::{self, HostResult},
    vm,
};

#[derive(Debug)]
pub(crate) struct ProxyHost;

impl Host for ProxyHost {
    fn call(&mut self, collector: &CollectorConfig, call: Call<'_>) -> Result<u32, String> {
        let Call { method, path, headers, body, timeout } = call;
        self::call(collector, method, path, &headers, &body, timeout).map_err(|error| error.to_string())
    }

    fn log(&mut self, level: Level, text: &str) {
        let level = match level {
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
            Level::Critical => LogLevel::Critical,
        };
        host::log(level, text);
    }

    fn chance(&mut self) -> u32 {
        vm::chance()
    }
}

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
