//! Who was refused stands in the journal, and nobody fills it by being refused.

use std::time::{Duration, Instant};

use sentinel_collector::Config;
use serde_json::Value;

use crate::support::{Client, Folder, config, start};

const READER: &str = "a-reader-of-tests-here";
const ADMIN: &str = "an-admin-token-of-tests";

/// Only filters have [`crate::support::TOKEN`].
fn guarded(folder: &Folder) -> Config {
    Config {
        reader_tokens: vec![READER.to_owned()],
        admin_tokens: vec![ADMIN.to_owned()],
        throttle: false,
        ..config(&folder.database())
    }
}

/// The lines about refusals, oldest first, once there are so many.
async fn refused(client: &Client, n_wanted: usize) -> Vec<Value> {
    let reader = client.with_token(READER);
    for _ in 0..2_400 {
        let journal = reader.json("/v1/journal?limit=1000").await;
        let lines = journal["entries"].as_array().unwrap().iter().rev().map(|line| line["entry"].clone());
        let lines: Vec<Value> = lines.filter(|line| line["what"] == "refused").collect();
        if lines.len() >= n_wanted {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the journal has no {n_wanted} refusals");
}

#[tokio::test]
async fn a_line_says_who_asked_for_what_from_where_and_why_not() {
    let folder = Folder::new();
    let running = start(guarded(&folder)).await;
    let (client, stranger) = (&running.client, running.client.with_token("a-token-of-nobody"));
    stranger.get("/v1/events/ann@example.org?text=ann").await.refused(401, "unauthorized");
    let first = refused(client, 1).await;
    assert_eq!(first[0]["who"], "nobody");
    assert_eq!(first[0]["outcome"], 401);
    assert_eq!(first[0]["target"], "GET /v1/events/{id} from 127.0.0.1: a token that nobody has");
    client.with_token(READER).send("POST", "/v1/keys", b"{}").await.refused(403, "forbidden");
    let second = refused(client, 2).await.pop().unwrap();
    assert!(second["who"].as_str().unwrap().starts_with("token:"), "{second}");
    assert_eq!(
        (second["outcome"].clone(), second["target"].clone()),
        (403.into(), "POST /v1/keys from 127.0.0.1: forbidden".into())
    );
    // What is open to anyone, or is not there, is no refusal; what was let in is none either.
    for path in ["/health", "/nothing", "/v1/gaps"] {
        client.with_token(READER).get(path).await;
    }
    assert_eq!(refused(client, 2).await.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_refusals_are_two_lines_with_their_count() {
    let folder = Folder::new();
    let running = start(guarded(&folder)).await;
    let begun = Instant::now();
    let mut tries = Vec::new();
    for n in 0..20 {
        let client = running.client.with_token(&format!("a-guess-of-nobody-{n}"));
        tries.push(tokio::spawn(async move {
            for _ in 0..50 {
                client.get("/v1/keys").await.refused(401, "unauthorized");
            }
        }));
    }
    for each in tries {
        each.await.unwrap();
    }
    let first = refused(&running.client, 1).await;
    // Of each minute; usually all come within one.
    let n_lines_max = || 2 * (begun.elapsed().as_secs() as usize / 60 + 1);
    assert!(first.len() <= n_lines_max(), "{first:?}");
    // The end of the collector is the end of a minute.
    running.stop().await;
    let running = start(guarded(&folder)).await;
    let lines = refused(&running.client, 2).await;
    let counted: u64 = lines
        .iter()
        .map(|line| match line["target"].as_str().unwrap().split_once(" more from 127.0.0.1") {
            Some((n, _)) => n.parse().unwrap(),
            None => 1,
        })
        .sum();
    assert_eq!(counted, 1_000, "{lines:?}");
    assert!(lines.len() <= n_lines_max() + 2, "{lines:?}");
    running.stop().await;
}
