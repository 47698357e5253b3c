//! One connection to Redis that comes back by itself.
//!
//! A batch of leases is one script, so it is counted wholly or not at all. A connection on which anything went wrong or
//! took too long is never used again, because its next answer might belong to an earlier question. A batch whose answer
//! was lost may have been counted: the limit holds, and what was granted is lost.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::resp::{Reply, command, read};
use super::url::RedisUrl;
use super::{Lease, Share};

#[derive(Debug)]
pub(super) struct Redis {
    url: RedisUrl,
    wait: Duration,
    line: Mutex<Line>,
    up: AtomicBool,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Line {
    connection: Option<Connection>,
    /// Failures in a row, and until when nobody tries again.
    n_failed: u32,
    rest_until: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    stream: BufReader<TcpStream>,
    /// What Redis calls the script.
    script: String,
}

impl Redis {
    pub(super) fn new(url: RedisUrl, wait: Duration) -> Self {
        let line = Line { connection: None, n_failed: 0, rest_until: None };
        Self { url, wait, line: Mutex::new(line), up: AtomicBool::new(false), failures: AtomicU64::new(0) }
    }

    /// Whether the last batch was counted there.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// While Redis rests after a failure this fails at once, so nobody waits for something that is known to be away.
    pub(super) async fn grant(&self, leases: &[Lease]) -> Result<Vec<Share>, ()> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut line = self.line.lock().await;
        if line.rest_until.is_some_and(|until| Instant::now() < until) {
            return Err(());
        }
        let taken = line.connection.take();
        let done = timeout(self.wait, async {
            // A connection that was idle may have been closed meanwhile, which says nothing about Redis.
            if let Some(mut connection) = taken
                && let Ok(shares) = grant(&mut connection, leases).await
            {
                return Ok((connection, shares));
            }
            let mut connection = self.connect().await?;
            let shares = grant(&mut connection, leases).await?;
            Ok::<_, io::Error>((connection, shares))
        });
        let error = match done.await {
            Ok(Ok((connection, shares))) => {
                if !self.up.swap(true, Ordering::Relaxed) {
                    tracing::info!(redis = ?self.url, "leases are counted in Redis");
                }
                *line = Line { connection: Some(connection), n_failed: 0, rest_until: None };
                return Ok(shares);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} ms", self.wait.as_millis()),
        };
        line.n_failed = line.n_failed.saturating_add(1);
        line.rest_until = Some(Instant::now() + rest(line.n_failed));
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.up.swap(false, Ordering::Relaxed) || line.n_failed == 1 {
            tracing::warn!(redis = ?self.url, error, "Redis does not count leases");
        }
        Err(())
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        if let Some(password) = &self.url.password {
            let words: Vec<&[u8]> = match &self.url.user {
                Some(user) => vec![b"AUTH", user.as_bytes(), password.as_bytes()],
                None => vec![b"AUTH", password.as_bytes()],
            };
            ask(&mut stream, &words).await?;
        }
        if self.url.database != 0 {
            ask(&mut stream, &[b"SELECT", self.url.database.to_string().as_bytes()]).await?;
        }
        let script = ask(&mut stream, &[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).await?;
        Ok(Connection { stream, script })
    }
}

/// The script by its name, and by its text where Redis has forgotten it.
async fn grant(connection: &mut Connection, leases: &[Lease]) -> io::Result<Vec<Share>> {
    let count = leases.len().to_string();
    let mut words: Vec<Vec<u8>> = vec![count.into_bytes()];
    // A hash of a limit's name and key: of bounded length, and free of what a client chose.
    words.extend(leases.iter().map(|lease| key(lease).into_bytes()));
    for lease in leases {
        let per = [lease.burst, lease.per.second, lease.per.minute, lease.per.hour];
        words.push(lease.want.to_string().into_bytes());
        words.extend(per.map(|number| number.unwrap_or(0).to_string().into_bytes()));
    }
    let Connection { stream, script } = connection;
    let call = |first: [&[u8]; 2]| -> Vec<u8> {
        let all: Vec<&[u8]> = first.into_iter().chain(words.iter().map(Vec::as_slice)).collect();
        command(all.into_iter())
    };
    stream.write_all(&call([b"EVALSHA", script.as_bytes()])).await?;
    let mut reply = read(stream).await?;
    if matches!(&reply, Reply::Error(text) if text.starts_with("NOSCRIPT")) {
        stream.write_all(&call([b"EVAL", SCRIPT.as_bytes()])).await?;
        reply = read(stream).await?;
    }
    shares(reply, leases)
}

fn shares(reply: Reply, leases: &[Lease]) -> io::Result<Vec<Share>> {
    let Reply::List(items) = reply else { return Err(refused(reply)) };
    let numbers: Option<Vec<u64>> = items
        .into_iter()
        .map(|item| match item {
            Reply::Number(number) => u64::try_from(number).ok(),
            _ => None,
        })
        .collect();
    let shares: Option<Vec<Share>> = numbers.and_then(|numbers| {
        let (pairs, []) = numbers.as_chunks::<2>() else { return None };
        pairs
            .iter()
            .map(|[granted, wait_ms]| {
                Some(Share { granted: u32::try_from(*granted).ok()?, wait_ms: *wait_ms })
            })
            .collect()
    });
    shares
        .filter(|shares| shares.len() == leases.len())
        .ok_or_else(|| io::Error::other("the script's answer has another form"))
}

async fn ask(stream: &mut BufReader<TcpStream>, words: &[&[u8]]) -> io::Result<String> {
    stream.write_all(&command(words.iter().copied())).await?;
    match read(stream).await? {
        Reply::Text(text) => Ok(text),
        other => Err(refused(other)),
    }
}

fn refused(reply: Reply) -> io::Error {
    io::Error::other(match reply {
        Reply::Error(text) => text,
        _ => "an answer of another kind".to_owned(),
    })
}

fn key(lease: &Lease) -> String {
    let digest =
        Sha256::new().chain_update(&lease.limit).chain_update([0]).chain_update(&lease.key).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("sentinel:lease:{hex}")
}

/// Twice as long after each failure, and between half and all of it, so that collectors do not come back in step.
fn rest(n_failed: u32) -> Duration {
    let longest =
        REST_MIN.saturating_mul(2_u32.saturating_pow(n_failed.saturating_sub(1).min(16))).min(REST_MAX);
    let random = RandomState::new().hash_one(n_failed) % 1_000;
    longest / 2 + longest.mul_f64(random as f64 / 2_000.0)
}

const SCRIPT: &str = include_str!("grant.lua");
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
