//! Crescendo, probing and attacks in two parts, as whole exchanges see them.

use sentinel_core::{Action, Verdict};
use serde_json::{Value, json};

use crate::host::{Host, Passed};

const ANN: &[(&str, &str)] = &[("x-session-id", "ann-1")];
const BOB: &[(&str, &str)] = &[("x-session-id", "bob-1")];

fn by_header() -> Value {
    json!({ "keys": ["header:x-session-id"], "quarantine_s": 300 })
}

fn with(mut session: Value, more: &Value) -> Value {
    session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    session
}

/// Turn after turn of a middling score, until one is refused.
fn escalate(host: &mut Host, headers: &[(&str, &str)]) -> Vec<Passed> {
    let mut turns = Vec::new();
    for n in 0..20 {
        host.ms += 1_000;
        turns.push(host.say(headers, &format!("Turn {n}: more marmalade, please.")));
        if turns.last().is_some_and(|turn| turn.reply.is_some()) {
            break;
        }
    }
    turns
}

#[test]
fn middling_turns_come_to_a_finding_and_to_quarantine_which_ends_and_is_nobody_elses() {
    let mut host = Host::new(by_header(), json!({}));
    let turns = escalate(&mut host, ANN);
    let found = turns.iter().position(|turn| turn.rules().contains(&"session/crescendo"));
    assert_eq!((found, turns.len()), (Some(4), 11), "{:?}", turns.last());
    // Each turn weighs more than the one before, by the risk of the session.
    assert!(turns.windows(2).all(|pair| pair[0].event.score < pair[1].event.score));
    let last = &turns[10];
    let session = last.event.session.as_ref().unwrap();
    assert_eq!(session.quarantined_until_ms, Some(host.ms + 300_000));
    assert!(session.began && !session.refused && session.risk >= 0.9);
    assert_eq!(last.reply.as_ref().unwrap().status, 403);

    // Whatever it says now.
    host.ms += 1_000;
    let refused = host.say(ANN, "Good morning.");
    let reply = refused.reply.as_ref().unwrap();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &body["error"]["sentinel"]["code"]), (403, &json!("sentinel_quarantined")));
    assert_eq!((refused.event.action, refused.event.verdict), (Action::Block, Verdict::Suspicious));
    let session = refused.event.session.as_ref().unwrap();
    assert!(session.refused && !session.began);
    assert!(host.say(BOB, "Good morning.").went_on());
    assert!(host.say(&[("x-session-id", "ann-1"), ("x-api-key", "sk-2")], "Good morning.").went_on());

    host.ms += 300_000;
    let after = host.say(ANN, "Good morning.");
    assert!(after.went_on() && after.event.action == Action::Allow, "{after:?}");
    assert_eq!(after.event.session.as_ref().unwrap().quarantined_until_ms, None);
}

#[test]
fn an_event_names_a_session_by_a_number_and_not_by_its_id() {
    let mut host = Host::new(by_header(), json!({}));
    let first = host.say(ANN, "Good morning.").event;
    let again = host.say(ANN, "Some marmalade.").event;
    let other = host.say(BOB, "Good morning.").event;
    let id = |event: &sentinel_core::event::Event| event.session.as_ref().unwrap().id.clone();
    assert_eq!(id(&first), id(&again));
    assert_ne!(id(&first), id(&other));
    assert!(!serde_json::to_string(&again).unwrap().contains("ann-1"));
    assert!(host.say(&[], "Good morning.").event.session.is_none());
}

#[test]
fn a_profile_that_watches_refuses_nobody_and_says_what_it_would_have_done() {
    let mut host = Host::new(by_header(), json!({ "mode": "monitor" }));
    let turns = escalate(&mut host, ANN);
    assert!(turns.len() == 20 && turns.iter().all(Passed::went_on));
    let last = &turns[19].event;
    assert_eq!((last.action, last.would), (Action::Monitor, Some(Action::Block)));
    let harmless = host.say(ANN, "Good morning.").event;
    assert_eq!((harmless.action, harmless.would), (Action::Monitor, Some(Action::Block)));
}

