//! Canaries: an address and a card number, in everything that comes in.

use serde_json::{Value, json};

use crate::served::{ADMIN, Served, TOKEN};

pub(crate) const EMAIL: &str = "canary.person@leak.example";
pub(crate) const CARD: &str = "4111111111111111";

/// In every field, also in those that only filters and policies fill.
pub(crate) fn event(seq: u32, canary: &str) -> Value {
    json!({
        "schema": "sentinel.event/1", "vm": "a", "seq": seq, "time_ms": 1_790_000_000_000_u64, "id": canary,
        "verdict": "malicious", "action": "block", "score": 0.75, "request_id": canary, "trace_id": canary,
        "session": {"id": canary}, "subject": canary, "route": canary, "profile": canary, "method": canary,
        "host": canary, "path": format!("/{canary}"), "policy": canary, "bundle": canary, "model": canary,
        "packs": [canary], "gaps": [canary], "degraded": canary, "content": {"request": canary},
        "gen_ai": {"model": canary}, "findings": [{"rule": format!("pii/{canary}"), "family": canary}],
    })
}

/// Everything that somebody could send, with the canary in it; `event` makes an event with it.
pub(crate) fn plant(served: &Served, canary: &str, event: fn(u32, &str) -> Value) {
    let events = json!({"events": [event(1, canary), {"schema": canary}, canary]}).to_string();
    assert_eq!(served.send("POST", "/v1/events", TOKEN, "", &events).0, 200);
    // The same number with other content.
    let other = json!({"events": [event(1, "x"), event(1, canary)]}).to_string();
    assert_eq!(served.send("POST", "/v1/events", TOKEN, "", &other).0, 200);
    let headers = format!("x-request-id: {canary}\r\ncookie: s={canary}\r\nuser-agent: {canary}\r\n");
    for (method, path, token) in [
        ("GET", format!("/v1/{canary}"), TOKEN),
        ("GET", format!("/v1/events?text={canary}&session={canary}&{canary}=1"), TOKEN),
        ("GET", format!("/v1/events/{canary}"), TOKEN),
        ("GET", format!("/v1/events?session={canary}"), ADMIN),
        ("GET", format!("/v1/export?format=jsonl&text={canary}"), ADMIN),
        ("GET", "/v1/events".to_owned(), canary),
        ("GET", "/v1/events".to_owned(), "sk_canary_canary"),
        ("PUT", format!("/v1/wallets/{canary}"), ADMIN),
        ("DELETE", format!("/v1/claims/{canary}"), ADMIN),
        (canary.split('@').next().unwrap(), "/v1/events".to_owned(), TOKEN),
    ] {
        served.send(method, &path, token, &headers, canary);
    }
    let jwt = format!("{canary}.{canary}.{canary}");
    served.send("GET", "/v1/whoami", &jwt, &headers, "");
    for (path, body) in [
        ("/v1/events", json!({"events": canary})),
        ("/v1/subjects/erase", json!({"subject": canary})),
        ("/v1/feedback", json!({"event": canary, "label": canary})),
        ("/v1/deployments", json!({"bundle": canary, "mode": "active", "reason": canary})),
        ("/v1/deployments/current/rollback", json!({"reason": canary})),
        ("/v1/bundles", json!(canary)),
        ("/v1/keys", json!({"name": canary, "roles": [canary]})),
        ("/v1/second-opinion", json!({"texts": [{"channel": "user", "text": canary}]})),
        (
            "/v1/leases",
            json!({"leases": [{"limit": canary, "key": canary, "want": 1, "per": {"minute": 5}}]}),
        ),
        ("/v1/auth/wallet/challenge", json!({"address": canary})),
        ("/v1/auth/wallet/session", json!({"message": canary, "signature": canary})),
        ("/v1/bootstrap", json!({"token": canary, "name": canary})),
    ] {
        served.send("POST", path, ADMIN, &headers, &body.to_string());
        served.send("POST", path, TOKEN, &headers, &body.to_string());
    }
    served.raw(&format!("GET /{canary} HTTP/9.9\r\n{canary}\r\n\r\n"));
}

/// In those fields alone that whoever sends traffic chooses, or what he says.
pub(crate) fn traffic(seq: u32, canary: &str) -> Value {
    json!({
        "schema": "sentinel.event/1", "vm": "a", "seq": seq, "time_ms": 1_790_000_000_000_u64,
        "verdict": "malicious", "action": "block", "score": 0.95, "request_id": canary, "trace_id": canary,
        "session": {"id": canary}, "subject": canary, "route": "chat", "method": canary, "host": canary,
        "path": format!("/{canary}"), "gen_ai": {"model": canary}, "content": {"request": canary},
        "findings": [{"rule": "pii/email", "family": "pii", "text": canary}],
    })
}
