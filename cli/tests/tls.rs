//! The commands at a collector with TLS: they speak to it if its certificate is one that they were told to believe.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

#[path = "../../collector/src/outgoing/tests/certificates.rs"]
mod certificates;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use certificates::{Authority, Server};
use serde_json::Value;

/// Ends with the test.
struct Served(Child, String);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> Served {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "json", "--token", "long-enough"])
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
    let listening = lines.by_ref().find(|line| line.contains("collector is listening")).unwrap();
    let line: Value = serde_json::from_str(&listening).unwrap();
    let url = format!("https://{}", line["address"].as_str().unwrap());
    // A full pipe would stop it.
    thread::spawn(move || lines.for_each(drop));
    Served(process, url)
}

fn sentinel(folder: &Path, url: &str, args: &[&str], ca: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
    command.args(args).args(["--collector", url, "--token-file", "token"]).current_dir(folder);
    // Whoever has set a proxy has not meant it for the token.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env_remove("SENTINEL_CA_FILE");
    if let Some(ca) = ca {
        command.env("SENTINEL_CA_FILE", ca);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

#[test]
fn commands_speak_tls_to_whom_they_were_told_to_believe_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("token"), "long-enough\n").unwrap();
    let authority = Authority::new(1);
    authority.write(&Server::local(), folder);
    fs::write(folder.join("other.pem"), Authority::new(2).certificate()).unwrap();
    let served = serve(folder);
    let run = |args: &[&str], ca| sentinel(folder, &served.1, args, ca);

    let list = ["--json", "events", "list"];
    let (code, text) = run(&list, Some("ca.pem"));
    assert!(code == Some(0) && text.contains("\"events\""), "{text}");
    let (code, text) = run(&["events", "list", "--ca-file", "ca.pem", "--ca-file", "other.pem"], None);
    assert_eq!(code, Some(0), "{text}");
    // Reading stands in the log, too, and is signed for within a second.
    let begun = Instant::now();
    while let (code @ (None | Some(1..)), text) = run(&["audit", "verify", "--ca-file", "ca.pem"], None) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{code:?} {text}");
        thread::sleep(Duration::from_millis(200));
    }

    for (ca, says) in [
        (None, "not trusted here"),
        (Some("other.pem"), "not trusted here"),
        (Some("key.pem"), "no certificate"),
    ] {
        let (code, text) = run(&list, ca);
        assert!(code != Some(0) && text.contains(says) && !text.contains("long-enough"), "{ca:?}: {text}");
    }
    let (code, text) = run(&["audit", "verify"], None);
    assert!(code != Some(0) && text.contains("not trusted here"), "{text}");
    let plain = served.1.replace("https", "http");
    let (code, text) = sentinel(folder, &plain, &list, Some("ca.pem"));
    assert!(code != Some(0) && text.contains("cannot be reached"), "{text}");
    drop(served);

    authority.write(&Server { until: "210101000000Z", ..Server::local() }, folder);
    let served = serve(folder);
    let (code, text) = sentinel(folder, &served.1, &list, Some("ca.pem"));
    assert!(code != Some(0) && text.contains("has expired"), "{text}");
}
