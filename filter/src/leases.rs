//! Shares of limits that several proxies have in common: asked of the collector in batches, while requests go on with what is
//! left of the last one.

use std::time::Duration;

use sentinel_core::{
    Guards, Time,
    guard::{
        SharedMemory,
        breaker::Permit,
        rates::{Grant, Want},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    alarm::Alarm,
    breakers::{Breakers, Kind},
    collector, host,
    vm::Settings,
};

const PATH: &str = "/v1/leases";
const TIMEOUT: Duration = Duration::from_millis(500);
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// More is asked for with the next request.
const WANTS_MAX: usize = 64;

pub(crate) struct Leases {
    wanted: Vec<Want>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    token: u32,
    deadline: Alarm,
    permit: Permit,
}

#[derive(Deserialize)]
struct Answer {
    leases: Vec<Lease>,
    #[serde(default)]
    source: String,
}

/// The collector is there, and whoever counts for it is not.
const NOBODY_COUNTS: &str = "refused";

#[derive(Deserialize)]
struct Lease {
    limit: String,
    key: String,
    granted: u32,
    until_ms: u64,
}

impl Leases {
    pub(crate) const fn new() -> Self {
        Self { wanted: Vec::new(), under_way: None }
    }

    pub(crate) fn want(&mut self, wants: Vec<Want>) {
        for want in wants {
            let is_known = |known: &Want| known.limit == want.limit && known.key == want.key;
            if self.wanted.len() < WANTS_MAX && !self.wanted.iter().any(is_known) {
                self.wanted.push(want);
            }
        }
    }

    pub(crate) const fn is_wanting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whoever wants something now is served when the answer comes.
    pub(crate) const fn is_asking(&self) -> bool {
        self.under_way.is_some()
    }

    /// Called in the root context, where the answer comes, too.
    pub(crate) fn ask(&mut self, settings: &Settings, breakers: &mut Breakers, now: Time) {
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            breakers.answered(Kind::Leases, late.permit, false, now);
        }
        if self.under_way.is_some() || !self.is_wanting() {
            return;
        }
        let Some(collector) = settings.config.collector.as_ref() else { return };
        let Some(permit) = breakers.ask(Kind::Leases, now) else {
            // Limits find out by themselves that nothing was granted.
            return self.wanted.clear();
        };
        let wanted: Vec<Value> = self.wanted.drain(..).map(|want| body_of(&want)).collect();
        let body = json!({ "leases": wanted }).to_string();
        let headers = [("content-type", "application/json")];
        match collector::call(collector, "POST", PATH, &headers, body.as_bytes(), TIMEOUT) {
            Ok(token) => {
                let deadline = Alarm::after(now, 2 * TIMEOUT);
                self.under_way = Some(UnderWay { token, deadline, permit });
            }
            Err(_) => breakers.answered(Kind::Leases, permit, false, now),
        }
    }

    /// Whether the answer to a callout was this one's.
    pub(crate) fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        body_bytes: usize,
        guards: &Guards,
        memory: &dyn SharedMemory,
        breakers: &mut Breakers,
    ) -> bool {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return false };
        let now = host::now();
        let body = host::callout_body(body_bytes.min(ANSWER_BYTES_MAX)).ok().filter(|_| status == Some(200));
        let Some(answer) = body.and_then(|body| serde_json::from_slice::<Answer>(&body).ok()) else {
            breakers.answered(Kind::Leases, call.permit, false, now);
            return true;
        };
        // A collector that says so works, even if nobody counts for it.
        breakers.answered(Kind::Leases, call.permit, true, now);
        if answer.source == NOBODY_COUNTS {
            // Nobody has said that a limit is spent, so each limit does what it does without an answer.
            return true;
        }
        for Lease { limit, key, granted, until_ms } in answer.leases {
            guards.limiter().grant(memory, &limit, &key, Grant { granted, until_ms }, now);
        }
        true
    }
}

fn body_of(want: &Want) -> Value {
    let Want { limit, key, want, per_second, per_minute, per_hour, burst } = want;
    let periods = [("second", per_second), ("minute", per_minute), ("hour", per_hour)];
    let periods = periods.into_iter().filter_map(|(name, n)| Some((name.to_owned(), json!((*n)?))));
    let per: serde_json::Map<String, Value> = periods.collect();
    json!({ "limit": limit, "key": key, "want": want, "per": per, "burst": burst })
}
