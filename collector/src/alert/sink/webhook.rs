//! A notification as JSON, signed so that its receiver knows who sent it and when.
//!
//! `sentinel-signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA-256, with the secret as its key, of SECONDS, a full stop
//! and the body, byte for byte. `sentinel-delivery` is the same whenever the same notification is sent again.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{Post, page};
use crate::domain::Delivery;
use crate::outgoing::Url;

pub(super) fn post(url: &Url, secret: &str, delivery: &Delivery, link: Option<&str>, now_ms: i64) -> Post {
    let notice = &delivery.notice;
    let body = json!({
        "schema": "sentinel.alert/1",
        "delivery": delivery.id,
        "alert": delivery.alert,
        "kind": notice.kind,
        "rule": notice.rule,
        "severity": notice.severity,
        "group": notice.group,
        "summary": notice.summary,
        "value": notice.value,
        "opened_ms": notice.opened_ms,
        "at_ms": notice.at_ms,
        "link": page(link, delivery),
    });
    let body = body.to_string().into_bytes();
    let headers = vec![
        ("sentinel-signature", signature(secret, now_ms.div_euclid(1_000), &body)),
        ("sentinel-delivery", delivery.id.to_string()),
    ];
    Post { url: url.clone(), headers, body }
}

pub(super) fn signature(secret: &str, at_s: i64, body: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    let mac = mac.chain_update(at_s.to_string()).chain_update(b".").chain_update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_s},v1={hex}")
}
