//! The built collector as a child process.

use std::{
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sentinel_harness::{envoy::free_port, http1, wire::Request};

const DEADLINE: Duration = Duration::from_secs(20);

/// On a fresh database; stopped when it is dropped.
pub(crate) struct Collector {
    child: Child,
    pub(crate) addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl Collector {
    pub(crate) fn start(sentinel: &Path, token: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let child = Command::new(sentinel)
            .args(["serve", "--listen", &addr.to_string(), "--open-metrics", "--database"])
            .arg(folder.path().join("sentinel.db"))
            .env("SENTINEL_TOKENS", token)
            .env("SENTINEL_LOG", "warn")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", sentinel.display()))?;
        let mut collector = Self { child, addr, folder };
        collector.wait_until_ready()?;
        Ok(collector)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("sentinel.db")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let ready = Request::get("/health/ready");
        loop {
            let answer = http1::exchange(self.addr, &ready, Duration::from_secs(2)).ok().flatten();
            if answer.is_some_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if Instant::now() > until || self.child.try_wait()?.is_some() {
                let _ = self.child.kill();
                let mut log = String::new();
                if let Some(stderr) = &mut self.child.stderr {
                    stderr.read_to_string(&mut log)?;
                }
                bail!("the collector did not start:\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
