//! A real PostgreSQL with data of its own, which can be stopped, killed and started again.
//!
//! It listens on a free port of 127.0.0.1 and on a socket in its folder, and trusts whoever comes there. The folder is
//! gone with the handle, and the server ends with this process, however that ends. It refuses to run as root; root
//! starts it as the user `postgres` or `nobody`.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::port::free_addr;

/// Write `PostgresOptions { fsync: true, ..PostgresOptions::default() }`.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Whether what was committed survives a crash of the machine. A killed server keeps it either way.
    pub fsync: bool,
    /// Further settings, as `postgres -c` takes them.
    pub settings: Vec<(String, String)>,
}

/// A running server. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    programs: Programs,
    options: PostgresOptions,
    port: u16,
    /// `None` while it is stopped.
    child: Option<Child>,
    n_databases: AtomicU32,
    folder: TempDir,
}

/// Where the programs are, and as whom they run.
#[derive(Clone, Debug)]
struct Programs {
    folder: PathBuf,
    /// User and group, if this process is root.
    user: Option<(u32, u32)>,
}

/// Where its programs are; an error says what to install.
pub fn find() -> Result<PathBuf> {
    Ok(Programs::find()?.folder)
}

/// What Debian calls it.
pub const PACKAGE: &str = "postgresql";

impl Postgres {
    /// Makes a new cluster and starts it; an error has the end of its log.
    pub fn start(options: PostgresOptions) -> Result<Self> {
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("sentinel-postgres-").tempdir()?;
        programs.give(folder.path())?;
        let data = folder.path().join(DATA);
        let mut initdb = programs.command("initdb");
        initdb.args([
            "--username",
            USER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
        ]);
        let made = initdb.arg("--pgdata").arg(&data).output().context("start initdb")?;
        if !made.status.success() {
            bail!("initdb: {}\n{}", made.status, String::from_utf8_lossy(&made.stderr));
        }
        let port = free_addr()?.port();
        let n_databases = AtomicU32::new(0);
        let mut server = Self { programs, options, port, child: None, n_databases, folder };
        server.start_again()?;
        Ok(server)
    }

    /// The URL of a new database with nothing in it.
    pub fn database(&self) -> Result<String> {
        let name = format!("sentinel_{}", self.n_databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port))
    }

    /// What `psql` prints for some SQL: rows, with `|` between columns.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let output = self
            .programs
            .command("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"])
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", USER])
            .args(["--dbname", database, "--command", sql])
            .output()
            .context("start psql")?;
        if !output.status.success() {
            bail!("psql: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// The process of the server itself.
    pub fn pid(&self) -> Result<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).context("it is stopped")?;
        Ok(file.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// Ends it as an operator does, with every session.
    pub fn stop(&mut self) -> Result<()> {
        self.end("-INT")
    }

    /// Ends it as a crash does: it has to recover at its next start.
    pub fn kill(&mut self) -> Result<()> {
        self.end("-QUIT")
    }

    /// On the same port, with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        let fsync = if self.options.fsync { "fsync=on" } else { "fsync=off" };
        let mut command = self.programs.shell(WITH_US);
        command.arg(self.programs.folder.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", fsync]);
        for (name, value) in &self.options.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("start postgres")?;
        self.child = Some(child);
        self.wait()
    }

    /// Everything that it has written to its log.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let child = self.child.as_mut().context("it is stopped")?;
            if let Some(status) = child.try_wait()? {
                bail!("postgres ended with {status} before it was ready\n{}", self.log());
            }
            match self.sql("postgres", "SELECT 1") {
                Ok(_) => return Ok(()),
                Err(_) if started.elapsed() < READY_WITHIN => thread::sleep(Duration::from_millis(20)),
                Err(error) => bail!("not ready within {READY_WITHIN:?}: {error}\n{}", self.log()),
            }
        }
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let sent = Command::new("kill").args([signal, &self.pid()?.to_string()]).status()?;
        // Its standard input stays open meanwhile, or the signal would not be the only one.
        let input = child.stdin.take();
        let status = child.wait()?;
        drop(input);
        if sent.success() { Ok(()) } else { Err(anyhow!("postgres had ended with {status}")) }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Postgres {
    /// A killed server would leave shared memory behind, so it gets a moment to end by itself.
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        drop(child.stdin.take());
        let started = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && started.elapsed() < END_WITHIN {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Programs {
    fn find() -> Result<Self> {
        let given = env::var_os("SENTINEL_POSTGRES_BIN").filter(|given| !given.is_empty()).map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|folders| folders.flatten().map(|folder| folder.path().join("bin")).collect())
            .unwrap_or_default();
        // The newest first, by number.
        let number = |folder: &PathBuf| -> u32 {
            let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            version.and_then(|version| version.parse().ok()).unwrap_or(0)
        };
        versions.sort_by_key(|folder| std::cmp::Reverse(number(folder)));
        let folder = given
            .into_iter()
            .chain(env::split_paths(&path))
            .chain(versions)
            // A link to one of the programs stands for the folder that it leads to.
            .filter_map(|folder| Some(fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_owned()))
            .find(|folder| {
                ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
            })
            .context(HINT)?;
        Ok(Self { folder, user: other_user()? })
    }

    fn command(&self, program: &str) -> Command {
        self.clean(Command::new(self.folder.join(program)))
    }

    /// Runs what its arguments will be, with its standard input open until we end.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]);
        let mut command = self.clean(command);
        command.stdin(Stdio::piped());
        command
    }

    fn clean(&self, mut command: Command) -> Command {
        // Variables of libpq would lead to another server.
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        command.current_dir("/").stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn give(&self, folder: &Path) -> Result<()> {
        if let Some((user, group)) = self.user {
            std::os::unix::fs::chown(folder, Some(user), Some(group))?;
        }
        Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
    }
}

/// Whom the server runs as, if not as who we are.
fn other_user() -> Result<Option<(u32, u32)>> {
    // A file that was just made belongs to who runs this.
    if tempfile::tempfile()?.metadata()?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let fields: Vec<&str> =
            users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    found
        .map(Some)
        .context("root cannot run PostgreSQL, and there is no user postgres or nobody to run it as")
}

/// The server in the background, and beside it something that waits for the end of standard input.
const WITH_US: &str = r#"exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ cat <&3; kill -QUIT "$server"; } >/dev/null 2>&1 &
exec 3<&- </dev/null
wait "$server""#;
const HINT: &str = "no PostgreSQL in $SENTINEL_POSTGRES_BIN, PATH or /usr/lib/postgresql; install it with: apt-get \
     install postgresql";
const USER: &str = "sentinel";
const DATA: &str = "data";
const READY_WITHIN: Duration = Duration::from_secs(120);
const END_WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_survives_a_crash_and_nothing_survives_the_handle() {
        let mut server = Postgres::start(PostgresOptions::default()).unwrap();
        let url = server.database().unwrap();
        let name = url.rsplit('/').next().unwrap().to_owned();
        server.sql(&name, "CREATE TABLE t AS SELECT 7 AS n").unwrap();
        server.kill().unwrap();
        assert!(server.sql(&name, "SELECT n FROM t").is_err());
        server.start_again().unwrap();
        assert_eq!(server.sql(&name, "SELECT n FROM t").unwrap(), "7");
        assert_eq!(server.sql(&name, "SHOW fsync").unwrap(), "off");
        assert!(server.log().contains("database system was not properly shut down"));
        let (data, pid) = (server.data(), server.pid().unwrap());
        drop(server);
        assert!(!data.exists() && !Path::new(&format!("/proc/{pid}")).exists());
    }
}
