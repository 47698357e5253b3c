//! What a case expects, what every case must hold without saying it, and what two engines must agree on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, ensure};
use sentinel_core::{
    Action, Direction, Family, Verdict,
    content::Part,
    event::{Event, SCHEMA},
    receipt::{GapReason, Receipt},
};
use sentinel_wire::{ClientSaw, Headers, UpstreamSaw, content_length, header};
use serde::Deserialize;
use serde_json::Value;

use crate::case::Case;

/// What both ends saw of an exchange, and its event.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub event: Event,
    pub client: Option<ClientSaw>,
    /// `None`: not a byte of the request reached the upstream.
    pub upstream: Option<UpstreamSaw>,
}

/// What is not given is what harmless traffic gets: allowed, clean, nothing found, both bodies unchanged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub action: Action,
    pub verdict: Verdict,
    /// The exact set of rules found.
    pub rules: BTreeSet<String>,
    /// The exact number of findings, where it matters.
    pub findings: Option<u32>,
    /// How many placeholders the client gets as the text they stand for.
    pub restored: u32,
    /// The exact set of reasons in the receipt of each direction.
    pub gaps: Gaps,
    /// Which direction decided.
    pub direction: Option<Direction>,
    /// In monitor mode: what enforcing would have done.
    pub would: Option<Action>,
    pub score_min: Option<f32>,
    pub score_max: Option<f32>,
    pub route: Option<String>,
    pub profile: Option<String>,
    /// What the client got; not given: what the upstream answered, or 403 for a block.
    pub status: Option<u16>,
    pub upstream: Option<Sight>,
    pub client: Option<Sight>,
    /// What the event carries of the content, if it carries any.
    pub content: Option<KeptContent>,
}

/// Of each direction the text, masked, or the reason why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeptContent {
    pub request: Option<String>,
    pub response: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gaps {
    pub request: BTreeSet<GapReason>,
    pub response: BTreeSet<GapReason>,
}

/// What one end saw.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Sight {
    Word(Word),
    Message(Message),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Nothing at all.
    None,
    /// The other end's message, but for the headers that a proxy changes.
    Unchanged,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Message {
    pub body: Option<String>,
    /// The body is this JSON, however it is spelled.
    pub json: Option<Value>,
    pub contains: Texts,
    pub lacks: Texts,
    /// `null`: no such header.
    pub headers: BTreeMap<String, Option<String>>,
    /// `sentinel.code` of the body, wherever a provider's shape has it; in plain text, a line of its own.
    pub error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Texts {
    fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        }
        .iter()
    }
}

impl Expect {
    /// A case that expects a mask says where.
    pub fn check_itself(&self) -> Result<()> {
        let silent = self.upstream.is_none() && self.client.is_none();
        ensure!(self.action != Action::Mask || !silent, "action is mask: say what upstream or client sees");
        Ok(())
    }
}

/// Everything that does not hold, or nothing.
pub fn complaints(case: &Case, outcome: &Outcome) -> Vec<String> {
    let checks: [(&str, Check); 7] = [
        ("action", action),
        ("findings", findings),
        ("gaps", gaps),
        ("status", status),
        ("upstream", upstream),
        ("client", client),
        ("content", content),
    ];
    let mut complaints = failed(&checks, case, outcome);
    complaints.extend(broken_laws(case, outcome));
    complaints
}

/// What does not hold of all that must hold whatever is expected.
pub fn broken_laws(case: &Case, outcome: &Outcome) -> Vec<String> {
    let checks: [(&str, Check); 5] =
        [("event", event), ("receipts", receipts), ("block", block), ("mask", mask), ("privacy", privacy)];
    failed(&checks, case, outcome)
}

fn failed(checks: &[(&str, Check)], case: &Case, outcome: &Outcome) -> Vec<String> {
    let failed = checks.iter().filter_map(|(name, check)| Some((name, check(case, outcome).err()?)));
    failed.map(|(name, error)| format!("{name}: {error:#}")).collect()
}

type Check = fn(&Case, &Outcome) -> Result<()>;

