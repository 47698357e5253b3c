//! Shares of limits that several proxies have in common: asked of the collector in batches, while requests go on with what is
//! left of the last one.

use std::time::Duration;

use sentinel_core::{
    Guards, Time,
    config::CollectorConfig,
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
    host::{Call, Host},
};

const PATH: &str = "/v1/leases";
const TIMEOUT: Duration = Duration::from_millis(500);
/// No answer is longer.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// More is asked for with the next request.
const WANTS_MAX: usize = 64;

#[derive(Debug, Default)]
pub struct Leases {
    wanted: Vec<Want>,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
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
    pub fn want(&mut self, wants: Vec<Want>) {
        for want in wants {
            let is_known = |known: &Want| known.limit == want.limit && known.key == want.key;
            if self.wanted.len() < WANTS_MAX && !self.wanted.iter().any(is_known) {
                self.wanted.push(want);
            }
        }
    }

    pub const fn is_wanting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whoever wants something now is served when the answer comes.
    pub const fn is_asking(&self) -> bool {
        self.under_way.is_some()
    }

    pub fn ask(
        &mut self,
        collector: &CollectorConfig,
        breakers: &mut Breakers,
        now: Time,
        host: &mut dyn Host,
    ) {
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            breakers.answered(Kind::Leases, late.permit, false, now, host.chance());
        }
        if self.under_way.is_some() || !self.is_wanting() {
            return;
        }
        let Some(permit) = breakers.ask(Kind::Leases, now, host.chance()) else {
            // Limits find out by themselves that nothing was granted.
            return self.wanted.clear();
        };
        let wanted: Vec<Value> = self.wanted.drain(..).map(|want| body_of(&want)).collect();
        let body = json!({ "leases": wanted }).to_string().into_bytes();
        let headers = vec![("content-type", "application/json")];
        match host.call(collector, Call { method: "POST", path: PATH, headers, body, timeout: TIMEOUT }) {
            Ok(token) => {
                let deadline = Alarm::after(now, 2 * TIMEOUT);
                self.under_way = Some(UnderWay { token, deadline, permit });
            }
            Err(_) => breakers.answered(Kind::Leases, permit, false, now, host.chance()),
        }
    }

    /// Whether the answer to a call was this one's. `body` is read only then, up to [`ANSWER_BYTES_MAX`], where the status is
    /// 200.
    pub fn answered(
        &mut self,
        token: u32,
        body: impl FnOnce() -> Option<Vec<u8>>,
        guards: &Guards,
        memory: &dyn SharedMemory,
        breakers: &mut Breakers,
        now: Time,
        host: &mut dyn Host,
    ) -> bool {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return false };
        let Some(answer) = body().and_then(|body| serde_json::from_slice::<Answer>(&body).ok()) else {
            breakers.answered(Kind::Leases, call.permit, false, now, host.chance());
            return true;
        };
        // A collector that says so works, even if nobody counts for it.
        breakers.answered(Kind::Leases, call.permit, true, now, host.chance());
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
