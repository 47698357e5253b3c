//! Whom an event is about: said only where policy wants it, and by what policy believes.

use serde_json::{Value, json};

use crate::host::Host;

const ANN: &[(&str, &str)] = &[("x-user", " ann@example.org "), ("x-other", "bob")];

fn subject(who: &Value, headers: &[(&str, &str)]) -> Option<String> {
    Host::of(json!({ "rates": { "who": who } })).say(headers, "Good morning.").event.subject
}

#[test]
fn events_name_a_user_only_if_they_are_told_to() {
    let named = json!({ "user_header": "x-user", "name_in_events": true });
    assert_eq!(subject(&named, ANN).as_deref(), Some("ann@example.org"));
    assert_eq!(subject(&named, &[("x-other", "bob")]), None);
    assert_eq!(subject(&named, &[("x-user", "  ")]), None);
    assert_eq!(subject(&json!({ "user_header": "x-user" }), ANN), None);
    assert_eq!(subject(&json!({ "name_in_events": true }), ANN), None, "no header is believed by itself");
    let long = "x".repeat(1_000);
    assert_eq!(subject(&named, &[("x-user", &long)]).unwrap().len(), 256);
}
