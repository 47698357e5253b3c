//! The shipped Envoy bootstrap, a collector, and those who watch them: a Prometheus with the shipped rules, and an
//! Alertmanager that tells a listener of this test.

use std::{
    fs,
    net::SocketAddr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use sentinel_harness::{
    envoy::{Envoy, EnvoyOptions},
    http1,
    prometheus::{Alertmanager, Prometheus, PrometheusOptions, Scrape},
    upstream::Upstream,
    wire::{Request, Response},
};
use sentinel_tests::{
    collector::{Collector, FILTER_TOKEN, sentinel},
    engine::built_filter,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    files::{quickened, repository, rule_file},
    traffic::answer,
};

const WITHIN: Duration = Duration::from_secs(180);

pub(crate) struct Site {
    pub(crate) envoy: Envoy,
    pub(crate) collector: Collector,
    pub(crate) prometheus: Prometheus,
    _alertmanager: Alertmanager,
    notifications: Upstream,
    _upstream: Upstream,
    folder: TempDir,
}

static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        let complaint = COMPLAINT.lock().unwrap().clone();
        assert!(began.elapsed() < WITHIN, "{what}: not within {WITHIN:?}\n{complaint}");
        thread::sleep(Duration::from_millis(200));
    }
}

impl Site {
    /// The collector trusts both keys, the proxy only the first.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = ["one.key", "two.key"].map(|key| {
            sentinel(folder.path(), &format!("bundle keygen --out {key}")).unwrap();
            fs::read_to_string(folder.path().join(format!("{key}.pub"))).unwrap().trim().to_owned()
        });
        let mut collector = Collector::new(folder.path(), &keys).unwrap();
        collector.start().unwrap();
        let upstream = Upstream::start_unrecorded(answer).unwrap();
        let bootstrap = shipped_bootstrap(upstream.addr(), collector.addr(), &keys[0]);
        let envoy = Envoy::start(&EnvoyOptions {
            bootstrap_yaml: bootstrap,
            concurrency: 2,
            log_level: "error".to_owned(),
            component_log_level: None,
            ready_within: Duration::from_secs(300),
        })
        .unwrap();
        let notifications = Upstream::start(|_| Response::json("{}")).unwrap();
        let alertmanager = Alertmanager::start(Some(notifications.addr())).unwrap();
        let rules = ["recording.yml", "alerts.yml"].map(|name| {
            let file = folder.path().join(name);
            fs::write(&file, quickened(&rule_file(name))).unwrap();
            file
        });
        let scrape =
            |job: &str, addr, path: &str| Scrape { job: job.to_owned(), addr, path: path.to_owned() };
        let prometheus = Prometheus::start(&PrometheusOptions {
            scrapes: vec![
                scrape("sentinel-proxy", envoy.admin_addr(), "/stats/prometheus"),
                scrape("sentinel-collector", collector.addr(), "/metrics"),
            ],
            rules: rules.into(),
            alertmanager: Some(alertmanager.addr()),
            interval: Duration::from_secs(1),
        })
        .unwrap();
        Self {
            envoy,
            collector,
            prometheus,
            _alertmanager: alertmanager,
            notifications,
            _upstream: upstream,
            folder,
        }
    }

    pub(crate) fn entry(&self) -> SocketAddr {
        self.envoy.addr("ingress").unwrap()
    }

    /// Waits for an alert.
    #[track_caller]
    pub(crate) fn tells(&self, alert: &str) {
        until(&format!("{alert} fires"), || {
            let firing = self.firing();
            self.last_complaint(format!("firing: {firing:?}"));
            firing.iter().any(|name| name == alert).then_some(())
        });
    }

    /// The same, for what may be over by the time that somebody looks.
    #[track_caller]
    pub(crate) fn has_told(&self, alert: &str, since: Instant) {
        until(&format!("{alert} has fired"), || {
            self.last_complaint(format!("firing: {:?}", self.firing()));
            let seconds = since.elapsed().as_secs() + 1;
            let fired =
                format!("max_over_time(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}[{seconds}s])");
            self.holds(&fired)
        });
    }

    #[track_caller]
    pub(crate) fn is_over(&self, alert: &str) {
        until(&format!("{alert} is over"), || {
            (!self.firing().iter().any(|name| name == alert)).then_some(())
        });
    }

    pub(crate) fn firing(&self) -> Vec<String> {
        let alerts = self.prometheus.alerts().unwrap();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Whether an expression gives anything.
    pub(crate) fn holds(&self, expression: &str) -> Option<()> {
        (!self.prometheus.query(expression).unwrap().is_empty()).then_some(())
    }

    /// What to say when the next wait takes too long.
    pub(crate) fn last_complaint(&self, text: String) {
        *COMPLAINT.lock().unwrap() = text;
    }

    /// Whether Alertmanager has sent word of it.
    pub(crate) fn notified(&self, alert: &str, status: &str) -> bool {
        self.notifications.requests().iter().any(|saw| {
            let body: Value = serde_json::from_slice(saw.body()).unwrap_or_default();
            let alerts = body["alerts"].as_array().into_iter().flatten();
            alerts.into_iter().any(|one| one["labels"]["alertname"] == alert && one["status"] == status)
        })
    }

    pub(crate) fn has_heard(&self, text: &str) -> bool {
        self.notifications.requests().iter().any(|saw| saw.text().contains(text))
    }

    pub(crate) fn deploy_first(&self) {
        self.push(1, "one.key", "--mode active");
    }

    pub(crate) fn try_candidate(&self) {
        self.push(2, "one.key", "--mode canary --percent 50");
    }

    pub(crate) fn end_trial(&self) {
        self.operate("rollback --reason enough");
    }

    pub(crate) fn deploy_what_the_proxy_refuses(&self) {
        self.push(3, "two.key", "--mode active");
    }

    pub(crate) fn deploy_what_the_proxy_takes(&self) {
        self.push(4, "one.key", "--mode active");
        // Before the collector goes away.
        until("the new bundle", || {
            let found = self.prometheus.query("max(sentinel_bundle_version)").unwrap();
            found.iter().any(|sample| sample.value == 4.0).then_some(())
        });
    }

    /// What an attacker with a filter's token might send.
    pub(crate) fn forge_an_event(&self) {
        let forged = json!({ "events": [{ "schema": "sentinel.event/1", "vm": "nobody" }] }).to_string();
        let request = Request::json("/v1/events", forged)
            .with_header("authorization", format!("Bearer {FILTER_TOKEN}"));
        let saw = http1::exchange(self.collector.addr(), &request, WITHIN).unwrap().unwrap();
        assert_eq!(saw.status, 200, "{}", saw.text());
    }

    fn push(&self, version: u32, key: &str, mode: &str) {
        fs::write(self.folder.path().join("policy.yaml"), POLICY).unwrap();
        let file = format!("shop-{version}.sntb");
        let build = format!(
            "bundle build --policy policy.yaml --name shop --version {version} --days 30 --key {key} --out {file}"
        );
        sentinel(self.folder.path(), &build).unwrap();
        self.operate(&format!("push {file} {mode}"));
    }

    fn operate(&self, command: &str) {
        self.collector.operate(&format!("bundle {command}")).unwrap();
    }
}

