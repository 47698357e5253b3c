//! `sentinel serve` as a child of a test, and the command in the hands of who operates it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use sentinel_harness::{http1, port::free_addr, wire::Request};
use serde_json::Value;

use crate::command::built_command;

pub const FILTER_TOKEN: &str = "token-of-filters";
pub const ADMIN_TOKEN: &str = "token-of-administrators";

const READY_WITHIN: Duration = Duration::from_secs(180);
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// It ends with the test.
#[derive(Debug)]
pub struct Collector {
    child: Option<Child>,
    addr: SocketAddr,
    folder: PathBuf,
    more: Vec<(String, String)>,
}

impl Collector {
    /// Not started yet. Its database is in the folder, and the administrator's token in the file `token` there.
    pub fn new(folder: &Path, trust_keys: &[String]) -> Result<Self> {
        fs::write(folder.join("token"), ADMIN_TOKEN)?;
        let keys = ("SENTINEL_TRUST_KEYS".to_owned(), trust_keys.join(","));
        let more = if trust_keys.is_empty() { Vec::new() } else { vec![keys] };
        let addr = free_addr()?;
        Ok(Self { child: None, addr, folder: folder.to_owned(), more })
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.more.push((name.to_owned(), value.into()));
        self
    }

    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it was before, if it was.
    pub fn start(&mut self) -> Result<()> {
        let child = Command::new(built_command()?)
            .args(["serve", "--listen", &self.addr.to_string(), "--database", "events.db", "--open-metrics"])
            .current_dir(&self.folder)
            .env("SENTINEL_TOKENS", FILTER_TOKEN)
            .env("SENTINEL_ADMIN_TOKENS", ADMIN_TOKEN)
            .env("SENTINEL_LOG", "warn")
            .envs(self.more.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .spawn()
            .context("start the collector")?;
        let child = self.child.insert(child);
        let began = Instant::now();
        while get(self.addr, "/health/ready").is_none() {
            if let Some(status) = child.try_wait()? {
                bail!("the collector has ended with {status}");
            }
            ensure!(began.elapsed() < READY_WITHIN, "the collector is not ready within {READY_WITHIN:?}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// As an operator does.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("it does not run")?;
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
        ensure!(asked.success(), "the collector had ended");
        let status = child.wait()?;
        ensure!(status.success(), "the collector ended with {status}");
        Ok(())
    }

    /// At once, as a machine goes away.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What an administrator is answered, if it is 200.
    pub fn get(&self, path: &str) -> Option<String> {
        get(self.addr, path)
    }

    /// A command that speaks to it, and has to succeed.
    pub fn operate(&self, command: &str) -> Result<Value> {
        sentinel(&self.folder, &format!("{command} --collector http://{} --token-file token", self.addr))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

fn get(addr: SocketAddr, path: &str) -> Option<String> {
    let request = Request::get(path).with_header("authorization", format!("Bearer {ADMIN_TOKEN}"));
    let saw = http1::exchange(addr, &request, ANSWERS_WITHIN).ok()??;
    (saw.status == 200).then(|| saw.text())
}

/// A command that has to succeed, run in a folder; what it reports.
pub fn sentinel(folder: &Path, command: &str) -> Result<Value> {
    let output = Command::new(built_command()?)
        .arg("--json")
        .args(command.split_whitespace())
        .current_dir(folder)
        .output()?;
    ensure!(output.status.success(), "{command}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}
