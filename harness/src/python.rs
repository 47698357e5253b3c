//! Python programs with the packages that they need: an environment of its own in the target folder, made once for
//! each list of requirements.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::install;

#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
}

/// What a program said until its end.
#[derive(Clone, Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running server. Dropping it stops it; its standard input ends with this process, however that ends.
#[derive(Debug)]
pub struct Server {
    program: Program,
    addr: SocketAddr,
}

impl Python {
    /// Installs what `requirements` lists, as pip takes it, unless that was done before.
    pub fn with(requirements: &Path) -> Result<Self> {
        let list = fs::read(requirements).with_context(|| requirements.display().to_string())?;
        let key: String = Sha256::digest(&list).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let home = install::target_folder().join("python").join(key);
        install::once(&home, |new| environment(new, requirements))?;
        Ok(Self { program: home.join(PROGRAM) })
    }

    /// Runs a program to its end.
    pub fn run(
        &self,
        script: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        within: Duration,
    ) -> Result<Finished> {
        let mut program = Program::start(self, script, args)?;
        let status = program.look(within, |program| Ok(program.child.try_wait()?))?;
        Ok(Finished { status, stdout: program.stdout()?, stderr: program.stderr()? })
    }

    /// Starts a server that prints its address in one line, once it listens, and ends with its standard input.
    pub fn serve(
        &self,
        script: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        within: Duration,
    ) -> Result<Server> {
        let mut program = Program::start(self, script, args)?;
        let addr = program.look(within, |program| {
            if let Some(status) = program.child.try_wait()? {
                bail!("ended with {status} before it listened");
            }
            let said = program.stdout()?;
            said.split_once('\n').map(|(addr, _)| addr.parse().context("an address")).transpose()
        })?;
        Ok(Server { program, addr })
    }
}

impl Server {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Everything that it has written to its standard error.
    pub fn log(&self) -> String {
        self.program.stderr().unwrap_or_default()
    }
}

const PROGRAM: &str = "bin/python";

fn environment(new: &Path, requirements: &Path) -> Result<()> {
    eprintln!("installing {} into an environment of its own with pip (once)", requirements.display());
    install::run(Command::new("python3").args(["-m", "venv"]).arg(new), HINT)?;
    let mut pip = Command::new(new.join(PROGRAM));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    install::run(pip.arg(requirements), HINT)
}

const HINT: &str = "Install Python 3.10 or newer with venv and pip (Debian: python3, python3-venv and python3-pip) \
     and give it access to a package index";

/// A child that is stopped when dropped. It writes to files, so it never waits for a reader.
#[derive(Debug)]
struct Program {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Program {
    fn start(
        python: &Python,
        script: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let name = script.display().to_string();
        // An environment of the caller's that names proxies, keys or folders would change what the program does.
        let child = Command::new(&python.program)
            .arg(script)
            .args(args)
            .env_clear()
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(File::create(folder.path().join(STDOUT))?)
            .stderr(File::create(folder.path().join(STDERR))?)
            .spawn()
            .with_context(|| format!("start {} {name}", python.program.display()))?;
        Ok(Self { name, child, folder })
    }

    /// Looks again and again until there is something to see; an error has what the program wrote.
    fn look<T>(
        &mut self,
        within: Duration,
        mut see: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            match see(self) {
                Ok(Some(seen)) => return Ok(seen),
                Ok(None) if started.elapsed() < within => thread::sleep(Duration::from_millis(5)),
                Ok(None) => bail!("{} takes longer than {within:?}\n{}", self.name, self.wrote()),
                Err(error) => return Err(error.context(format!("{}\n{}", self.name, self.wrote()))),
            }
        }
    }

    fn wrote(&self) -> String {
        [self.stdout(), self.stderr()].map(Result::unwrap_or_default).concat()
    }

    fn stdout(&self) -> Result<String> {
        self.read(STDOUT)
    }

    fn stderr(&self) -> Result<String> {
        self.read(STDERR)
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.folder.path().join(name))?).into_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
