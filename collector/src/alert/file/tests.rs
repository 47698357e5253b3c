use super::*;

fn read(text: &str) -> Result<AlertPlan, Vec<FileError>> {
    let file: AlertsFile = serde_json::from_str(text).unwrap();
    file.plan(&|name| (name == "SECRET").then(|| "0123456789abcdef".to_owned()))
}

#[track_caller]
fn refused(text: &str, field: &str, reason: &str) {
    let errors = read(text).unwrap_err();
    let found = errors.iter().any(|error| error.field == field && error.reason.contains(reason));
    assert!(found, "{errors:?} does not say {reason:?} of {field}");
}

#[test]
fn without_a_file_the_built_in_rules_are_in_force_and_documented() {
    let plan = AlertsFile::default().plan(&|_| None).unwrap();
    assert!(plan.sinks.is_empty());
    let documented =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md")).unwrap();
    for rule in &plan.rules {
        assert!(documented.contains(&format!("\n### {}\n", rule.name)), "{} has no runbook", rule.name);
    }
    assert_eq!(plan.rules.len(), 13);
}

#[test]
fn a_built_in_rule_changes_where_the_file_says_so() {
    let plan = read(
        r#"{"rules":[{"name":"slow-responses","at_least":0.2,"within":"1h"},{"name":"vm-gap","enabled":false}]}"#,
    )
    .unwrap();
    let slow = plan.rules.iter().find(|rule| rule.name == "slow-responses").unwrap();
    assert_eq!((slow.limit, slow.within_ms), (Limit::AtLeast(0.2), 3_600_000));
    assert_eq!((slow.measure, slow.when.latency_ms_min), (Measure::Share, Some(2_000)));
    assert!(!plan.rules.iter().any(|rule| rule.name == "vm-gap"));
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let rule = |text: &str| format!(r#"{{"rules":[{{"name":"mine",{text}}}]}}"#);
    refused(&rule(r#""within":"5m""#), "rules[0].at_least", "either at_least or below");
    refused(&rule(r#""at_least":1,"below":2"#), "rules[0].at_least", "either");
    refused(&rule(r#""at_least":0"#), "rules[0].at_least", "always so");
    refused(&rule(r#""at_least":1,"within":"0s""#), "rules[0].within", "1s to 1d");
    refused(&rule(r#""at_least":1,"before":"1h""#), "rules[0].before", "only a jump");
    refused(&rule(r#""at_least":1,"least":3"#), "rules[0].least", "no share");
    refused(&rule(r#""at_least":0.1,"measure":"share""#), "rules[0].when", "always all");
    refused(
        &rule(r#""at_least":0.1,"measure":"backlog","group_by":["route"]"#),
        "rules[0].group_by",
        "not about events",
    );
    let grouped = r#""at_least":0.1,"measure":"share","when":{"action":["block"]},"group_by":["rule"]"#;
    refused(&rule(grouped), "rules[0].group_by", "several of");
    refused(&rule(r#""at_least":1,"sinks":["chat"]"#), "rules[0].sinks[0]", "no sink \"chat\"");
    refused(
        &rule(r#""at_least":1,"cooldown":"1h","repeat":"5m""#),
        "rules[0].repeat",
        "not less than cooldown",
    );
    refused(r#"{"rules":[{"name":"Mine!","at_least":1}]}"#, "rules[0].name", "a-z");
    refused(r#"{"link":"ftp://x"}"#, "link", "http://");
    refused(
        r#"{"rules":[{"name":"a","at_least":1},{"name":"a","at_least":1}]}"#,
        "rules[1].name",
        "two rules",
    );
    refused(r#"{"rules":[{"name":"slow-responses","within":"2d"}]}"#, "rules[0].within", "1s to 1d");
}

#[test]
fn sinks_are_checked_and_their_secrets_come_from_where_the_file_says() {
    let sink = |text: &str| format!(r#"{{"sinks":[{{"name":"s",{text}}}]}}"#);
    refused(r#"{"sinks":[{"name":"s"}]}"#, "sinks[0]", "expected one of");
    refused(&sink(r#""slack":{"url":"http://a"},"alertmanager":{"url":"http://a"}"#), "sinks[0]", "one of");
    refused(&sink(r#""slack":{}"#), "sinks[0].slack.url", "missing");
    refused(&sink(r#""slack":{"url":"file:///x"}"#), "sinks[0].slack.url", "https://");
    refused(&sink(r#""slack":{"url_env":"NOTHING"}"#), "sinks[0].slack.url_env", "NOTHING is not set");
    refused(&sink(r#""webhook":{"url":"http://a","secret":"short"}"#), "sinks[0].webhook.secret", "16 bytes");
    let mail = |text: &str| {
        sink(&format!(
            r#""email":{{"host":"mail.example","from":"a@example.org","to":["b@example.org"]{text}}}"#
        ))
    };
    refused(&mail(r#","user":"u""#), "sinks[0].email.user", "both");
    let clear = r#","tls":"none","user":"u","password_env":"SECRET""#;
    refused(&mail(clear), "sinks[0].email.tls", "without TLS");
    let two =
        r#"{"sinks":[{"name":"s","slack":{"url":"http://a"}},{"name":"s","slack":{"url":"http://a"}}]}"#;
    refused(two, "sinks[1].name", "two sinks");
    let plan = read(&sink(r#""webhook":{"url":"https://a/secret-path","secret_env":"SECRET"}"#)).unwrap();
    let shown = format!("{plan:?} {}", plan.describe());
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("secret-path"), "{shown}");
    assert!(read(&mail(r#","user":"u","password_env":"SECRET""#)).is_ok());
}

#[test]
fn unknown_fields_are_errors() {
    for text in [r#"{"rule":[]}"#, r#"{"rules":[{"name":"a","treshold":1}]}"#, r#"{"sinks":[{"slak":{}}]}"#] {
        assert!(serde_json::from_str::<AlertsFile>(text).is_err(), "{text}");
    }
}