fn action(case: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    let Expect { action, verdict, would, direction, score_min, score_max, .. } = &case.expect;
    ensure!(event.action == *action, "expected {action:?}, was {:?} ({})", event.action, summary(event));
    ensure!(
        event.verdict == *verdict,
        "expected verdict {verdict:?}, was {:?} ({})",
        event.verdict,
        summary(event)
    );
    ensure!(event.would == *would, "expected would {would:?}, was {:?}", event.would);
    let direction = direction.unwrap_or(event.direction);
    ensure!(event.direction == direction, "expected direction {direction:?}, was {:?}", event.direction);
    ensure!(event.score >= score_min.unwrap_or(0.0), "score is {}", event.score);
    ensure!(event.score <= score_max.unwrap_or(1.0), "score is {}", event.score);
    for (what, expected, was) in
        [("route", &case.expect.route, &event.route), ("profile", &case.expect.profile, &event.profile)]
    {
        ensure!(expected.is_none() || expected == was, "expected {what} {expected:?}, was {was:?}");
    }
    Ok(())
}

fn findings(case: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    let found: BTreeSet<String> = event.findings.iter().map(|finding| finding.rule.clone()).collect();
    ensure!(found == case.expect.rules, "expected {:?}, found {found:?}", case.expect.rules);
    let number = case.expect.findings.unwrap_or(event.findings_total);
    ensure!(event.findings_total == number, "expected {number}, found {}", event.findings_total);
    let restored = case.expect.restored;
    ensure!(event.restored == restored, "expected {restored} restored, was {}", event.restored);
    let as_sent = |direction| !is_decoded(event, direction);
    for finding in event.findings.iter().filter(|finding| as_sent(finding.direction)) {
        let body = match finding.direction {
            Direction::Request => case.request.body(),
            Direction::Response => case.response.body(),
        };
        let within = finding.start < finding.end && finding.end as usize <= body.len();
        ensure!(within, "{}: {}..{} of {} bytes", finding.rule, finding.start, finding.end, body.len());
    }
    Ok(())
}

fn gaps(case: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    let reasons = |receipt: Option<&Receipt>| -> BTreeSet<GapReason> {
        receipt.into_iter().flat_map(|receipt| &receipt.gaps).map(|gap| gap.reason).collect()
    };
    let Gaps { request, response } = &case.expect.gaps;
    let found = reasons(Some(&event.receipt.request));
    ensure!(found == *request, "expected {request:?} in the request, found {found:?}");
    let found = reasons(event.receipt.response.as_ref());
    ensure!(found == *response, "expected {response:?} in the response, found {found:?}");
    Ok(())
}

fn status(case: &Case, outcome: &Outcome) -> Result<()> {
    let expected = case.expect.status.unwrap_or(match case.expect.action {
        Action::Block => 403,
        _ => case.response.status,
    });
    let client = outcome.client.as_ref().context("the client saw nothing")?;
    ensure!(client.status == expected, "expected {expected}, was {}: {}", client.status, client.text());
    ensure!(client.complete, "the response was cut");
    ensure!(outcome.event.status == Some(expected), "the event says {:?}", outcome.event.status);
    Ok(())
}

/// Events carry nothing of it unless a case says so.
fn content(case: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    let said = |part: &Part| match part {
        Part::Kept(text) => Ok(text.text.clone()),
        Part::LeftOut { left_out } => serde_json::to_value(left_out)
            .map(|reason| reason.as_str().unwrap_or_default().to_owned())
            .context("a reason is a word"),
    };
    let kept = event.content.as_ref().map(|content| {
        let response = content.response.as_ref().map(said).transpose()?;
        Ok::<_, anyhow::Error>(KeptContent { request: Some(said(&content.request)?), response })
    });
    let kept = kept.transpose()?;
    ensure!(kept == case.expect.content, "expected {:?}, was {kept:?}", case.expect.content);
    Ok(())
}

