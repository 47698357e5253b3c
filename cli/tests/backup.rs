//! `sentinel backup` and `sentinel drill`: what docs/backup.md says, done as it says.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests are tests, too"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "a-token-that-is-a-secret";
const N_EVENTS: i64 = 300;

/// A collector that runs in a folder, killed at the end.
struct Serving {
    process: Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path) -> Serving {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "json"])
        .env("SENTINEL_TOKENS", TOKEN)
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).ok()?;
            (line["message"] == "collector is listening")
                .then(|| line["address"].as_str().unwrap().to_owned())
        })
        .unwrap();
    // Whoever writes into a pipe that nobody reads waits for ever.
    std::thread::spawn(move || lines.for_each(drop));
    Serving { process, address }
}

fn ingest(serving: &Serving, first: i64, n: i64) {
    let events: Vec<Value> = (first..first + n)
        .map(|seq| {
            json!({
                "schema": "sentinel.event/1", "id": format!("a-{seq}"), "vm": "a", "seq": seq, "time_ms": seq,
                "verdict": "clean", "action": "allow", "score": 0.0, "findings": [],
            })
        })
        .collect();
    let body = json!({ "events": events }).to_string();
    let mut socket = TcpStream::connect(&serving.address).unwrap();
    write!(
        socket,
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(&format!("\"accepted\":{n}")), "{answer}");
}

/// The commands of the manual, those of its `n`th block.
fn commands(n: usize) -> String {
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/backup.md")).unwrap();
    let block = manual.split("```sh\n").nth(n).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn shell(folder: &Path, script: &str) -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_sentinel")).parent().unwrap().to_owned();
    let path =
        env::join_paths([ours].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    let done =
        Command::new("sh").args(["-ec", script]).env("PATH", path).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}\n{said}");
    said
}

fn sentinel(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
    command.args(args).env("SENTINEL_TOKENS", TOKEN).env("SENTINEL_LISTEN", "127.0.0.1:9");
    command.current_dir(folder).output().unwrap()
}

fn workshop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.yaml"), "profiles:\n  default: { level: 2 }\n").unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    fs::write(folder.path().join("logs/collector.log"), "started\n").unwrap();
    folder
}

#[test]
fn the_example_of_the_manual_works_as_it_stands() {
    let folder = workshop();
    let folder = folder.path();
    let serving = serve(folder);
    ingest(&serving, 1, N_EVENTS);
    wait_until_signed(folder);
    let said = shell(folder, &commands(1));
    assert!(
        said.contains("the drill succeeded") && said.contains("RTO ") && said.contains("RPO 0 events"),
        "{said}"
    );
    assert!(said.contains(&format!("{N_EVENTS} events, {N_EVENTS} of them read and as committed")), "{said}");
    assert_eq!(fs::read(folder.join("restored/logs/collector.log")).unwrap(), b"started\n");

    // What comes after the backup is what a disaster takes.
    ingest(&serving, N_EVENTS + 1, 5);
    let output = sentinel(folder, &["--json", "drill", "--folder", "backups"]);
    let drilled: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &drilled["rpo"]["events"]), (Some(0), &json!(5)), "{drilled}");
    let refused = sentinel(folder, &["backup", "restore", &newest(folder), "--to", "sentinel.db", "--force"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop the collector"), "{refused:?}");
    drop(serving);
    let said = shell(folder, &commands(2));
    assert!(
        said.contains("what was there is now sentinel.db.before-") && said.contains("verified"),
        "{said}"
    );
    let again = serve(folder);
    // They are gone, and taken in anew.
    ingest(&again, N_EVENTS + 1, 5);
}

#[test]
fn how_it_is_started_is_taken_without_secrets_and_damage_is_a_verdict() {
    let folder = workshop();
    let folder = folder.path();
    drop(serve(folder));
    let made = sentinel(folder, &["--json", "backup", "create", "--folder", "backups", "--kind", "full"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let file = newest(folder);
    let restore =
        ["backup", "restore", &file, "--to", "b.db", "--key-file", "sentinel.db.keys", "--files-to", "files"];
    assert_eq!(sentinel(folder, &restore).status.code(), Some(0));
    let text = fs::read_to_string(folder.join("files/configuration/serve-options.json")).unwrap();
    let options: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(options["options"]["SENTINEL_LISTEN"], "127.0.0.1:9");
    assert_eq!(options["secrets_that_were_set"], json!(["SENTINEL_TOKENS"]));
    assert!(!text.contains(TOKEN), "{text}");

    let verify = ["backup", "verify", &file];
    assert_eq!(sentinel(folder, &verify).status.code(), Some(0));
    let mut bytes = fs::read(folder.join(&file)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.join(&file), bytes).unwrap();
    let found = sentinel(folder, &verify);
    assert_eq!(found.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&found.stdout).contains("DAMAGED backups/"), "{found:?}");
    assert_eq!(sentinel(folder, &["drill", "--folder", "backups"]).status.code(), Some(1));
}

/// A checkpoint is signed about every second.
fn wait_until_signed(folder: &Path) {
    for _ in 0..600 {
        let verified = sentinel(folder, &["--json", "audit", "verify", "--database", "sentinel.db"]);
        let found: Value = serde_json::from_slice(&verified.stdout).unwrap();
        if found["size"] == N_EVENTS {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("nothing was signed");
}

fn newest(folder: &Path) -> String {
    let names = fs::read_dir(folder.join("backups")).unwrap();
    let newest = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).max();
    format!("backups/{}", newest.unwrap())
}
