//! Replies in the shape that OpenAI clients raise as an error of their own: nobody can take a block for an
//! answer of the model. They name the rule family and the request, never the text that matched.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Serialize;

use crate::{
    action::{Direction, Verdict},
    decide::Decision,
    receipt::GapReason,
    step::Reply,
    stream::Stream,
    traffic::Framing,
};

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    message: String,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
    sentinel: Sentinel<'a>,
}

#[derive(Serialize)]
struct Sentinel<'a> {
    verdict: Verdict,
    direction: Direction,
    families: Vec<&'static str>,
    gaps: &'a [GapReason],
    request_id: Option<&'a str>,
}

/// The reply to a blocked request or response.
pub(crate) fn blocked(decision: &Decision, direction: Direction, request_id: Option<&str>) -> Reply {
    let mut families: Vec<&'static str> = decision
        .findings
        .iter()
        .filter(|finding| !finding.shadow)
        .map(|finding| finding.family.name())
        .collect();
    families.sort_unstable();
    families.dedup();
    let by_gap = decision.blocked_by_gap;
    let (status, code) = match (by_gap, decision.gaps.first()) {
        (true, Some(reason)) => (gap_status(*reason, direction), "sentinel_not_inspected"),
        _ => (403, "sentinel_blocked"),
    };
    let what = direction.name();
    let message = match by_gap {
        true => format!(
            "The {what} was refused because it could not be inspected ({}).",
            gap_words(&decision.gaps)
        ),
        false => format!("The {what} was blocked by policy ({}).", families.join(", ")),
    };
    let detail = match (by_gap, decision.findings.first()) {
        (false, Some(finding)) => format!("sentinel_block{{rule={}}}", finding.rule),
        _ => format!("sentinel_block{{gap={}}}", gap_words(&decision.gaps)),
    };
    let body = ErrorBody {
        error: ErrorDetail {
            message,
            r#type: "sentinel_policy",
            param: None,
            code,
            sentinel: Sentinel {
                verdict: decision.verdict,
                direction,
                families,
                gaps: &decision.gaps,
                request_id,
            },
        },
    };
    reply(status, decision.verdict, request_id, &body, detail)
}

/// What a stream ends with when it is cut: an event that clients raise as an error, and the end they wait for.
pub(crate) fn last_words(stream: &Stream, direction: Direction, request_id: Option<&str>) -> Vec<u8> {
    let reply = blocked(stream.decision(), direction, request_id);
    let body = String::from_utf8(reply.body).unwrap_or_default();
    match stream.framing() {
        // OpenAI clients look for `error` in the data, Anthropic's for the name of the event and the type.
        Framing::ServerSentEvents => {
            let rest = body.strip_prefix('{').unwrap_or(&body);
            format!("event: error\ndata: {{\"type\":\"error\",{rest}\n\ndata: [DONE]\n\n").into_bytes()
        }
        Framing::Lines => format!("{body}\n").into_bytes(),
    }
}

/// The guard itself cannot do its work here and policy says not to let traffic by.
pub(crate) fn unavailable(why: &'static str, request_id: Option<&str>) -> Reply {
    let body = ErrorBody {
        error: ErrorDetail {
            message: format!("The request was refused because the guard cannot inspect it here ({why})."),
            r#type: "sentinel_unavailable",
            param: None,
            code: "sentinel_unavailable",
            sentinel: Sentinel {
                verdict: Verdict::Incomplete,
                direction: Direction::Request,
                families: Vec::new(),
                gaps: &[GapReason::DetectorError],
                request_id,
            },
        },
    };
    reply(503, Verdict::Incomplete, request_id, &body, format!("sentinel_unavailable{{{why}}}"))
}

fn reply(
    status: u16,
    verdict: Verdict,
    request_id: Option<&str>,
    body: &ErrorBody<'_>,
    details: String,
) -> Reply {
    let mut headers = Vec::from([
        ("content-type", "application/json".to_string()),
        ("x-sentinel-action", "block".to_string()),
        ("x-sentinel-verdict", verdict.name().to_string()),
    ]);
    if let Some(id) = request_id {
        headers.push(("x-sentinel-request-id", id.to_string()));
    }
    Reply { status, headers, body: serde_json::to_vec(body).unwrap_or_default(), details }
}

/// The status that says what a well-meaning client could change.
const fn gap_status(reason: GapReason, direction: Direction) -> u16 {
    match (direction, reason) {
        (Direction::Response, _) => 502,
        (_, GapReason::Size) => 413,
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