fn upstream(case: &Case, outcome: &Outcome) -> Result<()> {
    let blocked = outcome.event.action == Action::Block && outcome.event.direction == Direction::Request;
    let default = Sight::Word(if blocked { Word::None } else { Word::Unchanged });
    let saw = outcome.upstream.as_ref();
    match (case.expect.upstream.as_ref().unwrap_or(&default), saw) {
        (Sight::Word(Word::None), None) => Ok(()),
        (Sight::Word(Word::None), Some(saw)) => {
            Err(anyhow!("saw {} {}: {}", saw.method, saw.path, saw.text()))
        }
        (_, None) => Err(anyhow!("saw nothing")),
        (Sight::Word(Word::Unchanged), Some(saw)) => {
            let request = &case.request;
            same_text("method", request.method.as_bytes(), saw.method.as_bytes())?;
            same_text("path", request.path.as_bytes(), saw.path.as_bytes())?;
            same_text("body", &request.body(), &saw.body)?;
            same_headers(&request.headers, &saw.headers)?;
            let trailers = request.trailers.clone().unwrap_or_default();
            same_headers(&trailers, saw.trailers.as_deref().unwrap_or_default())
        }
        (Sight::Message(message), Some(saw)) => message.check(&saw.headers, &saw.body),
    }
}

fn client(case: &Case, outcome: &Outcome) -> Result<()> {
    let saw = outcome.client.as_ref().context("saw nothing")?;
    match &case.expect.client {
        Some(Sight::Word(Word::None)) => Err(anyhow!("a client always sees something")),
        Some(Sight::Message(message)) => message.check(&saw.headers, &saw.body),
        None if case.expect.action == Action::Block => Ok(()),
        None | Some(Sight::Word(Word::Unchanged)) => {
            same_text("body", &case.response.body(), &saw.body)?;
            same_headers(&case.response.headers, &saw.headers)?;
            let trailers = case.response.trailers.clone().unwrap_or_default();
            same_headers(&trailers, saw.trailers.as_deref().unwrap_or_default())
        }
    }
}

impl Message {
    fn check(&self, headers: &Headers, body: &[u8]) -> Result<()> {
        if let Some(expected) = &self.body {
            same_text("body", expected.as_bytes(), body)?;
        }
        let text = String::from_utf8_lossy(body);
        for part in self.contains.iter() {
            ensure!(text.contains(part.as_str()), "the body lacks {part:?}: {text}");
        }
        for part in self.lacks.iter() {
            ensure!(!text.contains(part.as_str()), "the body has {part:?}: {text}");
        }
        if let Some(expected) = &self.json {
            let value: Value = serde_json::from_slice(body).with_context(|| text.clone().into_owned())?;
            ensure!(value == *expected, "expected {expected}, saw {value}");
        }
        if let Some(expected) = &self.error {
            let code = error_code(body)?;
            ensure!(code == *expected, "expected error {expected}, was {code}");
        }
        for (name, expected) in &self.headers {
            let value = header(headers, name).map(|value| String::from_utf8_lossy(value).into_owned());
            ensure!(value == *expected, "header {name}: expected {expected:?}, was {value:?}");
        }
        Ok(())
    }
}

fn event(_: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    ensure!(event.schema == SCHEMA, "schema {:?}", event.schema);
    ensure!(event.degraded.is_none(), "degraded: {:?}", event.degraded);
    ensure!(event.policy.len() == 64, "policy {:?}", event.policy);
    ensure!(!event.packs.is_empty(), "no packs");
    ensure!(event.id == format!("{}-{}", event.vm, event.seq), "id {:?}", event.id);
    Ok(())
}

/// The receipts account for every byte that was forwarded.
fn receipts(case: &Case, outcome: &Outcome) -> Result<()> {
    let receipts = &outcome.event.receipt;
    for receipt in std::iter::once(&receipts.request).chain(&receipts.response) {
        ensure!(receipt.balances(), "does not balance: {receipt:?}");
    }
    if outcome.upstream.is_some() {
        let sent = case.request.body().len();
        ensure!(
            on_the_wire(&receipts.request) == sent,
            "{} of {sent} request bytes",
            on_the_wire(&receipts.request)
        );
        let receipt = receipts.response.as_ref().context("the response has no receipt")?;
        let sent = case.response.body().len();
        let refused = outcome.event.action == Action::Block;
        let refused_unread = refused && receipt.bytes == 0;
        // What comes after a stream was cut is neither read nor forwarded.
        let cut = refused && is_stream(case) && on_the_wire(receipt) < sent;
        ensure!(
            refused_unread || cut || on_the_wire(receipt) == sent,
            "{} of {sent} response bytes",
            on_the_wire(receipt)
        );
    }
    Ok(())
}

/// How many bytes of a body came.
fn on_the_wire(receipt: &Receipt) -> usize {
    receipt.encoded.unwrap_or(receipt.bytes) as usize
}

