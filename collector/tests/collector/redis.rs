//! A real `redis-server` on a free port, which can be killed and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sentinel_harness::port::free_addr;
use sentinel_harness::program::{self, or_skip};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Redis {
    program: PathBuf,
    process: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Redis {
    /// `None`, said loudly, where there is no server to start.
    pub(crate) async fn start() -> Option<Self> {
        let program = or_skip(program::REDIS.find())?;
        let address = free_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let process = spawn(&program, address, &folder);
        let redis = Self { program, process, address, folder };
        redis.wait().await;
        Some(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}/3", self.address)
    }

    /// Nothing that it knew is left.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(&self.program, self.address, &self.folder);
        self.wait().await;
    }

    /// It holds its connections and answers nobody.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success()
        );
    }

    /// What it says to some commands.
    pub(crate) async fn ask(&self, commands: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let commands = format!("AUTH {PASSWORD}\r\nSELECT 3\r\n{commands}\r\nQUIT\r\n");
        socket.write_all(commands.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).await.is_err() {
            assert!(Instant::now() < until, "redis-server does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &PathBuf, address: SocketAddr, folder: &TempDir) -> Child {
    Command::new(program)
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--requirepass", PASSWORD])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

const PASSWORD: &str = "redis-password";
