//! The built collector as a child process.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sentinel_harness::{http1, port::free_addr, wire::Request};

const DEADLINE: Duration = Duration::from_secs(120);

/// On a fresh database; stopped when it is dropped.
pub(crate) struct Collector {
    child: Child,
    pub(crate) addr: SocketAddr,
    folder: tempfile::TempDir,
    log: Log,
    /// Of the log; it ends with the process.
    reader: Option<JoinHandle<()>>,
}

/// What it writes to standard error, its last lines at least.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Collector {
    pub(crate) fn start(sentinel: &Path, token: &str) -> Result<Self> {
        Self::start_on(sentinel, token, None)
    }

    /// On the PostgreSQL of this URL, or else on a file.
    pub(crate) fn start_on(sentinel: &Path, token: &str, database: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("sentinel.db");
        let addr = free_addr()?;
        let mut child = Command::new(sentinel)
            .args(["serve", "--listen", &addr.to_string(), "--open-metrics", "--database"])
            .arg(database.map_or(file.as_os_str(), OsStr::new))
            .arg("--key-file")
            .arg(folder.path().join("sentinel.keys"))
            .env("SENTINEL_TOKENS", token)
            .env("SENTINEL_LOG", "warn")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", sentinel.display()))?;
        let log = Log::default();
        let reader = child.stderr.take().map(|stderr| log.follow(stderr));
        let mut collector = Self { child, addr, folder, log, reader };
        collector.wait_until_ready()?;
        Ok(collector)
    }

    /// Ends it as an operator does; the folder has what it leaves.
    pub(crate) fn stop(mut self) -> Result<tempfile::TempDir> {
        let sent = Command::new("kill").arg(self.pid().to_string()).status()?;
        if !sent.success() {
            bail!("the collector had ended");
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the collector ended with {status}");
        }
        Ok(std::mem::replace(&mut self.folder, tempfile::tempdir()?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the start has printed for the first admin: it signs in once.
    pub(crate) fn first_token(&self) -> Option<String> {
        self.log.find(|line| line.trim().starts_with(FIRST_TOKEN)).map(|line| line.trim().to_owned())
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
                if let Some(reader) = self.reader.take() {
                    let _ = reader.join();
                }
                bail!("the collector did not start:\n{}", self.log.text());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Log {
    /// Until the process ends, so that it never waits for somebody to read.
    fn follow(&self, stderr: ChildStderr) -> JoinHandle<()> {
        let lines = Arc::clone(&self.0);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LINES_MAX {
                    lines.remove(0);
                }
                lines.push(line);
            }
        })
    }

    fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|line| wanted(line)).cloned()
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

/// How tokens for a first admin begin.
const FIRST_TOKEN: &str = "sb_";
const LINES_MAX: usize = 1_000;

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
