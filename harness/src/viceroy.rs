//! Viceroy, the local host of programs for Fastly Compute, as a child process with one service.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, iter};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::envoy::process;
use crate::install;

/// The one that has the calls of the SDK which `edge/compute` names.
const VERSION: &str = "0.22.0";
/// So many requests one instance of a program has at most; the next one is another's.
pub const REQUESTS_OF_AN_INSTANCE: usize = 6;

/// `$VICEROY`, or the one that was built before.
pub fn find() -> Result<PathBuf> {
    if let Some(given) = env::var_os("VICEROY").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        if !given.is_file() {
            bail!("VICEROY is set to {}, which is not a file", given.display());
        }
        return Ok(given);
    }
    let binary = home().join("bin/viceroy");
    if !binary.is_file() {
        bail!(
            "there is no Viceroy {VERSION}: set VICEROY to its binary, or have it built with: {HOW_TO_BUILD}"
        );
    }
    Ok(binary)
}

/// Builds it from source where there is none, and keeps it in the target folder for all later runs.
pub fn build() -> Result<PathBuf> {
    if find().is_err() {
        install::once(&home(), compiled)?;
    }
    find()
}

const HOW_TO_BUILD: &str = "cargo xtask build --viceroy";

fn home() -> PathBuf {
    install::target_folder().join("viceroy").join(VERSION)
}

fn compiled(into: &Path) -> Result<()> {
    eprintln!("building Viceroy {VERSION} from source (several minutes to half an hour, once)");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["install", "viceroy", "--locked", "--no-track", "--version", VERSION, "--root"]).arg(into);
    // Outside of what an installation that fails takes along: the next one goes on from there.
    let build = install::target_folder().join("viceroy-build");
    cargo.arg("--target-dir").arg(&build);
    install::run(
        &mut cargo,
        "Give cargo access to a registry of crates, and install cmake and a compiler of C",
    )?;
    Ok(fs::remove_dir_all(build)?)
}

/// What a service has beside its program.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub module: PathBuf,
    pub backends: Vec<(String, SocketAddr)>,
    /// Of a config store: the store, the key, the value.
    pub texts: Vec<(String, String, String)>,
    pub secrets: Vec<(String, String, String)>,
    /// Of a KV store.
    pub values: Vec<(String, String, Vec<u8>)>,
}

/// A running Viceroy. Dropping it stops it.
#[derive(Debug)]
pub struct Viceroy {
    child: Child,
    folder: TempDir,
    addr: SocketAddr,
}

impl Viceroy {
    pub fn start(binary: &Path, service: &Service) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = service.write(folder.path())?;
        let log = File::create(folder.path().join(LOG))?;
        let mut child = Command::new(binary)
            // What the service says stands in the log beside what Viceroy says.
            .args(["serve", "-v", "--log-stderr", "--log-stdout", "--addr", "127.0.0.1:0", "--config"])
            .arg(config)
            .arg(&service.module)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        match listening(&mut child, &folder.path().join(LOG)) {
            Ok(addr) => Ok(Self { child, folder, addr }),
            Err(error) => {
                process::stop(&mut child, Duration::ZERO);
                Err(error)
            }
        }
    }

    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Everything that it and the service have said.
    pub fn log(&self) -> String {
        read(&self.folder.path().join(LOG))
    }

    /// User and system time so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        let times = process::cpu_times(self.child.id())?;
        Ok(times.user + times.system)
    }

    pub fn rss_bytes(&self) -> Result<u64> {
        process::memory(self.child.id(), "VmRSS")
    }
}

impl Drop for Viceroy {
    fn drop(&mut self) {
        process::stop(&mut self.child, Duration::ZERO);
    }
}

const LOG: &str = "log";
/// It compiles the program before it listens.
const READY_WITHIN: Duration = Duration::from_secs(180);

fn listening(child: &mut Child, log: &Path) -> Result<SocketAddr> {
    const SAYS: &str = "Listening on http://";
    let started = Instant::now();
    loop {
        let said = read(log);
        let addr = said.split_once(SAYS).and_then(|(_, rest)| rest.split_once('\n')?.0.trim().parse().ok());
        if let Some(addr) = addr {
            return Ok(addr);
        }
        if let Some(status) = child.try_wait()? {
            bail!("Viceroy ended with {status} before it listened\n{said}");
        }
        if started.elapsed() > READY_WITHIN {
            bail!("Viceroy does not listen after {READY_WITHIN:?}\n{said}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn read(log: &Path) -> String {
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

impl Service {
    /// As a `fastly.toml`.
    fn write(&self, folder: &Path) -> Result<PathBuf> {
        let mut text = "manifest_version = 3\nname = \"test\"\nlanguage = \"rust\"\n".to_owned();
        for (name, addr) in &self.backends {
            writeln!(text, "[local_server.backends.{name}]\nurl = \"http://{addr}\"")?;
        }
        for (store, items) in by_store(&self.texts) {
            writeln!(text, "[local_server.config_stores.{store}]\nformat = \"inline-toml\"")?;
            writeln!(text, "[local_server.config_stores.{store}.contents]")?;
            for (key, value) in items {
                writeln!(text, "{key} = {}", quoted(value))?;
            }
        }
        for (store, items) in by_store(&self.secrets) {
            for (key, value) in items {
                writeln!(
                    text,
                    "[[local_server.secret_stores.{store}]]\nkey = \"{key}\"\ndata = {}",
                    quoted(value)
                )?;
            }
        }
        for (idx, (store, items)) in by_store(&self.values).enumerate() {
            for (key, value) in items {
                let file = folder.join(format!("value-{idx}-{key}"));
                fs::write(&file, value)?;
                let file = quoted(&file.to_string_lossy());
                writeln!(text, "[[local_server.kv_stores.{store}]]\nkey = \"{key}\"\nfile = {file}")?;
            }
        }
        let file = folder.join("fastly.toml");
        fs::write(&file, text)?;
        Ok(file)
    }
}

fn by_store<T>(items: &[(String, String, T)]) -> impl Iterator<Item = (&str, Vec<(&str, &T)>)> {
    let mut left = items;
    iter::from_fn(move || {
        let (store, ..) = left.first()?;
        let n = left.iter().take_while(|(other, ..)| other == store).count();
        let (these, rest) = left.split_at_checked(n)?;
        left = rest;
        Some((store.as_str(), these.iter().map(|(_, key, value)| (key.as_str(), value)).collect()))
    })
}

/// What JSON escapes, TOML reads the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