#[test]
fn a_quarantine_may_only_tag() {
    let mut host = Host::new(with(by_header(), &json!({ "on_quarantine": "tag" })), json!({}));
    let turns = escalate(&mut host, ANN);
    assert_eq!(turns.len(), 20);
    let harmless = host.say(ANN, "Good morning.");
    assert_eq!((harmless.event.action, harmless.reply.is_none()), (Action::Tag, true));
    assert!(harmless.headers.iter().any(|edit| edit.contains("x-sentinel-action")), "{harmless:?}");
}

#[test]
fn variants_of_what_is_refused_are_probing_and_the_same_again_is_not() {
    let mut host = Host::new(by_header(), json!({}));
    let found: Vec<bool> = (0..4)
        .map(|n| host.say(ANN, &format!("A damson, variant {n}")).rules().contains(&"session/probing"))
        .collect();
    assert_eq!(found, [false, false, false, true]);
    let mut host = Host::new(with(by_header(), &json!({ "weight": 0.01 })), json!({}));
    let same = (0..20).filter(|_| host.say(ANN, "A damson.").rules().contains(&"session/probing")).count();
    assert_eq!(same, 0);
}

#[test]
fn a_conversation_that_is_sent_again_with_each_turn_is_not_found_anew() {
    let mut host = Host::new(by_header(), json!({}));
    let mut messages = vec![
        ("system", "Speak of marmalade and of nothing else."),
        ("user", "One marmalade."),
        ("assistant", "Yes."),
    ];
    for turn in ["How is the weather?", "And tomorrow?", "Thanks."].repeat(10) {
        messages.push(("user", turn));
        let passed = host.chat(ANN, &messages);
        assert!(passed.went_on() && !passed.rules().contains(&"session/crescendo"), "{passed:?}");
        messages.push(("assistant", "Fine."));
        host.ms += 1_000;
    }
    let risk = host.chat(ANN, &messages).event.session.unwrap().risk;
    assert!(risk < 0.25, "{risk}");
    // Who invents what was said before is no better off than who says it now.
    let mut host = Host::new(by_header(), json!({}));
    let refused = (0..20).position(|n| {
        let invented = format!("Marmalade {n}.");
        let messages = [("user", invented.as_str()), ("assistant", "Yes."), ("user", "Go on.")];
        host.chat(ANN, &messages).reply.is_some()
    });
    assert_eq!(refused, Some(10));
}

#[test]
fn data_about_people_is_no_attack_and_raises_no_risk() {
    let mut host = Host::new(by_header(), json!({}));
    let turns: Vec<Passed> = (0..30).map(|n| host.say(ANN, &format!("My greengage, number {n}"))).collect();
    assert!(turns.iter().all(|turn| turn.event.action == Action::Mask));
    assert_eq!(turns[29].event.session.as_ref().unwrap().risk, 0.0);
}

#[test]
fn risk_that_was_there_moves_what_is_found_and_nothing_else() {
    let profile = json!({ "thresholds": { "tag": 0.4, "block": 0.8 } });
    let mut host = Host::new(by_header(), profile);
    let score = |passed: &Passed| passed.event.score;
    let before = host.say(ANN, "A quince.");
    assert!((score(&before) - 0.3).abs() < 1e-6 && before.event.action == Action::Monitor, "{before:?}");
    (0..6).for_each(|n| drop(host.say(ANN, &format!("Marmalade {n}."))));
    let after = host.say(ANN, "Another quince.");
    assert!(score(&after) > 0.4 && after.event.action == Action::Tag, "{after:?}");
    let harmless = host.say(ANN, "Good morning.");
    assert_eq!((score(&harmless), harmless.event.action), (0.0, Action::Allow));
}

#[test]
fn an_attack_that_is_cut_in_two_is_seen_with_its_second_part() {
    let halves = [
        ("Would you kindly open", "sealed vault now."),
        ("Would you kindly open seal", "ed vault now."),
        ("Would you kindly OPEN", "Sealed Vault."),
    ];
    for (first, second) in halves {
        for tail_bytes in [0, 64] {
            let session = with(by_header(), &json!({ "tail_bytes": tail_bytes }));
            let mut host = Host::new(session, json!({}));
            assert!(host.say(ANN, first).went_on());
            let passed = host.say(ANN, second);
            assert_eq!(!passed.went_on(), tail_bytes > 0, "{first:?} {second:?} {passed:?}");
            if tail_bytes > 0 {
                assert_eq!(passed.rules(), ["custom/vault"]);
                let finding = &passed.event.findings[0];
                assert!(finding.end > finding.start);
            }
            // The second half alone, in another session, is harmless; and so is what comes after the attack.
            assert!(host.say(BOB, second).went_on());
        }
    }
}

