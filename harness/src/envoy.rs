//! A real Envoy as a child process, and where to get one.

mod install;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

pub use self::install::find;
use crate::bootstrap::Bootstrap;
use crate::http1;
use crate::wire::Request;

/// Write `EnvoyOptions { concurrency: 2, ..EnvoyOptions::new(bootstrap) }`.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    /// YAML or JSON. Listeners may ask for port 0.
    pub bootstrap_yaml: String,
    pub concurrency: u32,
    /// As `--log-level` takes it; `wasm:debug` and the like as component levels.
    pub log_level: String,
    pub component_log_level: Option<String>,
    /// How long the start may take: a module of 1 MB can keep V8's compiler busy for many seconds.
    pub ready_within: Duration,
}

/// A running Envoy. Dropping it stops it: SIGTERM, then SIGKILL.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    folder: TempDir,
}

/// What `envoy --mode validate` said and cost.
#[derive(Clone, Debug)]
pub struct ValidateReport {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
    pub user_cpu: Duration,
    pub peak_rss: u64,
}

/// Loads a bootstrap as far as to instantiate and configure its wasm filters, and exits.
pub fn validate(bootstrap: &Bootstrap) -> Result<ValidateReport> {
    validate_text(&bootstrap.to_json().to_string())
}

pub fn validate_text(bootstrap_yaml: &str) -> Result<ValidateReport> {
    let folder = tempfile::tempdir()?;
    let config = write_bootstrap(folder.path(), bootstrap_yaml)?;
    let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let mut child = Command::new(find()?)
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "-c"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&stdout)?)
        .stderr(fs::File::create(&stderr)?)
        .spawn()?;
    let usage = process::watch_to_exit(&mut child, Duration::from_secs(300))?;
    Ok(ValidateReport {
        ok: usage.status.success(),
        stdout: read_lossy(&stdout)?,
        stderr: read_lossy(&stderr)?,
        user_cpu: usage.user_cpu,
        peak_rss: usage.peak_rss,
    })
}

impl EnvoyOptions {
    pub fn new(bootstrap: &Bootstrap) -> Self {
        Self {
            bootstrap_yaml: bootstrap.to_json().to_string(),
            concurrency: 1,
            log_level: "warning".to_owned(),
            component_log_level: None,
            ready_within: Duration::from_secs(300),
        }
    }
}

impl Envoy {
    /// Starts Envoy and waits until it serves; an error has the end of its log.
    pub fn start(options: &EnvoyOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = write_bootstrap(folder.path(), &options.bootstrap_yaml)?;
        let log = fs::File::create(folder.path().join(LOG))?;
        let mut command = Command::new(find()?);
        command
            .args(["--disable-hot-restart", "--file-flush-interval-msec", "20", "--log-level"])
            .arg(&options.log_level)
            .args(["--concurrency", &options.concurrency.to_string(), "--admin-address-path"])
            .arg(folder.path().join(ADMIN))
            .arg("-c")
            .arg(&config);
        if let Some(level) = &options.component_log_level {
            command.args(["--component-log-level", level]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start Envoy")?;
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self { child, admin: unknown, folder };
        envoy.wait_until_ready(options.ready_within)?;
        Ok(envoy)
    }

    /// Starts with the defaults of [`EnvoyOptions::new`].
    pub fn run(bootstrap: &Bootstrap) -> Result<Self> {
        Self::start(&EnvoyOptions::new(bootstrap))
    }

    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The address that a listener has, by its name.
    pub fn addr(&self, listener: &str) -> Result<SocketAddr> {
        let text = self.admin_get("/listeners")?;
        let prefix = format!("{listener}::");
        let found = text.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        found
            .with_context(|| format!("no listener {listener} in {text:?}"))?
            .trim()
            .parse()
            .context("address")
    }

    /// Counters and gauges whose names the regex matches; an empty regex matches all.
    pub fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.admin_get(&format!("/stats?filter={}", percent_encoded(filter)))?;
        let pairs = text.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    pub fn prometheus(&self) -> Result<String> {
        self.admin_get("/stats/prometheus")
    }

    /// GET on the admin port.
    pub fn admin_get(&self, path: &str) -> Result<String> {
        let saw = http1::exchange(self.admin, &Request::get(path), ADMIN_WITHIN)?
            .with_context(|| format!("no answer from the admin port to {path}"))?;
        if saw.status != 200 {
            bail!("{path}: {} {}", saw.status, saw.text());
        }
        Ok(saw.text())
    }

    /// User and system time so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        let times = process::cpu_times(self.child.id())?;
        Ok(times.user + times.system)
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        process::memory(self.child.id(), "VmRSS")
    }

    /// Everything that Envoy has written to its log.
    pub fn log(&self) -> String {
        read_lossy(&self.folder.path().join(LOG)).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self, within: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("Envoy ended with {status} before it was ready")));
            }
            if self.ready() {
                return Ok(());
            }
            if started.elapsed() > within {
                return Err(self.failed(&format!("Envoy was not ready within {within:?}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn ready(&mut self) -> bool {
        let Ok(written) = fs::read_to_string(self.folder.path().join(ADMIN)) else { return false };
        let Ok(admin) = written.trim().parse() else { return false };
        self.admin = admin;
        self.admin_get("/ready").is_ok_and(|text| text.trim() == "LIVE")
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(20)).copied().collect::<Vec<_>>().join("\n");
        anyhow!("{what}; its log ends with:\n{last}")
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        process::stop(&mut self.child, Duration::from_secs(3));
    }
}

const LOG: &str = "envoy.log";
const ADMIN: &str = "admin";
/// Whoever compiles a new filter answers nobody meanwhile.
const ADMIN_WITHIN: Duration = Duration::from_secs(120);

fn write_bootstrap(folder: &Path, text: &str) -> Result<PathBuf> {
    let json = text.trim_start().starts_with('{');
    let path = folder.join(if json { "bootstrap.json" } else { "bootstrap.yaml" });
    fs::write(&path, text)?;
    Ok(path)
}

fn read_lossy(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

pub(crate) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