/// Findings in a body that was decoded are about what it says, not about the bytes that came.
fn is_decoded(event: &Event, direction: Direction) -> bool {
    let receipt = match direction {
        Direction::Request => Some(&event.receipt.request),
        Direction::Response => event.receipt.response.as_ref(),
    };
    receipt.is_some_and(|receipt| receipt.encoded.is_some())
}

/// A block is an error of ours, and a blocked request does not get anywhere.
fn block(case: &Case, outcome: &Outcome) -> Result<()> {
    if outcome.event.action != Action::Block {
        return Ok(());
    }
    let on_request = outcome.event.direction == Direction::Request;
    ensure!(!on_request || outcome.upstream.is_none(), "a blocked request reached the upstream");
    let client = outcome.client.as_ref().context("the client saw nothing")?;
    if !on_request && is_stream(case) && client.status == case.response.status {
        let text = client.text();
        ensure!(
            text.contains("\"code\":\"sentinel_"),
            "the stream does not end with an error of ours: {text}"
        );
        return Ok(());
    }
    let code = error_code(&client.body)?;
    ensure!(code.starts_with("sentinel_"), "error.code is {code:?}");
    ensure!(
        client.header("x-sentinel-action") == Some(b"block"),
        "the reply does not say that it is a block"
    );
    Ok(())
}

/// The answer comes event by event.
fn is_stream(case: &Case) -> bool {
    let content_type = case.response.header("content-type").unwrap_or_default();
    [&b"text/event-stream"[..], b"application/x-ndjson", b"application/stream+json", b"application/jsonl"]
        .iter()
        .any(|kind| content_type.starts_with(kind))
}

/// What was valid JSON still is, and its length is announced right.
fn mask(case: &Case, outcome: &Outcome) -> Result<()> {
    let upstream = outcome.upstream.as_ref().map(|saw| (case.request.body(), &saw.headers, &saw.body));
    let client = outcome.client.as_ref().map(|saw| (case.response.body(), &saw.headers, &saw.body));
    // A refusal is no answer of the upstream's.
    let client = client.filter(|_| outcome.event.action != Action::Block);
    for (sent, headers, seen) in upstream.into_iter().chain(client) {
        // A text that happens to be a number is no document.
        let labelled = header(headers, "content-type").is_some_and(|value| value.ends_with(b"json"));
        let document = labelled || sent.starts_with(b"{") || sent.starts_with(b"[");
        let was_json = document && serde_json::from_slice::<serde::de::IgnoredAny>(&sent).is_ok();
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(seen).is_ok();
        ensure!(!was_json || is_json, "no longer JSON: {}", String::from_utf8_lossy(seen));
        let length = content_length(headers).filter(|_| !seen.is_empty());
        ensure!(
            length.is_none_or(|length| length == seen.len()),
            "content-length {length:?}, {} bytes",
            seen.len()
        );
    }
    Ok(())
}

/// An event never carries the text that was seen; where policy has it carry the content, that is masked.
fn privacy(case: &Case, Outcome { event, .. }: &Outcome) -> Result<()> {
    const BYTES_MIN: usize = 12;
    let bare = serde_json::to_string(&Event { content: None, ..event.clone() })?;
    let whole = serde_json::to_string(event)?;
    for finding in &event.findings {
        let body = match finding.direction {
            Direction::Request => case.request.body(),
            Direction::Response => case.response.body(),
        };
        let matched = body.get(finding.start as usize..finding.end as usize).unwrap_or_default();
        let matched = String::from_utf8_lossy(matched);
        let json = if matches!(finding.family, Family::Pii | Family::Secret) { &whole } else { &bare };
        ensure!(matched.len() < BYTES_MIN || !json.contains(matched.as_ref()), "the event has {matched:?}");
    }
    Ok(())
}

/// What must be the same on every engine and for every way of cutting the bodies into pieces.
pub fn differences(a: &Outcome, b: &Outcome) -> Vec<String> {
    let (left, right) = (comparable(a), comparable(b));
    let pairs = left.into_iter().zip(right);
    pairs.filter(|((_, a), (_, b))| a != b).map(|((what, a), (_, b))| format!("{what}: {a} or {b}")).collect()
}

