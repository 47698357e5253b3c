//! The command's own collector, as a process of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

pub(crate) const TOKEN: &str = "a-token-for-tests";
pub(crate) const ADMIN: &str = "an-admin-token-for-tests";

pub(crate) struct Served {
    process: Child,
    pub(crate) address: String,
    /// Reads all that it says, as it says it: whoever writes a lot would wait for ever otherwise.
    reader: Option<JoinHandle<String>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn serve(folder: &Path, format: &str, filter: &str, more: &[&str]) -> Served {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", format])
        .args(["--token", TOKEN, "--admin-token", ADMIN, "--site", "https://collector.example"])
        .args(more)
        .current_dir(folder)
        .env("SENTINEL_LOG", filter)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = process.stderr.take().unwrap();
    let (found, address) = mpsc::channel();
    let reader = thread::spawn(move || read(log, &found));
    let address = address.recv().unwrap();
    Served { process, address, reader: Some(reader) }
}

/// Until it ends; the address is found on the way.
fn read(log: ChildStderr, found: &mpsc::Sender<String>) -> String {
    let mut all = String::new();
    for line in BufReader::new(log).lines() {
        let line = line.unwrap();
        if line.contains("collector is bound") {
            let start = line.find("127.0.0.1:").unwrap();
            let rest = line.get(start..).unwrap();
            let address = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            // Nobody waits for it a second time.
            let _ = found.send(address);
        }
        all += &line;
        all.push('\n');
    }
    all
}

impl Served {
    /// As it is written; answers the status and the body.
    pub(crate) fn raw(&self, request: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let _ = socket.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        more: &str,
        body: &str,
    ) -> (u16, String) {
        let n = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: collector\r\nconnection: close\r\ncontent-length: {n}\r\n\
             authorization: Bearer {token}\r\n{more}\r\n{body}"
        ))
    }

    /// Ends it, and answers all that it has said.
    pub(crate) fn log(mut self) -> String {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        self.reader.take().unwrap().join().unwrap()
    }
}
