//! The clients that people use, as they are installed, through a real Envoy with the built filter: the `openai`,
//! `anthropic` and `mcp` packages of Python. The scenarios and what they expect are in `clients/*.py`; here is what
//! they talk to, and the verdict on what they report.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]
#![expect(clippy::string_slice, reason = "the script says ASCII only")]

mod anthropic;
mod openai;
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use sentinel_harness::{
    bootstrap::{Bootstrap, Listener, WasmFilter},
    envoy::Envoy,
    python::{Python, Server},
    upstream::Upstream,
    wire::{Response, UpstreamSaw},
};
use sentinel_tests::{engine::built_filter, folder};
use serde::Deserialize;
use serde_json::{Value, json};

/// Scenarios of what the filter does not do yet. Each must fail; whoever mends it takes it out.
const NOT_YET: &[&str] = &[];

/// How long a client may take for all of its scenarios.
const WITHIN: Duration = Duration::from_secs(400);

/// What a client says about one scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    scenario: String,
    outcome: Outcome,
    #[serde(default)]
    why: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
}

/// One Envoy for all clients, with a listener for each policy and upstream.
struct Site {
    envoy: Envoy,
    upstream: Upstream,
    mcp: Server,
    python: Python,
}

/// Shared by the tests that run at the same time; the last one to end stops it.
static SITE: Mutex<Weak<Site>> = Mutex::new(Weak::new());

const MASKS: &str = "masks";
const REFUSES: &str = "refuses";
const MCP: &str = "mcp";

impl Site {
    fn shared() -> Arc<Self> {
        let mut shared = SITE.lock().unwrap();
        if let Some(site) = shared.upgrade() {
            return site;
        }
        let site = Arc::new(Self::start());
        *shared = Arc::downgrade(&site);
        site
    }

    fn start() -> Self {
        let python = Python::with(&clients().join("requirements.txt")).unwrap();
        let mcp = python.serve(&clients().join("mcp_server.py"), NO_ARGS, WITHIN).unwrap();
        let upstream = Upstream::start(answer).unwrap();
        let mut bootstrap = Bootstrap::new(upstream.addr(), None).with_cluster(MCP, mcp.addr());
        bootstrap.listeners = vec![
            listener(MASKS, &json!({})),
            listener(
                REFUSES,
                &json!({"policy": {"profiles": {"default": {"rules": {"pii/card": "block"}}}}}),
            ),
            Listener { cluster: MCP.to_owned(), ..listener(MCP, &json!({})) },
        ];
        Self { envoy: Envoy::run(&bootstrap).unwrap(), upstream, mcp, python }
    }

    fn url(&self, listener: &str) -> String {
        format!("http://{}", self.envoy.addr(listener).unwrap())
    }

    /// Runs a client and compares what it reports with what is known.
    fn run(&self, client: &str, listeners: &[&str]) {
        let script = clients().join(format!("{client}_client.py"));
        let urls = listeners.iter().map(|listener| self.url(listener));
        let finished = self.python.run(&script, urls, WITHIN).unwrap();
        let (stdout, stderr) = (&finished.stdout, &finished.stderr);
        assert!(finished.status.success(), "{}\n{stdout}{stderr}", finished.status);
        let reports: Vec<Report> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!reports.is_empty(), "no scenario ran\n{stderr}");
        let mut wrong = Vec::new();
        let not_yet: BTreeSet<&str> =
            NOT_YET.iter().filter_map(|name| name.strip_prefix(client)?.strip_prefix("::")).collect();
        let outcomes: BTreeMap<&str, &Report> =
            reports.iter().map(|report| (report.scenario.as_str(), report)).collect();
        for (name, report) in &outcomes {
            match (&report.outcome, not_yet.contains(name)) {
                (Outcome::Passed, false) | (Outcome::Failed, true) => {}
                (Outcome::Passed, true) => {
                    wrong.push(format!("{client}::{name} passes; take it out of NOT_YET"))
                }
                (Outcome::Failed, false) => wrong.push(format!("{client}::{name} at {}", report.why)),
            }
        }
        let unknown = not_yet.iter().filter(|name| !outcomes.contains_key(*name));
        wrong.extend(unknown.map(|name| format!("{client}::{name} is in NOT_YET and no scenario")));
        assert!(
            wrong.is_empty(),
            "{} of {} scenarios:\n{}\n{stderr}\nEnvoy: {}\nMCP server: {}",
            wrong.len(),
            reports.len(),
            wrong.join("\n"),
            self.envoy.log(),
            self.mcp.log(),
        );
        println!("{client}: {} scenarios, {} not yet", reports.len(), not_yet.len());
    }
}

const NO_ARGS: [&str; 0] = [];

fn clients() -> PathBuf {
    folder().join("clients")
}

fn listener(name: &str, config: &Value) -> Listener {
    Listener::new(name, Some(WasmFilter::new(built_filter().unwrap(), config.to_string())))
}

fn answer(saw: &UpstreamSaw) -> Response {
    let none = || Response::new(404, format!("{} {}", saw.method, saw.path));
    openai::answer(saw).or_else(|| anthropic::answer(saw)).unwrap_or_else(none)
}

/// No provider ever gets a card number, nor an attack.
fn nothing_leaked(upstream: &Upstream) {
    let requests = upstream.requests();
    assert!(!requests.is_empty());
    for saw in requests {
        let body = saw.text();
        assert!(!body.contains("4111") && !body.contains("Ignore all"), "{} {body}", saw.path);
        assert_eq!(saw.header("accept-encoding"), None, "answers would come back unreadable");
    }
}

#[test]
fn openai_client() {
    let site = Site::shared();
    site.run("openai", &[MASKS, REFUSES]);
    nothing_leaked(&site.upstream);
}

#[test]
fn anthropic_client() {
    let site = Site::shared();
    site.run("anthropic", &[MASKS, REFUSES]);
    nothing_leaked(&site.upstream);
}

#[test]
fn mcp_client() {
    Site::shared().run("mcp", &[MCP]);
}
