//! The files: how they are sent, and that nothing but them is needed.

use std::collections::BTreeSet;
use std::io::Read as _;

use flate2::read::GzDecoder;

use crate::support::{Answer, Client, Folder};

/// What a browser loads before the first figure is there, compressed; the rest comes with the page that needs it.
const FIRST_PAGE_BYTES_MAX: usize = 60 * 1024;
const ALL_BYTES_MAX: usize = 150 * 1024;

fn text(answer: &Answer) -> String {
    if !answer.has_header("content-encoding: gzip") {
        return answer.body();
    }
    let mut text = String::new();
    GzDecoder::new(&answer.bytes[..]).read_to_string(&mut text).unwrap();
    text
}

/// Every path that a page or a script names, from its own place on.
fn named(path: &str, text: &str) -> BTreeSet<String> {
    let folder: Vec<&str> = path
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder)
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut found = BTreeSet::new();
    for name in text.split('"').filter(|name| {
        [".js", ".css", ".svg"].iter().any(|ending| name.ends_with(ending)) && !name.contains(['\n', ' '])
    }) {
        let mut parts = folder.clone();
        for part in name.split('/') {
            match part {
                "." => {}
                ".." => _ = parts.pop(),
                part => parts.push(part),
            }
        }
        found.insert(parts.join("/"));
    }
    found
}

/// Everything that can be reached from the page, each once, with its answer.
async fn walk(client: &Client, without_pages: bool) -> Vec<(String, Answer)> {
    let mut waiting = vec![String::new()];
    let mut seen = BTreeSet::new();
    let mut answers = Vec::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = client.get(&format!("/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        for name in named(&path, &text(&answer)) {
            let is_lazy = name.contains("/pages/") && !name.ends_with("/overview.js");
            if !(without_pages && (is_lazy || name.ends_with("/proof.js"))) {
                waiting.push(name);
            }
        }
        answers.push((path, answer));
    }
    answers
}

#[tokio::test]
async fn the_first_page_and_the_whole_are_small_and_complete() {
    let folder = Folder::new();
    let client =
        folder.start().await.client.with_authorization(None).with_header("accept-encoding", "gzip, br");
    let bytes = |answers: &[(String, Answer)]| -> usize {
        answers.iter().map(|(_, answer)| answer.bytes.len() + answer.head.len()).sum()
    };
    let first = walk(&client, true).await;
    let all = walk(&client, false).await;
    println!(
        "first page: {} bytes in {} files; all: {} bytes in {}",
        bytes(&first),
        first.len(),
        bytes(&all),
        all.len()
    );
    assert!(bytes(&first) <= FIRST_PAGE_BYTES_MAX, "{}", bytes(&first));
    assert!(bytes(&all) <= ALL_BYTES_MAX, "{}", bytes(&all));
    assert!(all.len() > 30, "only {} files are reached", all.len());
    for (path, answer) in &all {
        let expected = match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(answer.header("content-type").as_deref(), Some(expected), "{path}");
        assert!(
            answer.has_header("content-encoding: gzip") && answer.has_header("vary: accept-encoding"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_file_has_the_headers_that_keep_a_page_to_itself() {
    let folder = Folder::new();
    let client = folder.start().await.client.with_authorization(None);
    for (path, answer) in walk(&client, false).await {
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for line in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
        ] {
            assert!(answer.has_header(line), "{path}: {line}");
        }
        assert!(!answer.has_header("set-cookie"));
        let caching = if path.is_empty() { "no-cache" } else { "public, max-age=31536000, immutable" };
        assert_eq!(answer.header("cache-control").as_deref(), Some(caching), "{path}");
    }
}

#[tokio::test]
async fn a_file_that_a_browser_has_is_not_sent_again() {
    let folder = Folder::new();
    let client = folder.start().await.client.with_authorization(None);
    let script =
        named("", &client.get("/").await.body()).into_iter().find(|name| name.ends_with("main.js")).unwrap();
    for path in ["/".to_owned(), format!("/{script}")] {
        for encoding in ["gzip", "identity"] {
            let client = client.with_header("accept-encoding", encoding);
            let first = client.get(&path).await;
            let etag = first.header("etag").unwrap();
            let again = client.with_header("if-none-match", &format!("\"x\", W/{etag}")).get(&path).await;
            assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
            assert_eq!(again.header("etag"), Some(etag));
            assert_eq!(client.with_header("if-none-match", "\"x\"").get(&path).await.status, 200);
        }
        let plain = client.get(&path).await;
        assert_ne!(
            plain.header("etag"),
            client.with_header("accept-encoding", "gzip").get(&path).await.header("etag")
        );
    }
    let head = client.send("HEAD", "/", b"").await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
}

#[tokio::test]
async fn another_version_or_a_path_outside_is_no_file() {
    let folder = Folder::new();
    let client = folder.start().await.client.with_authorization(None);
    let script =
        named("", &client.get("/").await.body()).into_iter().find(|name| name.ends_with("main.js")).unwrap();
    let version = script.split('/').nth(1).unwrap();
    for path in [
        "/assets/0000000000000000/js/main.js".to_owned(),
        format!("/assets/{version}/js/../index.html"),
        format!("/assets/{version}/..%2f..%2fCargo.toml"),
        format!("/assets/{version}/%ff"),
        format!("/assets/{version}"),
        "/assets".to_owned(),
        "/index.html".to_owned(),
    ] {
        client.get(&path).await.refused(404, "not_found");
    }
    client.send("POST", "/", b"").await.refused(405, "method_not_allowed");
}
