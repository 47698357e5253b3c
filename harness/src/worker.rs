//! Hosts of JavaScript as child processes: workerd with a configuration of its own, and Node or another program with a script
//! that says where it listens. Both can have several servers in one process, each with a name.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::envoy::process;

/// A running host. Dropping it stops it.
#[derive(Debug)]
pub struct WorkerHost {
    child: Child,
    folder: TempDir,
    addrs: HashMap<String, SocketAddr>,
}

/// What one workerd runs.
#[derive(Clone, Debug, Default)]
pub struct Workerd {
    pub workers: Vec<Worker>,
    /// Servers elsewhere, by the names that bindings and `outbound` use.
    pub externals: Vec<(String, SocketAddr)>,
    /// The files that all workers have beside their own text: `.js` and `.wasm` of this folder.
    pub modules: PathBuf,
}

/// One server.
#[derive(Clone, Debug, Default)]
pub struct Worker {
    pub name: String,
    /// Its main module.
    pub script: String,
    /// Bindings to texts.
    pub texts: Vec<(String, String)>,
    /// Bindings to other servers.
    pub services: Vec<(String, String)>,
    /// Namespaces of keys and values, each with the server that it asks.
    pub stores: Vec<(String, String)>,
    /// Classes of durable objects by the names of their bindings, each with the worker that has it.
    pub objects: Vec<(String, String, String)>,
    /// Where `fetch` goes to.
    pub outbound: String,
    /// Further lines of its configuration, such as those of durable objects.
    pub more: String,
}

impl WorkerHost {
    pub fn workerd(binary: &Path, wanted: &Workerd) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = wanted.write(folder.path())?;
        let mut command = Command::new(binary);
        command.args(["serve", "--experimental", "--control-fd=1"]).arg(config);
        Self::start(command, folder, wanted.workers.len())
    }

    /// A program that writes `{"socket":NAME,"port":PORT}` for each of its servers, in lines, and ends with its standard input.
    pub fn script(mut command: Command, servers: usize, config: &Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("config.json");
        fs::write(&file, config.to_string())?;
        command.arg(file);
        Self::start(command, folder, servers)
    }

    fn start(mut command: Command, folder: TempDir, servers: usize) -> Result<Self> {
        let log = File::create(folder.path().join(LOG))?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(File::create(folder.path().join(SAID))?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        let mut host = Self { child, folder, addrs: HashMap::new() };
        let started = Instant::now();
        while host.addrs.len() < servers {
            if let Some(status) = host.child.try_wait()? {
                bail!("ended with {status} before it listened\n{}", host.log());
            }
            if started.elapsed() > READY_WITHIN {
                bail!(
                    "{} of {servers} servers listen after {READY_WITHIN:?}\n{}",
                    host.addrs.len(),
                    host.log()
                );
            }
            thread::sleep(Duration::from_millis(5));
            host.addrs = listening(&fs::read_to_string(host.folder.path().join(SAID))?);
        }
        Ok(host)
    }

    pub fn addr(&self, name: &str) -> Result<SocketAddr> {
        self.addrs.get(name).copied().with_context(|| format!("no server {name}"))
    }

    /// Everything that it has written to its standard error.
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join(LOG))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
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

impl Drop for WorkerHost {
    fn drop(&mut self) {
        process::stop(&mut self.child, Duration::from_secs(1));
    }
}

const LOG: &str = "stderr";
const SAID: &str = "stdout";
const READY_WITHIN: Duration = Duration::from_secs(180);

fn listening(said: &str) -> HashMap<String, SocketAddr> {
    let one = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let port = u16::try_from(value.get("port")?.as_u64()?).ok()?;
        Some((value.get("socket")?.as_str()?.to_owned(), SocketAddr::from(([127, 0, 0, 1], port))))
    };
    said.lines().filter_map(one).collect()
}

impl Workerd {
    /// In the language of Cap'n Proto; what is long lies in files beside it.
    fn write(&self, folder: &Path) -> Result<PathBuf> {
        let mut shared = String::new();
        for entry in fs::read_dir(&self.modules).with_context(|| self.modules.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kind = match path.extension().and_then(|extension| extension.to_str()) {
                Some("js") => "esModule",
                Some("wasm") => "wasm",
                _ => continue,
            };
            fs::copy(&path, folder.join(&name))?;
            write!(shared, ", (name = \"{name}\", {kind} = embed \"{name}\")")?;
        }
        let mut services = String::new();
        let mut sockets = String::new();
        for (idx, worker) in self.workers.iter().enumerate() {
            let main = format!("worker-{idx}.js");
            fs::write(folder.join(&main), &worker.script)?;
            let mut bindings = String::new();
            for (n, (name, text)) in worker.texts.iter().enumerate() {
                let file = format!("text-{idx}-{n}");
                fs::write(folder.join(&file), text)?;
                write!(bindings, "(name = \"{name}\", text = embed \"{file}\"), ")?;
            }
            for (name, service) in &worker.services {
                write!(bindings, "(name = \"{name}\", service = \"{service}\"), ")?;
            }
            for (name, service) in &worker.stores {
                write!(bindings, "(name = \"{name}\", kvNamespace = \"{service}\"), ")?;
            }
            for (name, class, service) in &worker.objects {
                let place = format!("(className = \"{class}\", serviceName = \"{service}\")");
                write!(bindings, "(name = \"{name}\", durableObjectNamespace = {place}), ")?;
            }
            let Worker { name, outbound, more, .. } = worker;
            writeln!(
                services,
                "    (name = \"{name}\", worker = (modules = [(name = \"{main}\", esModule = embed \"{main}\"){shared}], \
                 compatibilityDate = \"{COMPATIBLE_WITH}\", compatibilityFlags = [\"enable_request_signal\"], bindings = [{bindings}], globalOutbound = \"{outbound}\"{more})),"
            )?;
            writeln!(
                sockets,
                "    (name = \"{name}\", address = \"127.0.0.1:0\", http = (), service = \"{name}\"),"
            )?;
        }
        for (name, addr) in &self.externals {
            writeln!(services, "    (name = \"{name}\", external = (address = \"{addr}\", http = ())),")?;
        }
        let text = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (\n  services = [\n{services}  ],\n  \
             sockets = [\n{sockets}  ],\n);\n"
        );
        let file = folder.join("config.capnp");
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// What workerd does as it did then.
const COMPATIBLE_WITH: &str = "2026-06-01";
