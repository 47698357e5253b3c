//! Those who are told: a webhook that checks signatures, a server that takes mail, and a real Alertmanager.

mod mail;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sentinel_harness::port::free_addr;
use sentinel_harness::program::{self, or_skip};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(super) use mail::{MailBox, Safety};

use crate::support::Client;

pub(super) const SECRET: &str = "a-secret-of-the-webhook";

/// Takes notifications by HTTP; ends with the test's runtime.
#[derive(Clone)]
pub(super) struct Webhook {
    pub(super) address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    /// So many are refused with 500 first.
    refuse: Arc<AtomicUsize>,
    n_refused: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) path: String,
    pub(super) is_signed: bool,
    pub(super) body: Value,
}

impl Webhook {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let webhook =
            Self { address, taken: Arc::default(), refuse: Arc::default(), n_refused: Arc::default() };
        let server = webhook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.take(stream).await });
            }
        });
        webhook
    }

    pub(super) fn refuse(&self, n: usize) {
        self.refuse.store(n, Ordering::SeqCst);
    }

    pub(super) fn n_refused(&self) -> usize {
        self.n_refused.load(Ordering::SeqCst)
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// What was told, as `kind rule`, of those that came to a path.
    pub(super) fn told(&self, path: &str) -> Vec<String> {
        let of_path = self.taken().into_iter().filter(|taken| taken.path == path);
        of_path
            .map(|taken| {
                let word = |name: &str| taken.body[name].as_str().unwrap_or_default().to_owned();
                format!("{} {}", word("kind"), word("rule"))
            })
            .collect()
    }

    async fn take(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut n_bytes, mut signature, mut path) = (0, String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap().to_owned();
                continue;
            }
            let Some((name, value)) = line.split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => n_bytes = value.parse().unwrap(),
                "sentinel-signature" => signature = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; n_bytes];
        stream.read_exact(&mut body).await.unwrap();
        let again = self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        let status = if again.is_ok() { "500 Not Now" } else { "200 OK" };
        match again {
            Ok(_) => _ = self.n_refused.fetch_add(1, Ordering::SeqCst),
            Err(_) => {
                let is_signed = is_ours(&signature, &body);
                let body = serde_json::from_slice(&body).unwrap();
                self.taken.lock().unwrap().push(Taken { path, is_signed, body });
            }
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.get_mut().write_all(answer.as_bytes()).await;
    }
}

/// As the documentation says that a receiver checks.
fn is_ours(header: &str, body: &[u8]) -> bool {
    let Some((seconds, hex)) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let mac = mac.chain_update(seconds).chain_update(".").chain_update(body).finalize().into_bytes();
    let expected: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    expected == hex && now_s.abs_diff(seconds.parse().unwrap()) < 300
}

/// A real one on a free port.
pub(super) struct Alertmanager {
    process: Child,
    pub(super) address: SocketAddr,
    #[expect(dead_code, reason = "it deletes the folder in the end")]
    folder: TempDir,
}

impl Alertmanager {
    /// `None`, said loudly, where there is none to start.
    pub(super) async fn start() -> Option<Self> {
        let program = or_skip(program::ALERTMANAGER.find())?;
        let folder = tempfile::tempdir().unwrap();
        let address = free_addr().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let alertmanager = Self { process, address, folder };
        for _ in 0..2_400 {
            if TcpStream::connect(address).await.is_ok() {
                return Some(alertmanager);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Alertmanager does not listen");
    }

    /// Its alerts that are active now.
    pub(super) async fn active(&self) -> Vec<Value> {
        let answer = Client::at(self.address).get("/api/v2/alerts?active=true").await;
        let body = answer.body();
        // It answers in chunks where it likes to.
        let from = body.find('[').unwrap_or(0);
        let to = body.rfind(']').map_or(body.len(), |at| at + 1);
        serde_json::from_str(body.get(from..to).unwrap()).unwrap()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
