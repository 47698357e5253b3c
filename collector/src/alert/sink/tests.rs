use super::*;
use crate::domain::{Group, Notice, Telling};
use serde_json::Value;

fn delivery(kind: Telling) -> Delivery {
    let group: Group = [("rule", "injection/<b>"), ("route", "chat")].into_iter().collect();
    let notice = Notice {
        kind,
        rule: "attack-campaign".to_owned(),
        severity: Severity::Critical,
        group,
        summary: "20 events within 10m, limit 20".to_owned(),
        value: 20.0,
        opened_ms: 1_769_860_800_000,
        at_ms: 1_769_860_860_000,
    };
    Delivery { id: 7, alert: 3, ..Delivery::new("s", notice) }
}

fn url() -> Url {
    Url::parse("https://hooks.example/services/T0/SECRET").unwrap()
}

fn post(kind: Kind, telling: Telling) -> Post {
    let sink = Sink { name: "s".to_owned(), severity: Severity::Info, kind };
    let message = sink.message(&delivery(telling), Some("https://s.example"), 1_769_860_900_500);
    match message {
        Message::Post(post) => post,
        Message::Mail(_) => panic!("a mail"),
    }
}

#[test]
fn a_signature_is_as_it_is_documented() {
    // openssl: printf '1769860900.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
    let found = webhook::signature("0123456789abcdef", 1_769_860_900, br#"{"a":1}"#);
    let hex = "a8c180e75bc3a0efcbd59bd43e5017850b7caf677b3137671bfeca0782c99d7a";
    assert_eq!(found, format!("t=1769860900,v1={hex}"));
    let kind = Kind::Webhook { url: url(), secret: "0123456789abcdef".to_owned() };
    let post = post(kind, Telling::Firing);
    let signed = webhook::signature("0123456789abcdef", 1_769_860_900, &post.body);
    assert!(post.headers.contains(&("sentinel-signature", signed)));
    assert!(post.headers.contains(&("sentinel-delivery", "7".to_owned())));
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    assert_eq!(body["link"], "https://s.example/#alerts/3");
    assert_eq!(body["group"]["route"], "chat");
}

#[test]
fn signs_of_markup_are_text() {
    let post = post(Kind::Slack { url: url() }, Telling::Firing);
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    let text = body["text"].as_str().unwrap();
    let expected =
        "*[CRITICAL] attack-campaign (route=chat, rule=injection/&lt;b&gt;)*\n20 events within 10m, limit 20";
    assert_eq!(text, format!("{expected}\n<https://s.example/#alerts/3|Open it>"));
}

#[test]
fn the_same_alert_has_the_same_labels_and_ends_in_the_past() {
    let of = |telling| -> Value {
        serde_json::from_slice(&post(Kind::Alertmanager { url: url() }, telling).body).unwrap()
    };
    let (firing, resolved) = (of(Telling::Firing), of(Telling::Resolved));
    assert_eq!(firing[0]["labels"], resolved[0]["labels"]);
    assert_eq!(firing[0]["startsAt"], "2026-01-31T12:00:00.000Z");
    assert_eq!(firing[0]["endsAt"], "2026-03-02T12:01:40.500Z");
    assert_eq!(resolved[0]["endsAt"], "2026-01-31T12:01:00.000Z");
    assert_eq!(firing[0]["labels"]["alertname"], "attack-campaign");
}

#[test]
fn nothing_that_is_printed_has_an_address() {
    let post = post(Kind::Slack { url: url() }, Telling::Firing);
    let shown = format!("{post:?} {:?}", Kind::Slack { url: url() });
    assert!(!shown.contains("SECRET"), "{shown}");
}
