//! Canaries in everything that comes in, looked for where people read who may not see what was said: in answers to roles
//! without content, in every kind of notification, in the database and in backups.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::planted::{CARD, EMAIL, event, plant, traffic};
use crate::receivers::Receiver;
use crate::served::{ADMIN, Served, TOKEN, serve};

/// All that the documentation lets this role read, as it has to be asked for.
fn questions(role: &str) -> Vec<String> {
    // The hours around the time of the events that are planted.
    const PERIOD: &str = "since_ms=1789200000000&until_ms=1791000000000";
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access.md")).unwrap();
    let mut questions = Vec::new();
    for line in table.lines().filter_map(|line| line.strip_prefix("| `GET ")) {
        let (path, rest) = line.split_once('`').unwrap();
        let roles = rest.rsplit('|').nth(1).unwrap();
        if !roles.split([',', ' ']).any(|word| [role, "all", "anyone"].contains(&word)) {
            continue;
        }
        match path {
            // The same for everyone; other tests read it.
            "/assets/{version}/{*path}" => {}
            "/v1/aggregates" => {
                for by in ["action", "verdict", "route", "rule", "family", "vm"] {
                    questions.push(format!("{path}?by={by}&every=day&{PERIOD}"));
                }
            }
            "/v1/overview" => questions.push(format!("{path}?every=day&{PERIOD}")),
            "/v1/compliance" => questions.push(format!("{path}?{PERIOD}")),
            "/v1/alerts/{id}" => questions.extend((1..=4).map(|id| path.replace("{id}", &id.to_string()))),
            _ => questions.push(path.to_owned()),
        }
    }
    questions
}

/// As often as that is expected at least, from everyone who is told.
fn until_told(webs: &Receiver, mails: &Receiver, n_expected: usize) {
    let begun = Instant::now();
    loop {
        let taken = webs.taken();
        let at = |path: &str| taken.iter().filter(|text| text.starts_with(&format!("POST {path}"))).count();
        let told = [at("/slack"), at("/hook"), at("/api/v2/alerts"), mails.taken().len()];
        if told.iter().all(|n| *n >= n_expected) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{told:?} of {n_expected} were told");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whoever_may_not_see_content_and_whoever_is_told_of_alerts_sees_nothing_of_a_person() {
    for canary in [EMAIL, CARD] {
        let folder = tempfile::tempdir().unwrap();
        let (webs, mails) = (Receiver::http(), Receiver::mail());
        let alerts = alerts_file(folder.path(), &webs, &mails);
        let served = serve(folder.path(), "json", "info", &["--alerts", &alerts]);
        plant(&served, canary, event);
        until_told(&webs, &mails, DIMENSIONS.len());
        for said in webs.taken().iter().chain(&mails.taken()) {
            assert!(!said.contains(canary), "{said}");
        }
        let viewer = key_of(&served, "viewer");
        let questions = questions("viewer");
        assert!(questions.len() > 30, "the table of endpoints was not read");
        for path in questions {
            let (status, body) = served.send("GET", &path, &viewer, "", "");
            assert!([200, 503].contains(&status), "{path}: {status} {body}");
            assert!(!body.contains(canary), "{path}: {body}");
        }
        for path in ["/v1/events", "/v1/events/a-1", "/v1/live", "/v1/export?format=jsonl", "/v1/journal"] {
            let (status, body) = served.send("GET", path, &viewer, "", "");
            assert!(status == 403 && !body.contains(canary), "{path}: {status} {body}");
        }
    }
}

const DIMENSIONS: [&str; 7] = ["rule", "family", "route", "source", "vm", "action", "verdict"];

fn alerts_file(folder: &Path, webs: &Receiver, mails: &Receiver) -> String {
    let url = |path: &str| format!("http://{}{path}", webs.address);
    let rule =
        |by: &&str| json!({"name": format!("by-{by}"), "at_least": 1, "within": "10m", "group_by": [by]});
    let file = json!({
        "link": "https://collector.example",
        "sinks": [
            {"name": "chat", "slack": {"url": url("/slack")}},
            {"name": "hook", "webhook": {"url": url("/hook"), "secret": "a-secret-of-the-webhook"}},
            {"name": "am", "alertmanager": {"url": url("")}},
            {"name": "mail", "email": {"host": "127.0.0.1", "port": mails.address.port(), "tls": "none",
                "from": "Sentinel <sentinel@example.org>", "to": ["security@example.org"]}},
        ],
        "rules": DIMENSIONS.iter().map(rule).collect::<Vec<Value>>(),
    });
    let path = folder.join("alerts.json");
    fs::write(&path, file.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn key_of(served: &Served, role: &str) -> String {
    let body = json!({"label": role, "roles": [role]}).to_string();
    let (status, body) = served.send("POST", "/v1/keys", ADMIN, "", &body);
    assert_eq!(status, 201, "{body}");
    let made: Value = serde_json::from_str(&body).unwrap();
    made.get("secret").and_then(Value::as_str).unwrap().to_owned()
}

#[test]
fn neither_a_database_nor_a_backup_has_a_byte_of_what_somebody_said() {
    for canary in [EMAIL, CARD] {
        let folder = tempfile::tempdir().unwrap();
        let served = serve(folder.path(), "json", "info", &[]);
        plant(&served, canary, traffic);
        // What was planted first was erased on the way.
        let more = json!({"events": [traffic(2, canary), traffic(3, canary)]}).to_string();
        assert_eq!(served.send("POST", "/v1/events", TOKEN, "", &more).0, 200);
        let (status, body) = served.send("GET", "/v1/events/a-2", ADMIN, "", "");
        assert!(status == 200 && body.contains(canary), "whoever may see it does: {status} {body}");
        sentinel(folder.path(), &["backup", "create", "--folder", "backups", "--database", "sentinel.db"]);
        let backup = fs::read_dir(folder.path().join("backups")).unwrap().next().unwrap().unwrap().path();
        let backup = backup.to_str().unwrap();
        sentinel(
            folder.path(),
            &["backup", "restore", backup, "--to", "restored.db", "--key-file", "sentinel.db.keys"],
        );
        let n_searched = search(folder.path(), canary);
        assert!(n_searched >= 4, "the database, its journal, the backup and what was restored: {n_searched}");
    }
}

/// Every file in the folder and below; how many there were.
fn search(folder: &Path, canary: &str) -> usize {
    let mut n_searched = 0;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            n_searched += search(&entry.path(), canary);
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let at = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
        assert_eq!(at, None, "{}", entry.path().display());
        n_searched += usize::from(!bytes.is_empty());
    }
    n_searched
}

fn sentinel(folder: &Path, args: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_sentinel")).args(args).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}
