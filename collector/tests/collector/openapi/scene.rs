//! A collector with everything switched on and something of everything in it.

use std::sync::{Arc, Mutex};

use sentinel_collector::{Config, LogFilter, SecondOpinion};
use serde_json::{Value, json};

use super::document::{Document, Operation};
use crate::access::configured;
use crate::access::hand::{Issuer, Wallet};
use crate::alerts::plan;
use crate::bundles::{ADMIN, sealed};
use crate::second_opinion::OPINION;
use crate::support::{Answer, Client, Folder, Running, event, finding, start};

pub(super) struct Scene {
    pub(super) running: Running,
    pub(super) admin: Client,
    pub(super) document: Document,
    /// Of bundles that were pushed; the first is active, the second on trial.
    pub(super) bundles: Vec<String>,
}

impl Scene {
    pub(super) async fn new(folder: &Folder) -> Self {
        Self::over(folder, None).await
    }

    /// Over this PostgreSQL database instead of a file.
    pub(super) async fn over(folder: &Folder, postgres: Option<String>) -> Self {
        let issuer = Issuer::new(&folder.file("jwks.json"));
        let opinion = SecondOpinion { deadline_max: std::time::Duration::from_secs(60), ..OPINION.clone() };
        let running = start(Config {
            throttle: false,
            key_file: postgres.is_some().then(|| folder.file("keys")),
            postgres,
            admin_tokens: vec![ADMIN.to_owned()],
            second_opinion: Some(opinion),
            alerts: Some(plan(json!({"sinks": [{"name": "team", "slack": {"url": "http://127.0.0.1:9/"}}]}))),
            log_filter: Some(Arc::new(Filter(Mutex::new("info".to_owned())))),
            ..configured(folder, &issuer)
        })
        .await;
        let admin = running.client.with_token(ADMIN);
        let document = Document::of(&running.client).await;
        let mut scene = Self { running, admin, document, bundles: Vec::new() };
        scene.fill().await;
        scene
    }

    /// The number of one, as soon as there is one.
    pub(super) async fn alert(&self) -> String {
        loop {
            let alerts = self.admin.json("/v1/alerts?limit=1").await;
            if let Some(id) = alerts["alerts"][0]["id"].as_i64() {
                return id.to_string();
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }

    /// For an hour.
    pub(super) fn silence(&self) -> Value {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        json!({"rule": "vm-gap", "ends_ms": now.as_millis() as i64 + 3_600_000, "reason": "being mended"})
    }

    pub(super) async fn silenced(&self) -> String {
        let made = self.post("/v1/silences", self.silence()).await.status_is(201);
        made["silence"]["id"].to_string()
    }

    async fn fill(&mut self) {
        let mut events: Vec<Value> = (1..=6).chain(9..=12).map(|seq| event("a", seq)).collect();
        events.extend((1..=3).map(|seq| event("b", seq)));
        events[1]["findings"] = json!([finding("pii/email"), finding("injection/ignore-instructions")]);
        events[1]["action"] = json!("mask");
        for (name, value) in [("action", "block"), ("verdict", "malicious")] {
            events[5][name] = json!(value);
        }
        events[5]["score"] = json!(0.97);
        events[5]["findings"] = json!([finding("injection/ignore-instructions")]);
        events[2]["session"] = json!({"id": "s-1"});
        events[3]["subject"] = json!("ann");
        events[4]["subject"] = json!("ben");
        events.push(json!({"schema": "nothing"}));
        let report = self.running.client.ingest(&events).await;
        assert_eq!((&report["accepted"], &report["quarantined"][0]["index"]), (&json!(13), &json!(13)));
        for version in 1..=2 {
            let pushed = self.admin.send("POST", "/v1/bundles", &sealed(version)).await.status_is(201);
            self.bundles.push(pushed["id"].as_str().unwrap().to_owned());
        }
        self.post("/v1/deployments", json!({"bundle": self.bundles[0], "mode": "active"}))
            .await
            .status_is(201);
        self.post("/v1/subjects/erase", json!({"subject": "ben"})).await.status_is(200);
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.admin.send("POST", path, body.to_string().as_bytes()).await
    }

    /// Somebody who may.
    pub(super) fn client(&self, operation: Operation<'_>) -> Client {
        match operation.access() {
            "anyone" => self.running.client.with_authorization(None),
            "permission" if !operation.roles().contains(&"admin") => self.running.client.clone(),
            _ => self.admin.clone(),
        }
    }

    /// The id of a new key.
    pub(super) async fn key(&self) -> String {
        let made = self.post("/v1/keys", json!({"label": "x", "roles": ["viewer"]})).await.status_is(201);
        made["key"]["id"].as_str().unwrap().to_owned()
    }

    /// What a wallet sends to sign in, if it has a role.
    pub(super) async fn signed(&self) -> Value {
        let wallet = Wallet::new(1);
        wallet.answer(&wallet.challenge(&self.running.client).await)
    }
}

/// The log of a program that writes none.
struct Filter(Mutex<String>);

impl LogFilter for Filter {
    fn current(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn change(&self, filter: &str) -> Result<(), String> {
        filter.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}
