//! A real Prometheus and a real Alertmanager as child processes, on free ports and with data of their own, which is gone
//! with the handle.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::envoy::percent_encoded;
use crate::port::free_addr;
use crate::wire::Request;
use crate::{http1, program};

/// What is scraped.
#[derive(Clone, Debug)]
pub struct Scrape {
    pub job: String,
    pub addr: SocketAddr,
    pub path: String,
}

#[derive(Clone, Debug)]
pub struct PrometheusOptions {
    pub scrapes: Vec<Scrape>,
    pub rules: Vec<PathBuf>,
    pub alertmanager: Option<SocketAddr>,
    /// Between two scrapes, and between two evaluations of the rules.
    pub interval: Duration,
}

/// A running Prometheus. Dropping it stops it.
#[derive(Debug)]
pub struct Prometheus(Server);

/// A running Alertmanager. Dropping it stops it.
#[derive(Debug)]
pub struct Alertmanager(Server);

/// One series of an answer, and its newest value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Value,
    pub value: f64,
}

impl Prometheus {
    pub fn start(options: &PrometheusOptions) -> Result<Self> {
        let program = program::PROMETHEUS.find()?;
        let millis = format!("{}ms", options.interval.as_millis());
        let scrape = |scrape: &Scrape| {
            json!({
                "job_name": scrape.job,
                "metrics_path": scrape.path,
                "static_configs": [{ "targets": [scrape.addr.to_string()] }],
            })
        };
        let managers = options
            .alertmanager
            .iter()
            .map(|addr| json!({ "static_configs": [{ "targets": [addr.to_string()] }] }));
        let config = json!({
            "global": { "scrape_interval": millis, "scrape_timeout": millis, "evaluation_interval": millis },
            "rule_files": options.rules,
            "scrape_configs": options.scrapes.iter().map(scrape).collect::<Vec<_>>(),
            "alerting": { "alertmanagers": managers.collect::<Vec<_>>() },
        });
        let server = Server::start(&program, &config, |addr, config, data| {
            let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
            vec![
                flag("config.file", config),
                flag("storage.tsdb.path", data),
                format!("--web.listen-address={addr}"),
                "--log.level=warn".to_owned(),
            ]
        })?;
        Ok(Self(server))
    }

    pub const fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// What an expression gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let answer = self.0.get_json(&path).with_context(|| expression.to_owned())?;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        let sample = |found: &Value| {
            let value = found.pointer("/value/1")?.as_str()?.parse().ok()?;
            Some(Sample { labels: found.get("metric")?.clone(), value })
        };
        Ok(result.into_iter().flatten().filter_map(sample).collect())
    }

    /// Alerts that are pending or firing.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        let answer = self.0.get_json("/api/v1/alerts")?;
        Ok(answer.pointer("/data/alerts").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// The rules, with how their last evaluation went.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.0.get_json("/api/v1/rules")?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let rules = groups.into_iter().flatten().filter_map(|group| group.get("rules")?.as_array());
        Ok(rules.flatten().cloned().collect())
    }

    pub fn log(&self) -> String {
        self.0.log()
    }
}

impl Alertmanager {
    /// It groups and shows, and hands alerts on to `webhook` if there is one.
    pub fn start(webhook: Option<SocketAddr>) -> Result<Self> {
        let program = program::ALERTMANAGER.find()?;
        let hooks =
            webhook.iter().map(|addr| json!({ "url": format!("http://{addr}/"), "send_resolved": true }));
        let config = json!({
            "route": {
                "receiver": "all", "group_by": ["alertname"],
                "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h",
            },
            "receivers": [{ "name": "all", "webhook_configs": hooks.collect::<Vec<_>>() }],
        });
        let server = Server::start(&program, &config, |addr, config, data| {
            let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
            vec![
                flag("config.file", config),
                flag("storage.path", data),
                format!("--web.listen-address={addr}"),
                // No other Alertmanager is looked for.
                "--cluster.listen-address=".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })?;
        Ok(Self(server))
    }

    pub const fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Alerts that it holds.
    pub fn alerts(&self) -> Result<Vec<Value>> {
        Ok(self.0.get_json("/api/v2/alerts")?.as_array().cloned().unwrap_or_default())
    }
}

#[derive(Debug)]
struct Server {
    child: Child,
    addr: SocketAddr,
    folder: TempDir,
}

impl Server {
    /// The configuration is written as JSON, which YAML is a superset of.
    fn start(
        program: &Path,
        config: &Value,
        flags: impl FnOnce(SocketAddr, &Path, &Path) -> Vec<String>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config.yml");
        fs::write(&file, config.to_string())?;
        let addr = free_addr()?;
        let log = fs::File::create(folder.path().join(LOG))?;
        let child = Command::new(program)
            .args(flags(addr, &file, &folder.path().join("data")))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let mut server = Self { child, addr, folder };
        server.wait_until_ready(program)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, program: &Path) -> Result<()> {
        let began = Instant::now();
        while self.get("/-/ready").is_err() {
            let has_ended = self.child.try_wait()?.is_some();
            if has_ended || began.elapsed() > READY_WITHIN {
                bail!("{} did not get ready:\n{}", program.display(), self.log());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String> {
        let saw = http1::exchange(self.addr, &Request::get(path), ANSWER_WITHIN)?.context("no answer")?;
        ensure!(saw.status == 200, "{path}: {} {}", saw.status, saw.text());
        Ok(saw.text())
    }

    fn get_json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.get(path)?)?)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOG: &str = "log";
const READY_WITHIN: Duration = Duration::from_secs(120);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