const POLICY: &str = "routes:
  - { name: limited, match: { path: '/limited/*' } }
  - { name: files, match: { path: '/files/*' }, guard: false }
  - { name: all }
trace: { layers: true, gen_ai: true }
rates:
  limits:
    - { name: one, key: ip, per_second: 1, routes: [limited] }
";

/// `envoy/envoy.yaml` with its places filled in, and quicker than one would have it.
fn shipped_bootstrap(upstream: SocketAddr, collector: SocketAddr, trusted: &str) -> String {
    let text = fs::read_to_string(repository().join("envoy/envoy.yaml")).unwrap();
    let mut bootstrap: Value = serde_saphyr::from_str(&text).unwrap();
    let config = json!({
        "fail": "closed", "without_header_hold": "refuse",
        "collector": {
            "cluster": "sentinel_collector", "token": FILTER_TOKEN, "flush_ms": 200, "batch": 500,
            "buffer": { "events": 300 }, "breaker": { "failures": 2, "pause_ms": 500, "pause_ms_max": 1000 },
        },
        "bundle_source": { "poll_s": 1 },
        "trust_keys": [trusted],
    });
    let mut put = |place: &str, value: Value| {
        let found = bootstrap.pointer_mut(place);
        *found.unwrap_or_else(|| panic!("envoy.yaml has no {place} any more")) = value;
    };
    let listener = "/static_resources/listeners/0";
    let wasm =
        format!("{listener}/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config");
    put("/admin/address/socket_address/port_value", json!(0));
    put(&format!("{listener}/address/socket_address/port_value"), json!(0));
    put(&format!("{wasm}/vm_config/code/local/filename"), json!(built_filter().unwrap()));
    put(&format!("{wasm}/configuration/value"), json!(config.to_string()));
    for (cluster, addr) in [upstream, collector].into_iter().enumerate() {
        let at = format!(
            "/static_resources/clusters/{cluster}/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address"
        );
        put(&at, json!({ "address": addr.ip().to_string(), "port_value": addr.port() }));
    }
    bootstrap.to_string()
}
