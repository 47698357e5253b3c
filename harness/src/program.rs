//! Programs that somebody else packages and the tests run: where they are, and how to get one that is not there.

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};

/// One that may have several names, the upstream's before Debian's.
#[derive(Debug)]
pub struct Program {
    names: &'static [&'static str],
    /// Of the environment: it may name another file.
    variable: &'static str,
    /// What Debian calls the package.
    pub package: &'static str,
}

pub static ALERTMANAGER: Program =
    Program::new(&["alertmanager", "prometheus-alertmanager"], "ALERTMANAGER", "prometheus-alertmanager");
pub static CHROMEDRIVER: Program = Program::new(&["chromedriver"], "CHROMEDRIVER", "chromium-driver");
pub static CHROMIUM: Program = Program::new(
    &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    "CHROMIUM",
    "chromium",
);
pub static PROMETHEUS: Program = Program::new(&["prometheus"], "PROMETHEUS", "prometheus");
pub static PROMTOOL: Program = Program::new(&["promtool"], "PROMTOOL", "prometheus");
pub static REDIS: Program = Program::new(&["redis-server"], "REDIS_SERVER", "redis-server");

impl Program {
    const fn new(names: &'static [&'static str], variable: &'static str, package: &'static str) -> Self {
        Self { names, variable, package }
    }

    /// An error says what to install.
    pub fn find(&self) -> Result<PathBuf> {
        self.given().or_else(|| self.in_path()).with_context(|| {
            format!(
                "no {} in ${} or PATH; install it with: apt-get install {}",
                self.names.join(" or "),
                self.variable,
                self.package
            )
        })
    }

    pub fn is_there(&self) -> bool {
        self.find().is_ok()
    }

    fn given(&self) -> Option<PathBuf> {
        let given = env::var_os(self.variable).filter(|given| !given.is_empty())?;
        Some(PathBuf::from(given)).filter(|given| given.is_file())
    }

    fn in_path(&self) -> Option<PathBuf> {
        let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
        let files = self.names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        files.into_iter().find(|file| file.is_file())
    }
}

/// Without what a test needs it has nothing to do, which a line says that no test runner captures; with `CI` set that is
/// a failure.
pub fn or_skip<T>(found: Result<T>) -> Option<T> {
    if let Err(why) = &found {
        assert!(env::var_os("CI").is_none(), "{why:#}");
        // The test runner names its threads after the tests.
        let thread = thread::current();
        let _ = writeln!(io::stderr(), "SKIPPED: {}: {why:#}", thread.name().unwrap_or("a test"));
    }
    found.ok()
}
