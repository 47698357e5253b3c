//! A witness and a collector as programs: the witness is killed again and again, and never signs a second past.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use sentinel_ledger::{Checkpoint, VerifierKey};
use serde_json::{Value, json};

/// Killed with the test that started it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sentinel(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
    command.current_dir(folder).stdin(Stdio::null()).env("SENTINEL_LOG", "warn");
    command
}

fn say(folder: &Path, args: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = sentinel(folder).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap(), text)
}

fn free() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn serve(folder: &Path, args: &[&str], address: SocketAddr) -> Process {
    let mut command = sentinel(folder);
    command.args(args).args(["--listen", &address.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().unwrap());
    until("it listens", || get(address, "/health").is_some());
    process
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not after a minute: {what}");
        sleep(Duration::from_millis(50));
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let request = ureq::get(format!("http://{address}{path}")).header("authorization", "Bearer long-enough");
    request.call().ok()?.body_mut().read_to_string().ok()
}

fn ingest(address: SocketAddr, seq: i64) {
    let event = json!({"schema": "sentinel.event/1", "id": format!("a-{seq}"), "vm": "a", "seq": seq,
        "time_ms": 1_790_000_000_000_i64 + seq, "verdict": "clean", "action": "allow", "score": 0.0,
        "direction": "request", "findings": []});
    let request = ureq::post(format!("http://{address}/v1/events"));
    let request = request.header("authorization", "Bearer long-enough").content_type("application/json");
    let mut answer = request.send(json!({ "events": [event] }).to_string()).unwrap();
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(answer["accepted"], 1, "{answer}");
}

fn shown(collector: SocketAddr) -> Option<u64> {
    let note = get(collector, "/log/checkpoint")?;
    let (text, _) = note.rsplit_once("\n\n")?;
    Some(Checkpoint::parse(&format!("{text}\n")).unwrap().size())
}

fn seen(witness: SocketAddr) -> u64 {
    let about: Value = serde_json::from_str(&get(witness, "/").unwrap()).unwrap();
    about["logs"][0]["size"].as_u64().unwrap()
}

#[test]
fn a_witness_that_is_killed_again_and_again_keeps_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("token"), "long-enough\n").unwrap();
    let (code, key) = say(folder, &["witness", "--folder", "w", "--name", "w.example/1", "--show-key"]);
    assert_eq!(code, 0, "{key}");
    let key = key.trim();
    VerifierKey::parse(key).unwrap();
    assert_eq!(say(folder, &["witness", "--folder", "w", "--show-key"]), (0, format!("{key}\n")));
    let (code, text) = say(folder, &["witness", "--folder", "other", "--show-key"]);
    assert!(code != 0 && text.contains("needs a name"), "{text}");

    let (collector, witness) = (free(), free());
    let place = format!("http://{witness}={key}");
    let basic = ["serve", "--token", "long-enough", "--log-name", "shop.example/sentinel"];
    let log_key = {
        let _collector = serve(folder, &basic, collector);
        ingest(collector, 1);
        until("the log is signed", || get(collector, "/log/key").is_some());
        get(collector, "/log/key").unwrap().trim().to_owned()
    };
    assert!(log_key.starts_with("shop.example/sentinel+"), "{log_key}");
    let asked = ["--witness", &place, "--witness-quorum", "1", "--witness-every", "1"];
    let _collector = serve(folder, &[&basic[..], &asked].concat(), collector);
    let begin = || serve(folder, &["witness", "--folder", "w", "--log", &log_key], witness);
    let mut seq = 1;
    let mut before = 0;
    for round in 0..6_u64 {
        let process = begin();
        assert!(seen(witness) >= before, "what it has cosigned it knows");
        seq += 1;
        ingest(collector, seq);
        until("it is cosigned", || shown(collector).is_some_and(|size| size > before));
        // At another moment of what it does each time; what was shown was cosigned before.
        sleep(Duration::from_millis(137 * round));
        before = shown(collector).unwrap();
        drop(process);
    }
    let _witness = begin();
    let others = ["--witness", key, "--cosignatures", "1", "--key", &log_key, "--seen", "seen"];
    let online = ["audit", "verify", "--collector", &format!("http://{collector}"), "--token-file", "token"];
    let (code, text) = say(folder, &[&online[..], &others].concat());
    assert!(code == 0 && text.contains("cosigned by w.example/1"), "{text}");
    let database = ["audit", "verify", "--database", "sentinel.db", "--log-name", "shop.example/sentinel"];
    let (code, text) = say(folder, &[&database[..], &others].concat());
    assert!(code == 0 && text.contains("cosigned by w.example/1"), "{text}");
    let (_, nobody) = say(folder, &["witness", "--folder", "n", "--name", "nobody.example/1", "--show-key"]);
    let others = ["--witness", nobody.trim().lines().last().unwrap(), "--cosignatures", "1"];
    let (code, text) = say(folder, &[&online[..], &others].concat());
    assert!(code == 1 && text.contains("0 witnesses have cosigned"), "{text}");
}
