//! The module breaks: with a fault that is put into it.

use sentinel_core::{Action, Verdict, receipt::GapReason};
use sentinel_tests::trap::{Trap, with_trap_in};
use serde_json::json;

use super::{
    host::Host,
    site::{ATTACK, HARMLESS, Plan, Site, answer, chat},
};

/// So many bytes of a body in one piece are a trap.
const TRAP_BYTES: u32 = 2_500;
const IN_BODY: Trap = Trap { export: "passage_body", parameter: 3, at_least: TRAP_BYTES };
const IN_HEADERS: Trap = Trap { export: "guard_begin", parameter: 2, at_least: 6_000 };

fn trapping(host: Host, fail: &str, fault: Trap) -> Site {
    let plan = Plan::new(host, json!({ "fail": fail }));
    let site = plan.with_module(|wasm| with_trap_in(wasm, fault).unwrap()).start(|_| answer());
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    site.event();
    site
}

pub(crate) fn one_fails_by_policy(host: Host) {
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(700));
    for (fail, status, action) in [("closed", 503, Action::Block), ("open", 200, Action::Tag)] {
        let site = trapping(host, fail, IN_BODY);
        let seen = site.send(&chat(&long));
        assert_eq!(seen.status, status, "{fail}: {}", seen.text());
        let event = site.event();
        assert_eq!((event.action, event.verdict), (action, Verdict::Incomplete));
        assert_eq!(event.gaps, [GapReason::DetectorError]);
        assert_eq!(site.send(&chat(ATTACK)).status, 403, "{fail}: {:?}", site.log());
        assert_eq!(site.send(&chat(HARMLESS)).status, 200);
        assert_eq!(site.metric("sentinel_traps_total"), 1);
    }
}

pub(crate) fn one_of_every_instance_does_not_pass(host: Host) {
    let site = trapping(host, "closed", IN_HEADERS);
    let request = chat(ATTACK).with_header("x-long", "a".repeat(6_500));
    for _ in 0..5 {
        let seen = site.send(&request);
        assert_eq!(seen.status, 503, "{}", seen.text());
    }
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}