fn comparable(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let event = &outcome.event;
    let findings =
        event.findings.iter().map(|f| format!("{f:?} {:x} {:x}", f.score.to_bits(), f.moved.to_bits()));
    let client = outcome.client.as_ref();
    let upstream = outcome.upstream.as_ref();
    vec![
        ("verdict", format!("{:?}", event.verdict)),
        ("action", format!("{:?}", event.action)),
        ("would", format!("{:?}", event.would)),
        // Of an exchange in which nothing was decided, no direction did it.
        ("direction", format!("{:?}", (event.action > Action::Allow).then_some(event.direction))),
        ("score", format!("{} {:x}", event.score, event.score.to_bits())),
        ("findings", findings.collect::<Vec<_>>().join("\n")),
        ("findings_total", event.findings_total.to_string()),
        ("gaps", format!("{:?}", event.gaps)),
        ("content", format!("{:?}", event.content)),
        ("receipts", receipts_of(event)),
        ("policy", event.policy.clone()),
        ("packs", format!("{:?}", event.packs)),
        ("route", format!("{:?} {:?}", event.route, event.profile)),
        ("request line", format!("{} {} {}", event.method, event.host, event.path)),
        ("event status", format!("{:?}", event.status)),
        ("client status", format!("{:?}", client.map(|saw| saw.status))),
        ("client body", format!("{:?}", client.map(|saw| String::from_utf8_lossy(&saw.body)))),
        ("client headers", format!("{:?}", client.map(|saw| ours(&saw.headers)))),
        ("upstream body", format!("{:?}", upstream.map(|saw| String::from_utf8_lossy(&saw.body)))),
        ("upstream headers", format!("{:?}", upstream.map(|saw| ours(&saw.headers)))),
    ]
}

/// How much has come of a body when it is refused for its size depends on how it was cut into pieces.
fn receipts_of(event: &Event) -> String {
    let request = &event.receipt.request;
    let refused = event.action == Action::Block && event.direction == Direction::Request;
    match refused && request.gaps.iter().all(|gap| gap.reason == GapReason::Size) && !request.gaps.is_empty()
    {
        true => "refused for its size".to_owned(),
        false => format!("{:?}", event.receipt),
    }
}

/// The headers that the filter sets or removes.
fn ours(headers: &Headers) -> BTreeSet<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = headers.iter().map(|(name, value)| (text(name), text(value)));
    pairs.filter(|(name, _)| name.starts_with("x-sentinel-") || name == "accept-encoding").collect()
}

/// Every header that was sent arrives, but for those that belong to one hop and those that the filter takes out.
fn same_headers(sent: &[(Vec<u8>, Vec<u8>)], seen: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
    const CHANGED: [&[u8]; 9] = [
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    for pair @ (name, value) in sent {
        let hop = CHANGED.contains(&name.as_slice()) || name.starts_with(b"x-sentinel-");
        let text = || format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        ensure!(hop || seen.contains(pair), "did not arrive: {}", text());
    }
    Ok(())
}

fn same_text(what: &str, expected: &[u8], seen: &[u8]) -> Result<()> {
    let short = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..2000).unwrap_or(bytes)).into_owned();
    ensure!(expected == seen, "{what}: expected {:?}, saw {:?}", short(expected), short(seen));
    Ok(())
}

fn error_code(body: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(body);
    if let Some(code) = text.lines().find(|line| line.starts_with("sentinel_")) {
        return Ok(code.to_owned());
    }
    let value: Value =
        serde_json::from_slice(body).with_context(|| String::from_utf8_lossy(body).into_owned())?;
    let code = sentinel_of(&value).and_then(|sentinel| sentinel.get("code")).and_then(Value::as_str);
    Ok(code.with_context(|| format!("no sentinel.code: {value}"))?.to_owned())
}

/// Every provider has another place for what it does not know.
fn sentinel_of(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(members) => members.get("sentinel").or_else(|| members.values().find_map(sentinel_of)),
        Value::Array(items) => items.iter().find_map(sentinel_of),
        _ => None,
    }
}

fn summary(event: &Event) -> String {
    let rules: Vec<&str> = event.findings.iter().map(|finding| finding.rule.as_str()).collect();
    format!("score {}, rules {rules:?}, gaps {:?}", event.score, event.gaps)
}
