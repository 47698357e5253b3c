//! Second opinions, asked by the built filter: what a deeper model says takes the place of what the compact one thought, and
//! one that says nothing in time holds nobody.
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use anyhow::{Context, Result, ensure};
use sentinel_core::{Action, event::Event, receipt::GapReason};
use sentinel_harness::{
    fake_host::{CalloutReply, FilterModule, HostOptions, Proxy},
    wire::{Request, Response},
};
use sentinel_tests::{doubt::doubtful_text, engine::built_filter};
use serde_json::{Value, json};

fn start(opinion: Value, on_gap: Value) -> Result<Proxy> {
    let config = json!({
        "policy": { "profiles": { "default": {
            "opinion": opinion,
            "on_gap": { "request": on_gap },
        } } },
        "collector": { "cluster": "collector", "token": "test-token", "flush_ms": 10 },
    });
    let module = FilterModule::load(&built_filter()?)?;
    Proxy::start(
        &module,
        HostOptions { plugin_config: config.to_string().into_bytes(), ..HostOptions::default() },
    )
}

fn always() -> Value {
    json!({ "enabled": true, "from": 0.0, "to": 1.0, "deadline_ms": 250 })
}

/// What became of the doubtful text: the status that the client got, whether the upstream got it, and the event.
struct Outcome {
    status: u16,
    arrived: bool,
    event: Event,
}

fn send(proxy: &mut Proxy) -> Result<Outcome> {
    let body = json!({ "messages": [{ "role": "user", "content": doubtful_text()? }] }).to_string();
    let request = Request::json("/v1/chat/completions", body);
    let answer = r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}]}"#;
    let seen = proxy.exchange(&request, &mut |_| Response::json(answer))?;
    proxy.callouts();
    proxy.advance(1_000_000_000);
    proxy.tick()?;
    let shipped = proxy.callouts().pop().context("no event was shipped")?;
    let batch: Value = serde_json::from_slice(&shipped.body)?;
    let event = batch["events"].as_array().and_then(|events| events.last()).context("no event")?;
    Ok(Outcome {
        status: seen.client.context("no answer")?.status,
        arrived: seen.upstream.is_some(),
        event: serde_json::from_value(event.clone())?,
    })
}

fn opinion(attack: f32) -> CalloutReply {
    CalloutReply::ok(
        json!({ "opinions": [{ "attack": attack, "head": "jailbreak" }], "model": "m" }).to_string(),
    )
}

/// Answers questions; batches of events stay without an answer.
fn answer_with(proxy: &mut Proxy, reply: Option<CalloutReply>) {
    proxy.on_callout(move |callout| {
        let is_question = callout.header(":path") == Some(b"/v1/second-opinion".as_slice());
        reply.clone().filter(|_| is_question)
    });
}

fn has_gap(event: &Event) -> bool {
    event.receipt.request.gaps.iter().any(|gap| gap.reason == GapReason::Opinion)
}

#[test]
fn what_the_deeper_model_says_decides() -> Result<()> {
    let mut proxy = start(always(), json!({}))?;
    answer_with(&mut proxy, Some(opinion(0.95)));
    let Outcome { status, arrived, event } = send(&mut proxy)?;
    ensure!(status == 403 && !arrived, "{status}, arrived: {arrived}");
    ensure!(event.findings.iter().any(|finding| finding.rule == "jailbreak/opinion"), "{:?}", event.findings);

    let mut proxy = start(always(), json!({}))?;
    answer_with(&mut proxy, Some(opinion(0.1)));
    let Outcome { status, arrived, event } = send(&mut proxy)?;
    ensure!(status == 200 && arrived && event.action == Action::Allow && !has_gap(&event), "{event:?}");
    Ok(())
}

#[test]
fn what_is_asked_is_the_text_and_nothing_else() -> Result<()> {
    let mut proxy = start(always(), json!({}))?;
    let asked = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let list = std::rc::Rc::clone(&asked);
    proxy.on_callout(move |callout| {
        list.borrow_mut().push(callout.clone());
        Some(opinion(0.1))
    });
    send(&mut proxy)?;
    let asked = asked.borrow();
    let question = asked.first().context("nothing was asked")?;
    ensure!(question.header("authorization") == Some(b"Bearer test-token".as_slice()));
    ensure!(question.timeout.as_millis() == 250);
    let body: Value = serde_json::from_slice(&question.body)?;
    ensure!(body["deadline_ms"] == 250 && body["texts"][0]["channel"] == "user", "{body}");
    ensure!(body["texts"].as_array().is_some_and(|texts| texts.len() == 1), "{body}");
    Ok(())
}

#[test]
fn nobody_is_asked_unless_the_policy_says_so() -> Result<()> {
    for opinion in [json!({}), json!({ "enabled": true, "from": 0.99, "to": 1.0 })] {
        let mut proxy = start(opinion, json!({}))?;
        answer_with(&mut proxy, None);
        let Outcome { status, event, .. } = send(&mut proxy)?;
        ensure!(status == 200 && !has_gap(&event), "{event:?}");
    }
    Ok(())
}

#[test]
fn without_an_answer_the_policy_decides() -> Result<()> {
    let garbage = |body: &str| Some(CalloutReply::ok(body));
    let busy = CalloutReply::Answer { status: 503, headers: Vec::new(), body: Vec::new() };
    let one_too_many = r#"{"opinions":[{"attack":0,"head":"leak"},{"attack":0,"head":"leak"}]}"#;
    let replies = [
        None,
        Some(CalloutReply::Timeout),
        Some(CalloutReply::ConnectFailure),
        Some(CalloutReply::Reset),
        Some(busy),
        garbage(""),
        garbage("<html>"),
        garbage(r#"{"opinions":[]}"#),
        garbage(one_too_many),
        garbage(r#"{"opinions":[{"attack":1e9,"head":"leak"}]}"#),
    ];
    for reply in replies {
        for (on_gap, status) in [(json!({}), 200), (json!({ "opinion": "block" }), 403)] {
            let mut proxy = start(always(), on_gap)?;
            answer_with(&mut proxy, reply.clone());
            let outcome = send(&mut proxy)?;
            let is_right = outcome.status == status && outcome.arrived == (status == 200);
            ensure!(
                is_right && has_gap(&outcome.event),
                "{reply:?}: {}, {:?}",
                outcome.status,
                outcome.event
            );
        }
    }
    Ok(())
}

#[test]
fn a_cluster_that_is_not_there_holds_nobody() -> Result<()> {
    let mut proxy = start(always(), json!({}))?;
    proxy.unknown_clusters().insert("collector".to_owned());
    let body = json!({ "messages": [{ "role": "user", "content": doubtful_text()? }] }).to_string();
    let before = proxy.now_ns();
    let seen = proxy.exchange(&Request::json("/v1/chat/completions", body), &mut |_| Response::json("{}"))?;
    // Some turns, and no waiting for an answer.
    let waited = proxy.now_ns() - before;
    ensure!(seen.client.is_some_and(|client| client.status == 200) && waited < 50_000_000, "{waited} ns");
    Ok(())
}
