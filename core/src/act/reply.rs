//! Why something was refused, as a reply of HTTP and as the last words of a stream that is cut. Both name the rule
//! family and the request, never the text that matched. What they look like is up to [`super::shape`].

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Value, json};

use super::shape;
use crate::{
    action::{Direction, Verdict},
    decide::Decision,
    guard::rates::Refused,
    receipt::GapReason,
    step::Reply,
    stream::Opening,
    traffic::{Calls, Dialect, Framing},
};

/// Who asked, and in which words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) calls: &'a Calls,
    pub(crate) request_id: Option<&'a str>,
}

/// What every shape has to say.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    /// `sentinel_blocked` and the like, for programs.
    pub(super) code: &'static str,
    pub(super) kind: &'static str,
    /// For people.
    pub(super) message: String,
    verdict: Verdict,
    direction: Direction,
    families: Vec<&'static str>,
    gaps: Vec<GapReason>,
    pub(super) client: Client<'a>,
    details: String,
}

/// The reply to a blocked request or response.
pub(crate) fn blocked(decision: &Decision, direction: Direction, client: Client<'_>) -> Reply {
    Refusal::blocked(decision, direction, client).reply()
}

/// What a stream ends with when it is cut.
pub(crate) fn last_words(
    decision: &Decision,
    direction: Direction,
    client: Client<'_>,
    framing: Framing,
    opening: &Opening,
) -> Vec<u8> {
    let by_request = if client.calls.is_rpc { Dialect::JsonRpc } else { client.dialect };
    let dialect = Dialect::of_event(&opening.payload).unwrap_or(by_request);
    let client = Client { dialect, ..client };
    shape::last_words(&Refusal::blocked(decision, direction, client), framing, opening)
}

/// A limit was reached.
pub(crate) fn limited(refused: &Refused, client: Client<'_>) -> Reply {
    let Refused { limit, quota, retry_after_s, .. } = refused;
    let refusal = Refusal {
        status: 429,
        code: "sentinel_rate_limited",
        kind: "rate_limit_error",
        message: format!(
            "The request was refused because the limit {limit} is reached; try again in {retry_after_s} s."
        ),
        verdict: Verdict::Clean,
        direction: Direction::Request,
        families: Vec::new(),
        gaps: Vec::new(),
        client,
        details: format!("sentinel_rate_limited{{limit={limit}}}"),
    };
    let mut reply = refusal.reply();
    // Kits wait as long as they are told, and try again.
    reply.headers.retain(|(name, _)| *name != "x-should-retry");
    reply.headers.extend([
        ("retry-after", retry_after_s.to_string()),
        ("ratelimit-limit", quota.limit.to_string()),
        ("ratelimit-remaining", quota.remaining.to_string()),
        ("ratelimit-reset", quota.reset_s.to_string()),
    ]);
    reply
}

/// Its session is in quarantine, whatever the request itself says.
pub(crate) fn quarantined(client: Client<'_>) -> Reply {
    let refusal = Refusal {
        status: 403,
        code: "sentinel_quarantined",
        kind: "sentinel_policy",
        message: String::from("The request was refused because its session is in quarantine."),
        verdict: Verdict::Suspicious,
        direction: Direction::Request,
        families: Vec::new(),
        gaps: Vec::new(),
        client,
        details: String::from("sentinel_block{quarantine}"),
    };
    refusal.reply()
}

/// The guard itself cannot do its work here and policy says not to let traffic by.
pub(crate) fn unavailable(why: &'static str, client: Client<'_>) -> Reply {
    let refusal = Refusal {
        status: 503,
        code: "sentinel_unavailable",
        kind: "sentinel_unavailable",
        message: format!("The request was refused because the guard cannot inspect it here ({why})."),
        verdict: Verdict::Incomplete,
        direction: Direction::Request,
        families: Vec::new(),
        gaps: Vec::from([GapReason::DetectorError]),
        client,
        details: format!("sentinel_unavailable{{{why}}}"),
    };
    refusal.reply()
}

