//! Keys and wallets at a collector that really runs, from its first token on.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
};

use serde_json::Value;

/// Ends with the test.
struct Served {
    process: Child,
    url: String,
    first_token: Option<String>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Without any token.
fn serve(folder: &Path) -> Served {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "json"])
        .current_dir(folder)
        .env_remove("SENTINEL_TOKENS")
        .env_remove("SENTINEL_ADMIN_TOKENS")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut first_token = None;
    let listening = lines.by_ref().find(|line| {
        if line.trim().starts_with("sb_") {
            first_token = Some(line.trim().to_owned());
        }
        line.contains("collector is listening")
    });
    let line: Value = serde_json::from_str(&listening.unwrap()).unwrap();
    let url = format!("http://{}", line["address"].as_str().unwrap());
    // A full pipe would stop it.
    thread::spawn(move || lines.for_each(drop));
    Served { process, url, first_token }
}

fn sentinel(folder: &Path, url: &str, token_file: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .arg("--json")
        .args(args)
        .args(["--collector", url, "--token-file", token_file])
        .current_dir(folder)
        .output()
        .unwrap()
}

fn ok(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn write_secret(folder: &Path, name: &str, answer: &Value) -> String {
    fs::write(folder.join(name), answer["secret"].as_str().unwrap()).unwrap();
    answer["key"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn from_the_first_token_to_keys_and_wallets() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = serve(folder);
    let run = |token_file: &str, args: &[&str]| sentinel(folder, &served.url, token_file, args);
    fs::write(folder.join("first"), served.first_token.as_ref().unwrap()).unwrap();

    let first = ok(&run("first", &["keys", "create", "--first-admin", "--label", "ann"]));
    write_secret(folder, "admin", &first);
    assert_eq!(run("first", &["keys", "create", "--first-admin", "--label", "bob"]).status.code(), Some(2));

    let made =
        ok(&run("admin", &["keys", "create", "--label", "filters", "--role", "ingest", "--days", "9"]));
    let old = write_secret(folder, "old", &made);
    assert!(made["key"]["not_after_ms"].is_i64());
    let refused = run("old", &["keys", "list"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stdout).unwrap().contains("manage_keys"));

    let rotated = ok(&run("admin", &["keys", "rotate", &old, "--grace-hours", "1"]));
    let new = write_secret(folder, "new", &rotated);
    ok(&run("admin", &["keys", "revoke", &new]));
    let listed = ok(&run("admin", &["keys", "list"]));
    let state = |id: &str| {
        let keys = listed["keys"].as_array().unwrap();
        keys.iter().find(|key| key["id"] == id).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (listed["keys"].as_array().unwrap().len(), state(&old), state(&new)),
        (3, "active".into(), "revoked".into())
    );

    let address = "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS";
    ok(&run("admin", &["wallets", "set", address, "--role", "viewer,analyst"]));
    assert_eq!(
        ok(&run("admin", &["wallets", "list"]))["wallets"][0]["roles"],
        serde_json::json!(["viewer", "analyst"])
    );
    ok(&run("admin", &["wallets", "remove", address]));
    assert_eq!(ok(&run("admin", &["wallets", "list"]))["wallets"], serde_json::json!([]));
    assert_eq!(run("admin", &["wallets", "set", "../keys", "--role", "admin"]).status.code(), Some(2));

    // The last way in stays, unless it is meant.
    let last = first["key"]["id"].as_str().unwrap();
    let refused = run("admin", &["keys", "revoke", last]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stdout).unwrap().contains("last way in"));

    // The next start has an admin.
    drop(served);
    let served = serve(folder);
    assert_eq!(served.first_token, None);
    let forced = sentinel(folder, &served.url, "admin", &["keys", "revoke", last, "--force"]);
    assert_eq!(ok(&forced)["state"], "revoked");
    drop(served);
    assert!(serve(folder).first_token.is_some());
}
