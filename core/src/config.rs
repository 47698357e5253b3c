//! The plugin configuration: what an operator writes into `WasmPlugin.spec.pluginConfig` or into the `configuration`
//! of an Envoy filter.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use serde::{Deserialize, Serialize};

mod room;

pub use room::{BufferConfig, MemoryConfig, OnFull};

use crate::{
    guard::BreakerPolicy,
    policy::{DEFAULT_PROFILE, GapAction, GapPolicy, Policy},
    receipt::GapReason,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Missing: the safe built-in policy.
    pub policy: Policy,
    pub collector: Option<CollectorConfig>,
    /// A signed bundle, as base64. Its policy goes before `policy`.
    pub bundle: Option<String>,
    /// Where bundles come from while the proxy runs: the collector. The newest goes before `bundle`.
    pub bundle_source: Option<BundleSource>,
    /// Who may sign bundles: `ed25519:` and the base64 of a key.
    pub trust_keys: Vec<String>,
    /// What a failure of the guard itself leads to, where a profile does not say it for `detector_error`.
    pub fail: Fail,
    pub without_header_hold: WithoutHeaderHold,
    /// From when on a VM does less, so that it does not run out of memory.
    pub memory: MemoryConfig,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fail {
    /// The request or the response is refused.
    #[default]
    Closed,
    /// It is forwarded, tagged and recorded.
    Open,
}

/// What happens on a proxy that cannot keep request headers back while the body is read: Envoy without
/// `allow_on_headers_stop_iteration`, such as any proxy that Istio's `WasmPlugin` sets up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WithoutHeaderHold {
    /// Headers go upstream first; the body is still kept back until its verdict. Recorded in every event.
    #[default]
    HeadersFirst,
    /// Guarded requests are answered with 503.
    Refuse,
}

/// Where events go.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectorConfig {
    /// Name of the Envoy cluster.
    pub cluster: String,
    #[serde(default = "default_path")]
    pub path: String,
    #[serde(default = "default_authority")]
    pub authority: String,
    pub token: String,
    /// Events in one call.
    #[serde(default = "default_batch")]
    pub batch: u32,
    /// Events that wait in one VM: `buffer.events` by its older name.
    #[serde(default)]
    pub max_buffer: Option<u32>,
    #[serde(default)]
    pub buffer: BufferConfig,
    #[serde(default = "default_flush_ms")]
    pub flush_ms: u32,
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u32,
    /// When the collector is left alone, for each kind of call by itself.
    #[serde(default)]
    pub breaker: BreakerPolicy,
}

impl CollectorConfig {
    /// Events that may wait in one VM.
    pub fn buffer_events(&self) -> usize {
        let events = self.buffer.events.or(self.max_buffer).unwrap_or(BUFFER_EVENTS);
        events as usize
    }
}

/// How the collector is asked for bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BundleSource {
    pub path: String,
    /// How often, with a tenth of it more or less by chance. One worker of a proxy asks for all.
    pub poll_s: u32,
    /// What this proxy is called in deployments.
    pub instance: String,
}

impl Default for BundleSource {
    fn default() -> Self {
        Self { path: "/v1/bundle".into(), poll_s: 30, instance: String::new() }
    }
}

impl fmt::Debug for CollectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of every log.
        f.debug_struct("CollectorConfig")
            .field("cluster", &self.cluster)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Why a configuration is refused. Names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ConfigError {}

impl PluginConfig {
    /// An empty text is a configuration, too: the built-in policy, no collector.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let config: Self =
            serde_json::from_slice(text).map_err(|e| ConfigError(format!("plugin configuration: {e}")))?;
        config
            .check()
            .map_err(|(field, reason)| ConfigError(format!("plugin configuration: {field}: {reason}")))?;
        Ok(config)
    }

    /// Where a configuration that is refused as a whole wants its events, if that part of it can be read.
    pub fn salvage_collector(text: &[u8]) -> Option<CollectorConfig> {
        let document: serde_json::Value = serde_json::from_slice(text).ok()?;
        let collector = serde_json::from_value(document.get("collector")?.clone()).ok();
        let config = Self { collector, ..Self::default() };
        config.check().ok()?;
        config.collector
    }

    /// The policy with `fail` written into every profile that does not decide it.
    pub fn effective_policy(&self) -> Policy {
        self.made_effective(self.policy.clone())
    }

    /// The same with the policy of a bundle.
    pub fn made_effective(&self, mut policy: Policy) -> Policy {
        if self.fail == Fail::Open {
            policy.profiles.entry(DEFAULT_PROFILE.into()).or_default();
            for profile in policy.profiles.values_mut() {
                let GapPolicy { request, response } = &mut profile.on_gap;
                request.entry(GapReason::DetectorError).or_insert(GapAction::Tag);
                response.entry(GapReason::DetectorError).or_insert(GapAction::Tag);
            }
        }
        policy
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |field, value: u32, min: u32, max: u32| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err((field, format!("is {value}, expected {min} to {max}"))),
        };
        if (self.bundle.is_some() || self.bundle_source.is_some()) && self.trust_keys.is_empty() {
            let reason = "is empty, expected the keys that may sign bundles";
            return Err(("trust_keys", reason.to_string()));
        }
        if let Some(source) = &self.bundle_source {
            if self.collector.is_none() {
                return Err(("bundle_source", "needs a collector to ask".to_string()));
            }
            if !source.path.starts_with('/') {
                return Err(("bundle_source.path", format!("is {:?}, expected a path", source.path)));
            }
            if !source.instance.bytes().all(|b| b.is_ascii_graphic()) {
                let reason = "expected visible ASCII characters";
                return Err(("bundle_source.instance", reason.to_string()));
            }
            within("bundle_source.poll_s", source.poll_s, 1, 86_400)?;
        }
        self.memory.check()?;
        let Some(collector) = &self.collector else { return Ok(()) };
        if collector.cluster.is_empty() {
            return Err(("collector.cluster", "is empty, expected the name of an Envoy cluster".to_string()));
        }
        if !collector.path.starts_with('/') {
            return Err(("collector.path", format!("is {:?}, expected a path", collector.path)));
        }
        if collector.token.len() < TOKEN_BYTES_MIN || !collector.token.bytes().all(|b| b.is_ascii_graphic()) {
            let reason = "expected the token of the collector: at least 8 visible ASCII characters";
            return Err(("collector.token", reason.to_string()));
        }
        within("collector.batch", collector.batch, 1, 1000)?;
        for (field, events) in [
            ("collector.max_buffer", collector.max_buffer),
            ("collector.buffer.events", collector.buffer.events),
        ] {
            events.map_or(Ok(()), |events| within(field, events, 1, 100_000))?;
        }
        if collector.max_buffer.is_some() && collector.buffer.events.is_some() {
            let reason = "is given twice, in buffer.events, too; expected one of them";
            return Err(("collector.max_buffer", reason.to_string()));
        }
        let breaker = collector.breaker.check();
        breaker.map_err(|error| ("collector.breaker", format!("{} {}", error.field, error.reason)))?;
        within("collector.flush_ms", collector.flush_ms, 10, 60_000)?;
        within("collector.timeout_ms", collector.timeout_ms, 10, 60_000)
    }
}

/// The collector takes no shorter one.
const TOKEN_BYTES_MIN: usize = 8;

fn default_path() -> String {
    "/v1/events".into()
}

fn default_authority() -> String {
    "sentinel-collector".into()
}

const fn default_batch() -> u32 {
    100
}

const BUFFER_EVENTS: u32 = 2_000;

const fn default_flush_ms() -> u32 {
    1_000
}

const fn default_timeout_ms() -> u32 {
    5_000
}
