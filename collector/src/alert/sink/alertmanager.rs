//! An alert as Alertmanager takes it (`POST /api/v2/alerts`): the same labels again are the same alert, and an end in the
//! past ends it.

use serde_json::json;

use super::{Post, page};
use crate::access::rfc3339;
use crate::domain::{Delivery, Telling};
use crate::outgoing::Url;

pub(super) fn post(url: &Url, delivery: &Delivery, link: Option<&str>, now_ms: i64) -> Post {
    let notice = &delivery.notice;
    let mut labels = serde_json::Map::new();
    labels.insert("alertname".to_owned(), json!(notice.rule));
    labels.insert("severity".to_owned(), json!(notice.severity));
    labels.insert("job".to_owned(), json!("sentinel"));
    for (name, value) in notice.group.iter() {
        labels.insert(format!("sentinel_{name}"), json!(value));
    }
    // Alertmanager ends by itself what is not said again within minutes, unless it is told how long it holds.
    let ends_ms = match notice.kind {
        Telling::Resolved => notice.at_ms.min(now_ms),
        Telling::Test => now_ms.saturating_add(TEST_HOLDS_MS),
        Telling::Firing | Telling::Repeated => now_ms.saturating_add(HOLDS_MS),
    };
    let alert = json!({
        "labels": labels,
        "annotations": { "summary": notice.summary, "runbook": format!("docs/alerts.md#{}", notice.rule) },
        "startsAt": rfc3339::write(notice.opened_ms.min(ends_ms)),
        "endsAt": rfc3339::write(ends_ms),
        "generatorURL": page(link, delivery).unwrap_or_default(),
    });
    let body = json!([alert]).to_string().into_bytes();
    Post { url: url.clone(), headers: Vec::new(), body }
}

const HOLDS_MS: i64 = 30 * 86_400_000;
const TEST_HOLDS_MS: i64 = 60_000;
