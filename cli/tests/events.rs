//! `sentinel events` against a collector that really runs.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
};

use sentinel_collector::{Collector, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "a-token-for-tests";

/// A folder with a token and the options that lead to a collector; it serves as long as the runtime lives.
struct Shop {
    folder: TempDir,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config::new(nowhere, folder.path().join("events.db"), vec![TOKEN.to_owned()]);
        let collector = runtime.block_on(Collector::bind(config)).unwrap();
        let url = format!("http://{}", collector.local_addr());
        runtime.spawn(collector.run(std::future::pending()));
        Self { folder, url, _runtime: runtime }
    }

    fn send(&self, events: &[Value]) {
        let request =
            ureq::post(format!("{}/v1/events", self.url)).header("authorization", format!("Bearer {TOKEN}"));
        let answer = request.send(json!({ "events": events }).to_string()).unwrap();
        assert_eq!(answer.status(), 200);
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_of("events", args)
    }

    fn run_of(&self, noun: &str, args: &[&str]) -> Output {
        let (verb, rest) = args.split_first().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
        command.args([noun, verb, "--collector", &self.url, "--token-file", "token"]).args(rest);
        command.current_dir(self.path()).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, args: &[&str], says: &str) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{args:?}: {output:?}");
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn event(seq: i64, action: &str, rules: &[&str]) -> Value {
    let findings: Vec<Value> = rules.iter().map(|rule| json!({ "rule": rule, "family": "pii" })).collect();
    json!({
        "schema": "sentinel.event/1", "vm": "a", "seq": seq, "id": format!("a-{seq}"), "verdict": "clean",
        "time_ms": 1_790_000_000_000_i64 + seq * 1_000, "action": action, "score": 0.5, "route": "chat \u{1b}[2J",
        "request_id": "r&s=1 é", "findings": findings,
    })
}

#[test]
fn people_list_and_show_events_and_a_terminal_is_not_spoken_to() {
    let shop = Shop::open();
    assert_eq!(shop.ok(&["list"]), "no events\n");
    shop.send(&[event(1, "allow", &[]), event(2, "mask", &["pii/email", "pii/email", "pii/iban"])]);
    assert_eq!(
        shop.ok(&["list"]),
        "time                  id   verdict  action  score  route      rules\n\
         2026-09-21T14:13:22Z  a-2  clean    mask    0.50   chat \u{fffd}[2J  pii/email pii/iban\n\
         2026-09-21T14:13:21Z  a-1  clean    allow   0.50   chat \u{fffd}[2J\n"
    );
    let first = shop.ok(&["list", "--limit", "1"]);
    assert!(first.contains("a-2") && !first.contains("a-1"), "{first}");
    let (_, before) = first.trim().rsplit_once(' ').unwrap();
    assert!(shop.ok(&["list", "--before", before]).contains("a-1"));
    for (options, n) in [
        (&["--action", "mask"][..], 1),
        (&["--rule", "pii/iban", "--verdict", "clean"], 1),
        (&["--request-id", "r&s=1 é"], 2),
        (&["--since", "2026-09-21T14:13:22Z"], 1),
        (&["--until", "2026-09-21T14:13:22Z", "--score-min", "0.5"], 1),
        (&["--text", "iban chat"], 1),
        (&["--session", "none"], 0),
    ] {
        let args: Vec<&str> = ["list", "--json"].iter().chain(options).copied().collect();
        let found: Value = serde_json::from_str(&shop.ok(&args)).unwrap();
        assert_eq!(found["events"].as_array().unwrap().len(), n, "{options:?}");
    }
    let shown: Value = serde_json::from_str(&shop.ok(&["show", "a-2"])).unwrap();
    assert_eq!(shown, event(2, "mask", &["pii/email", "pii/email", "pii/iban"]));
    shop.fails(&["show", "a-3"], "404: there is no event with this id");
    shop.fails(&["list", "--action", "nothing"], "action is not one of allow");
}

#[test]
fn a_file_is_whole_and_never_takes_the_place_of_another() {
    let shop = Shop::open();
    for first in [1, 301] {
        shop.send(&(first..first + 300).map(|seq| event(seq, "block", &[])).collect::<Vec<_>>());
    }
    shop.ok(&["export", "--format", "jsonl", "--out", "all.jsonl", "--action", "block"]);
    let lines = fs::read_to_string(shop.path().join("all.jsonl")).unwrap();
    let seqs =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap());
    assert!(seqs.eq((1..=600).rev()));
    shop.ok(&["export", "--format", "csv", "--out", "all.csv"]);
    let table = fs::read_to_string(shop.path().join("all.csv")).unwrap();
    assert_eq!(table.matches("\r\n").count(), 601);
    shop.fails(&["export", "--format", "csv", "--out", "all.jsonl"], "is there already");
    assert_eq!(fs::read_to_string(shop.path().join("all.jsonl")).unwrap(), lines);
    shop.fails(
        &["export", "--format", "csv", "--out", "none.csv", "--verdict", "odd"],
        "verdict is not one of",
    );
    let mut names: Vec<_> =
        fs::read_dir(shop.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| !name.to_string_lossy().starts_with("events.db"));
    names.sort();
    assert_eq!(names, ["all.csv", "all.jsonl", "token"], "nothing half is left");
}

#[test]
fn all_about_a_person_is_in_one_file_and_nothing_about_another() {
    let shop = Shop::open();
    let about = |seq: i64, subject: &str| {
        let mut event = event(seq, "allow", &[]);
        event["subject"] = subject.into();
        event["content"] = format!("what {subject} said").into();
        event
    };
    let (ann, ben) = ("ann+x@example.org", "ben@example.org");
    for first in (1..=600).step_by(100) {
        let batch: Vec<Value> =
            (first..first + 100).map(|seq| about(seq, if seq % 2 == 0 { ann } else { ben })).collect();
        shop.send(&batch);
    }
    let done = shop.run_of("subjects", &["export", ann, "--out", "ann.jsonl"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let text = fs::read_to_string(shop.path().join("ann.jsonl")).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<Value> = (1..=300).rev().map(|n| about(n * 2, ann)).collect();
    assert_eq!(found, expected);
    let done = shop.run_of("subjects", &["export", ben, "--format", "csv", "--out", "ben.csv"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let table = fs::read_to_string(shop.path().join("ben.csv")).unwrap();
    assert!(table.matches("\r\n").count() == 301 && !table.contains(ann), "{table}");
    // It stands in the journal, and not of whom it was.
    let request =
        ureq::get(format!("{}/v1/journal", shop.url)).header("authorization", format!("Bearer {TOKEN}"));
    let journal = request.call().unwrap().body_mut().read_to_string().unwrap();
    assert!(journal.contains("/v1/export?subject=*&format=jsonl") && !journal.contains("ann"), "{journal}");
    let refused = shop.run_of("subjects", &["export", "", "--out", "none"]);
    assert_eq!(refused.status.code(), Some(2));
}