/// Policy serves the tenants that it knows, and this request is of no such tenant.
pub(crate) fn unknown_tenant(client: Client<'_>) -> Reply {
    let refusal = Refusal {
        status: 403,
        code: "sentinel_unknown_tenant",
        kind: "sentinel_policy",
        message: String::from("The request was refused because it names no tenant that policy knows."),
        verdict: Verdict::Incomplete,
        direction: Direction::Request,
        families: Vec::new(),
        gaps: Vec::from([GapReason::NotGuarded]),
        client,
        details: String::from("sentinel_block{unknown_tenant}"),
    };
    refusal.reply()
}

impl<'a> Refusal<'a> {
    fn blocked(decision: &Decision, direction: Direction, client: Client<'a>) -> Self {
        let shown = decision.findings.iter().filter(|finding| finding.counts());
        let mut families: Vec<&'static str> = shown.map(|finding| finding.family.name()).collect();
        families.sort_unstable();
        families.dedup();
        let by_gap = decision.blocked_by_gap;
        let too_long = by_gap && decision.gaps == [GapReason::Length];
        let (status, code) = match (by_gap, decision.gaps.first()) {
            (true, Some(reason)) if too_long => (gap_status(*reason, direction), "sentinel_too_long"),
            (true, Some(reason)) => (gap_status(*reason, direction), "sentinel_not_inspected"),
            _ => (403, "sentinel_blocked"),
        };
        let what = direction.name();
        let gaps = gap_words(&decision.gaps);
        let message = match by_gap {
            true if too_long => {
                format!("The {what} was refused because its text is longer than policy allows.")
            }
            true => format!("The {what} was refused because it could not be inspected ({gaps})."),
            false => format!("The {what} was blocked by policy ({}).", families.join(", ")),
        };
        let details = match (by_gap, decision.findings.iter().find(|finding| finding.counts())) {
            (false, Some(finding)) => format!("sentinel_block{{rule={}}}", finding.rule),
            _ => format!("sentinel_block{{gap={gaps}}}"),
        };
        let (verdict, gaps) = (decision.verdict, decision.gaps.clone());
        let kind = "sentinel_policy";
        Self { status, code, kind, message, verdict, direction, families, gaps, client, details }
    }

    /// The same for every provider, in a member of its own that clients who do not know it skip.
    pub(super) fn sentinel(&self) -> Value {
        let gaps: Vec<&str> = self.gaps.iter().map(|reason| reason.name()).collect();
        json!({
            "code": self.code,
            "verdict": self.verdict.name(),
            "direction": self.direction.name(),
            "families": self.families,
            "gaps": gaps,
            "request_id": self.client.request_id,
        })
    }

    fn reply(self) -> Reply {
        let shape::Shaped { status, content_type, body } = shape::body(&self);
        let mut headers = Vec::from([
            ("content-type", content_type.to_string()),
            ("x-sentinel-action", "block".to_string()),
            ("x-sentinel-verdict", self.verdict.name().to_string()),
            // The kits of OpenAI and Anthropic try again after a 5xx; policy would say the same.
            ("x-should-retry", "false".to_string()),
        ]);
        if let Some(id) = self.client.request_id {
            headers.push(("x-sentinel-request-id", id.to_string()));
            headers.extend(shape::request_id_header(self.client.dialect).map(|name| (name, id.to_string())));
        }
        if self.client.dialect == Dialect::Bedrock {
            headers.push(("x-amzn-errortype", shape::bedrock_error(status).to_string()));
        }
        Reply { status, headers, body, details: self.details }
    }
}

/// The status that says what a well-meaning client could change.
const fn gap_status(reason: GapReason, direction: Direction) -> u16 {
    match (direction, reason) {
        (Direction::Response, _) => 502,
        (_, GapReason::Size | GapReason::Length) => 413,
        (_, GapReason::Encoding) => 415,
        (_, GapReason::Unparsable | GapReason::Depth) => 400,
        (_, GapReason::DetectorError) => 503,
        _ => 403,
    }
}

fn gap_words(gaps: &[GapReason]) -> String {
    let names: Vec<&str> = gaps.iter().map(|reason| reason.name()).collect();
    names.join(",")
}
