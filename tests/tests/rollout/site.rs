//! Two Envoys, a collector, and the command in the hands of an operator.

use std::{fs, net::SocketAddr, thread, time::Duration};

use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    upstream::Upstream,
    wire::Response,
};
use sentinel_tests::{
    collector::{Collector, FILTER_TOKEN, sentinel},
    engine::built_filter,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PROXIES: [&str; 2] = ["edge-1", "edge-2"];

const WITHIN: Duration = Duration::from_secs(240);
const EVENTS_ON_A_PAGE: usize = 1_000;

pub(crate) struct Site {
    pub(crate) envoys: [Envoy; 2],
    _upstream: Upstream,
    collector: Collector,
    folder: TempDir,
}

#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    sentinel_tests::until(what, WITHIN, look)
}

impl Site {
    /// Each proxy trusts a key of its own, as in the middle of a change of keys.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = ["one.key", "two.key"].map(|key| {
            sentinel(folder.path(), &format!("bundle keygen --out {key}")).unwrap();
            fs::read_to_string(folder.path().join(format!("{key}.pub"))).unwrap().trim().to_owned()
        });
        let mut collector = Collector::new(folder.path(), &keys).unwrap();
        collector.start().unwrap();
        let upstream = Upstream::start_unrecorded(|_| {
            Response::json(r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}]}"#)
        })
        .unwrap();
        let start = |instance: &str, key: &str| {
            let config = json!({
                "collector": {
                    "cluster": "collector", "token": FILTER_TOKEN, "flush_ms": 50, "batch": 500, "max_buffer": 100_000,
                },
                "bundle_source": { "poll_s": 1, "instance": instance },
                "trust_keys": [key],
            });
            let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
            let bootstrap =
                Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.addr());
            Envoy::start(&EnvoyOptions { concurrency: 2, ..EnvoyOptions::new(&bootstrap) }).unwrap()
        };
        let envoys = thread::scope(|scope| {
            let [one, two] = [0, 1].map(|n| {
                let (start, keys) = (&start, &keys);
                scope.spawn(move || start(PROXIES[n], &keys[n]))
            });
            [one.join().unwrap(), two.join().unwrap()]
        });
        Self { envoys, _upstream: upstream, collector, folder }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A command that has to succeed.
    #[track_caller]
    pub(crate) fn sentinel(&self, command: &str) -> Value {
        sentinel(self.folder.path(), command).unwrap()
    }

    /// One that speaks to the collector.
    #[track_caller]
    pub(crate) fn operate(&self, command: &str) -> Value {
        self.collector.operate(&format!("bundle {command}")).unwrap()
    }

    pub(crate) const fn collector_addr(&self) -> SocketAddr {
        self.collector.addr()
    }

    /// Stops the collector as an operator does, and starts it again where it was.
    pub(crate) fn restart_collector(&mut self) {
        self.collector.stop().unwrap();
        self.collector.start().unwrap();
    }

    /// A store that is busy for a while says so, and is asked again.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> String {
        until(path, || self.collector.get(path))
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).unwrap()
    }

    /// The newest events, newest first.
    pub(crate) fn newest_events(&self, n: usize) -> Vec<Value> {
        let mut events = Vec::new();
        let mut before = String::new();
        while events.len() < n {
            let limit = (n - events.len()).min(EVENTS_ON_A_PAGE);
            let mut page = self.json(&format!("/v1/events?limit={limit}{before}"));
            events.append(page["events"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        events
    }
}
