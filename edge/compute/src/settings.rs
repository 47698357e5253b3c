//! What an instance is told by the stores of its service.
//!
//! | store | key | what |
//! |---|---|---|
//! | secret store `sentinel`, or else config store `sentinel` | `config` | what the plugin configuration of a proxy is |
//! | config store `sentinel` | `upstream` | the backend that is guarded; not given: `upstream` |
//! | | `profile` | the profile of the policy, before that of the route |
//! | | `bundles` | a KV store with signed bundles |
//! | | `bundle_key` | the key in it; not given: `bundle` |
//! | | `bundle_poll_s` | how often an instance looks there; not given: 30 |
//! | | `log` | a log endpoint for what the guard has to say; not given: the standard error |
//! | | `events` | a log endpoint for events, one JSON line each |
//! | | `idle_ms` | how long an instance waits for another request; not given: 5000 |

use std::time::Duration;

use fastly::{ConfigStore, SecretStore};

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Vec<u8>,
    pub(crate) upstream: String,
    pub(crate) profile: Option<String>,
    pub(crate) bundles: Option<BundlePlace>,
    pub(crate) log: Option<String>,
    pub(crate) events: Option<String>,
    pub(crate) idle: Duration,
}

#[derive(Debug)]
pub(crate) struct BundlePlace {
    pub(crate) store: String,
    pub(crate) key: String,
    pub(crate) poll: Duration,
}

const STORE: &str = "sentinel";

impl Settings {
    /// What a service has no store for is as if nothing were said.
    pub(crate) fn read() -> Self {
        let store = ConfigStore::try_open(STORE).ok();
        let of = |key: &str| store.as_ref()?.try_get(key).ok().flatten().filter(|text| !text.is_empty());
        let number =
            |key: &str, default: u64| of(key).and_then(|text| text.trim().parse().ok()).unwrap_or(default);
        let config = secret("config").or_else(|| of("config").map(String::into_bytes));
        let bundles = of("bundles").map(|store| BundlePlace {
            store,
            key: of("bundle_key").unwrap_or_else(|| "bundle".to_owned()),
            poll: Duration::from_secs(number("bundle_poll_s", 30)),
        });
        Self {
            config: config.unwrap_or_default(),
            upstream: of("upstream").unwrap_or_else(|| "upstream".to_owned()),
            profile: of("profile"),
            bundles,
            log: of("log"),
            events: of("events"),
            idle: Duration::from_millis(number("idle_ms", 5_000)),
        }
    }
}

fn secret(key: &str) -> Option<Vec<u8>> {
    let secret = SecretStore::open(STORE).ok()?.try_get(key).ok()??;
    Some(secret.try_plaintext().ok()?.to_vec())
}
