//! Two Envoys, a collector, and the command in the hands of an operator.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions, free_port},
    http1,
    upstream::Upstream,
    wire::{Request, Response},
};
use sentinel_tests::{command::built_command, engine::built_filter};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PROXIES: [&str; 2] = ["edge-1", "edge-2"];

const FILTER_TOKEN: &str = "token-of-filters";
const ADMIN_TOKEN: &str = "token-of-administrators";
const WITHIN: Duration = Duration::from_secs(30);
const EVENTS_ON_A_PAGE: usize = 1_000;

pub(crate) struct Site {
    pub(crate) envoys: [Envoy; 2],
    _upstream: Upstream,
    collector: Collector,
    folder: TempDir,
}

/// `sentinel serve`; it ends with the test.
struct Collector {
    child: Child,
    addr: SocketAddr,
    folder: PathBuf,
    keys: [String; 2],
}

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

impl Site {
    /// Each proxy trusts a key of its own, as in the middle of a change of keys.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), ADMIN_TOKEN).unwrap();
        let keys = ["one.key", "two.key"].map(|key| {
            sentinel(folder.path(), &format!("bundle keygen --out {key}"));
            fs::read_to_string(folder.path().join(format!("{key}.pub"))).unwrap().trim().to_owned()
        });
        let collector = Collector::start(folder.path(), keys.clone());
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
                Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.addr);
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
        sentinel(self.folder.path(), command)
    }

    /// One that speaks to the collector.
    #[track_caller]
    pub(crate) fn operate(&self, command: &str) -> Value {
        let addr = self.collector.addr;
        self.sentinel(&format!("bundle {command} --collector http://{addr} --token-file token"))
    }

    pub(crate) const fn collector_addr(&self) -> SocketAddr {
        self.collector.addr
    }

    /// Stops the collector as an operator does, and starts it again where it was.
    pub(crate) fn restart_collector(&mut self) {
        self.collector.restart();
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.collector.get(path).unwrap()
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

#[track_caller]
fn sentinel(folder: &Path, command: &str) -> Value {
    let output = Command::new(built_command().unwrap())
        .arg("--json")
        .args(command.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Collector {
    fn start(folder: &Path, keys: [String; 2]) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let child = serve(folder, addr, &keys);
        let mut collector = Self { child, addr, folder: folder.to_owned(), keys };
        collector.wait_until_ready();
        collector
    }

    fn restart(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "it stops with an error");
        self.child = serve(&self.folder, self.addr, &self.keys);
        self.wait_until_ready();
    }

    fn get(&self, path: &str) -> Option<String> {
        let request = Request::get(path).with_header("authorization", format!("Bearer {ADMIN_TOKEN}"));
        let saw = http1::exchange(self.addr, &request, WITHIN).ok()??;
        (saw.status == 200).then(|| saw.text())
    }

    fn wait_until_ready(&mut self) {
        until("the collector", || {
            assert_eq!(self.child.try_wait().unwrap(), None, "it has ended");
            self.get("/health/ready")
        });
    }
}

fn serve(folder: &Path, addr: SocketAddr, keys: &[String]) -> Child {
    Command::new(built_command().unwrap())
        .args(["serve", "--listen", &addr.to_string(), "--database", "events.db"])
        .current_dir(folder)
        .env("SENTINEL_TOKENS", FILTER_TOKEN)
        .env("SENTINEL_ADMIN_TOKENS", ADMIN_TOKEN)
        .env("SENTINEL_TRUST_KEYS", keys.join(","))
        .env("SENTINEL_LOG", "warn")
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
