//! A collector with an operator: real bundles, and filters' events about them.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sentinel_bundle::{Draft, Kind, SecretKey};
use sentinel_collector::Config;
use serde_json::{Value, json};

use crate::support::{Client, Folder, Running, event, start};

pub(crate) const ADMIN: &str = "an-admin-token-for-tests";

pub(crate) struct Operator {
    pub(crate) running: Running,
    pub(crate) filter: Client,
    pub(crate) admin: Client,
    seq: AtomicI64,
}

pub(crate) async fn operator(folder: &Folder) -> Operator {
    Operator::start(config(folder)).await
}

pub(crate) fn config(folder: &Folder) -> Config {
    let mut config = crate::support::config(&folder.database());
    config.admin_tokens = vec![ADMIN.to_owned()];
    config.judge_every = Duration::from_millis(50);
    config
}

pub(crate) fn sealed(version: u64) -> Vec<u8> {
    sealed_with(version, b"{}", &[1])
}

pub(crate) fn sealed_with(version: u64, policy: &[u8], keys: &[u8]) -> Vec<u8> {
    seal(version, policy, keys, u64::from(u32::MAX))
}

pub(crate) fn expired() -> Vec<u8> {
    seal(9, b"{}", &[1], 1_000)
}

/// Valid until this second.
pub(crate) fn sealed_until(version: u64, expires: u64) -> Vec<u8> {
    seal(version, b"{}", &[1], expires)
}

fn seal(version: u64, policy: &[u8], keys: &[u8], expires: u64) -> Vec<u8> {
    let keys: Vec<SecretKey> = keys.iter().map(|key| secret(*key)).collect();
    let parts = vec![("policy", Kind::Policy, policy)];
    Draft { name: "test", version, not_before: 0, expires, parts, evaluation: None }.seal(&keys).unwrap()
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

pub(crate) fn public(number: u8) -> String {
    secret(number).public().unwrap().to_string()
}

impl Operator {
    pub(crate) async fn start(config: Config) -> Self {
        let running = start(config).await;
        let filter = running.client.clone();
        let admin = filter.with_token(ADMIN);
        Self { running, filter, admin, seq: AtomicI64::new(0) }
    }

    /// The id of the bundle of this version.
    pub(crate) async fn push(&self, version: u64) -> String {
        let answer = self.admin.send("POST", "/v1/bundles", &sealed(version)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let info: Value = serde_json::from_str(&answer.body()).unwrap();
        info["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn deploy(&self, request: Value) -> Value {
        let answer = self.admin.send("POST", "/v1/deployments", request.to_string().as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        serde_json::from_str(&answer.body()).unwrap()
    }

    /// Version 1 is active.
    pub(crate) async fn first(&self) -> String {
        let id = self.push(1).await;
        self.deploy(json!({"bundle": id, "mode": "active"})).await;
        id
    }

    pub(crate) async fn act(&self, verb: &str) -> Value {
        self.admin.send("POST", &format!("/v1/deployments/current/{verb}"), b"").await.ok()
    }

    pub(crate) async fn act_because(&self, verb: &str, reason: &str) -> Value {
        let body = json!({"reason": reason}).to_string();
        self.admin.send("POST", &format!("/v1/deployments/current/{verb}"), body.as_bytes()).await.ok()
    }

    /// Events with these fields changed; gives their ids.
    pub(crate) async fn events(&self, n: i64, fields: impl Fn(i64) -> Value) -> Vec<String> {
        let mut ids = Vec::new();
        let mut events = Vec::new();
        for n in 1..=n {
            let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
            let mut event = event("judged", seq);
            event["time_ms"] = now_ms().into();
            event.as_object_mut().unwrap().extend(fields(n).as_object().unwrap().clone());
            ids.push(event["id"].as_str().unwrap().to_owned());
            events.push(event);
        }
        let report = self.filter.ingest(&events).await;
        assert_eq!(report["accepted"], events.len(), "{report}");
        ids
    }

    /// `n` of each arm, in which each so-and-so-many-th is blocked; gives the ids of the candidate's.
    pub(crate) async fn mixed(
        &self,
        active: &str,
        candidate: &str,
        n: i64,
        every: i64,
        candidate_every: i64,
    ) -> Vec<String> {
        let arm = |bundle: &str, arm: &str, is_blocked: bool| json!({"bundle": bundle, "arm": arm, "action": if is_blocked { "block" } else { "allow" }});
        let ids = self.events(n, |n| arm(candidate, "candidate", n % candidate_every == 0)).await;
        self.events(n, |n| arm(active, "active", n % every == 0)).await;
        ids
    }

    /// With numbers that are given, so that they can be sent again.
    pub(crate) async fn send(&self, bundle: &str, arm: &str, seqs: RangeInclusive<i64>, action: &str) {
        let events: Vec<Value> = seqs
            .map(|seq| {
                let mut event = event("again", seq);
                let time_ms: Value = 4_000_000_000_000_i64.into();
                let fields = json!({"bundle": bundle, "arm": arm, "action": action, "time_ms": time_ms});
                event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                event
            })
            .collect();
        self.filter.ingest(&events).await;
    }

    /// The deployment that was decided last, as soon as none is under way.
    pub(crate) async fn ended(&self) -> Value {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let shown = self.admin.json("/v1/deployments").await;
            if shown["current"].is_null() {
                return shown["deployments"][0].clone();
            }
            assert!(Instant::now() < until, "it is still under way: {shown}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.filter.get("/metrics").await.body();
        text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
