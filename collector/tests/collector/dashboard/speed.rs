//! What the first page costs does not grow with the events. `cargo xtask bench dashboard` measures it over a million.

use std::time::Duration;

use serde_json::{Value, json};

use super::samples::{now_ms, plain};
use super::scene::{Scene, scene};
use crate::support::Folder;

const MONTH_MS: i64 = 30 * 86_400_000;

/// As many as that, over the last month, of which one in fifty was blocked.
async fn fill(scene: &Scene, vm: &str, n_events: i64) {
    let now = now_ms();
    let events: Vec<Value> = (1..=n_events)
        .map(|seq| {
            let mut event = plain(vm, seq, now - MONTH_MS * (n_events - seq) / n_events);
            event["route"] = json!(format!("route-{}", seq % 12));
            if seq % 50 == 0 {
                event["action"] = json!("block");
                event["findings"] =
                    json!([{"rule": format!("injection/rule-{}", seq % 7), "family": "injection"}]);
            }
            event
        })
        .collect();
    for batch in events.chunks(1_000) {
        scene.operator.filter.ingest(batch).await;
    }
}

/// From the first byte that was asked for until the chart is there, at best, since a machine that does other things only
/// adds to it; and the bytes of all answers.
fn opened(scene: &Scene) -> (Duration, f64) {
    let mut took: Vec<Duration> = (0..5)
        .map(|_| {
            scene.browser.open("about:blank").unwrap();
            scene.browser.open(&scene.address("#/overview?last=30d")).unwrap();
            let at = scene.browser.until(
                "return document.querySelector('.chart svg rect') && (window.shown ??= performance.now())",
                &[],
            );
            Duration::from_secs_f64(at.unwrap().as_f64().unwrap() / 1e3)
        })
        .collect();
    took.sort_unstable();
    println!("{took:?}");
    let answers = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/v1/')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)";
    (took[0], scene.browser.run(answers, &[]).unwrap().as_f64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_as_many_events_cost_the_first_page_no_more() {
    let folder = Folder::new();
    let Some(scene) = scene(&folder).await else { return };
    fill(&scene, "few", 1_000).await;
    scene.sign_in_as_admin();
    let (before, bytes_before) = opened(&scene);
    fill(&scene, "many", 10_000).await;
    let (after, bytes_after) = opened(&scene);
    println!("{before:?} and {bytes_before} bytes of answers, then {after:?} and {bytes_after}");
    assert!(after < before * 3 + Duration::from_millis(500), "{before:?} became {after:?}");
    assert!(bytes_after < 80e3, "{bytes_after} bytes of answers");
    scene.nothing_went_wrong();
}
