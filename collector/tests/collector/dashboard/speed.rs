//! How fast the first page is, with as many events as a month of a busy place has.

use std::time::Instant;

use serde_json::json;

use super::samples::{now_ms, plain};
use super::scene::scene;
use crate::support::Folder;

/// The page is loaded once before, so that what is measured is the collector and the page, and not the start of Chromium.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: a million events; cargo test -p sentinel-collector --test collector a_million -- --ignored --nocapture"]
async fn the_first_page_is_there_within_a_second_with_a_million_events() {
    const EVENTS: i64 = 1_000_000;
    let folder = Folder::new();
    let Some(scene) = scene(&folder).await else { return };
    let now = now_ms();
    let begun = Instant::now();
    for batch in 0..EVENTS / 1_000 {
        let events: Vec<_> = (1..=1_000)
            .map(|n| {
                let seq = batch * 1_000 + n;
                let mut event = plain(
                    &format!("vm-{}", batch % 20),
                    (batch / 20) * 1_000 + n,
                    now - (EVENTS - seq) * 2_592,
                );
                event["route"] = json!(format!("route-{}", seq % 12));
                if seq % 50 == 0 {
                    event["action"] = json!("block");
                    event["findings"] =
                        json!([{"rule": format!("injection/rule-{}", seq % 7), "family": "injection"}]);
                }
                event
            })
            .collect();
        scene.operator.filter.ingest(&events).await;
    }
    println!("stored in {:?}", begun.elapsed());
    scene.sign_in_as_admin();
    for page in ["overview", "overview?last=7d", "overview?last=30d"] {
        scene.go(page);
        scene.browser.open("about:blank").unwrap();
        let begun = Instant::now();
        scene.browser.open(&scene.address(&format!("#/{page}"))).unwrap();
        scene.browser.until("return document.querySelector('.chart svg rect') !== null", &[]).unwrap();
        let took = begun.elapsed();
        println!("{page}: {took:?}");
        assert!(took.as_secs_f64() < 1.0, "{page} took {took:?}");
    }
}