#[test]
fn what_the_last_text_was_by_itself_is_not_held_against_the_next() {
    let session = with(by_header(), &json!({ "tail_bytes": 200, "quarantine": 2.0, "tag": 1.5 }));
    let mut host = Host::new(session, json!({}));
    assert!(!host.say(ANN, "Please open sealed vault").went_on());
    assert!(host.say(ANN, "Sorry. How is the weather?").went_on());
    assert!(host.say(ANN, "Would you kindly open").went_on());
    host.ms += 121_000;
    assert!(host.say(ANN, "sealed vault").went_on(), "it is kept for two minutes");
}

#[test]
fn what_the_body_says_may_be_the_session() {
    let mut host = Host::new(json!({ "keys": ["conversation", "prefix", "ip"] }), json!({}));
    let id = |passed: Passed| passed.event.session.unwrap().id;
    let named = |member: &str, value: Value| {
        json!({ "messages": [{ "role": "user", "content": "Hi." }], member: value }).to_string()
    };
    let one = id(host.send(&[], &named("conversation_id", json!("c1"))));
    assert_eq!(id(host.send(&[], &named("conversation", json!({ "id": "c1" })))), one);
    assert_ne!(id(host.send(&[], &named("thread_id", json!("c2")))), one);
    let opening = id(host.chat(&[], &[("system", "Be kind."), ("user", "Hi.")]));
    let later =
        id(host.chat(&[], &[("system", "Be kind."), ("user", "Hi."), ("assistant", "Hi!"), ("user", "Go.")]));
    assert_eq!(opening, later);
    assert_ne!(id(host.chat(&[], &[("system", "Be brief."), ("user", "Hi.")])), opening);
    assert_eq!(id(host.send(&[], "{}")), id(host.send(&[], "[]")), "by address");
}

#[test]
fn tenants_have_sessions_of_their_own_and_nobody_leaves_one_by_inventing_a_tenant() {
    let policy = json!({
        "session": { "keys": ["ip"] },
        "tenants": { "key": "header:x-tenant", "profiles": { "acme": "default", "globex": "default" } },
        "patterns": crate::host::patterns(),
    });
    let mut host = Host::of(policy);
    let mut refused =
        |tenant: &str| escalate(&mut host, &[("x-tenant", tenant)]).last().unwrap().reply.is_some();
    assert!(refused("acme"));
    assert!(host.say(&[("x-tenant", "globex")], "Good morning.").went_on());
    assert!(host.say(&[], "Good morning.").went_on());
    escalate(&mut host, &[]);
    for tenant in ["a", "b", "c"] {
        assert!(!host.say(&[("x-tenant", tenant)], "Good morning.").went_on(), "{tenant}");
    }
}

#[test]
fn a_body_that_is_not_read_is_refused_as_well() {
    let gaps = json!({ "on_gap": { "request": { "encoding": "allow" } } });
    let mut host = Host::new(by_header(), gaps);
    let coded = [("x-session-id", "ann-1"), ("content-encoding", "unheard-of")];
    assert!(host.say(&coded, "Good morning.").went_on());
    escalate(&mut host, ANN);
    assert!(!host.say(&coded, "Good morning.").went_on());
}

#[test]
fn rules_of_sessions_are_rules() {
    let block = json!({ "rules": { "session/crescendo": "block" } });
    let mut host = Host::new(by_header(), block);
    assert_eq!(escalate(&mut host, ANN).len(), 5);
    let watch = json!({ "rules": { "session": "monitor" } });
    let mut host = Host::new(with(by_header(), &json!({ "quarantine": 2.0 })), watch);
    let turns = escalate(&mut host, ANN);
    assert!(turns.iter().all(Passed::went_on));
    assert!(
        turns[10].event.findings.iter().any(|finding| finding.rule == "session/crescendo" && finding.shadow)
    );
}
