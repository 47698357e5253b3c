//! One received event: the JSON text as it came, and the few fields that questions are asked about.
//!
//! The text is kept whole and only read through a small tolerant view, so that a field which a newer filter adds is
//! stored, returned and never understood here. Invariant: every [`StoredEvent`] has passed [`StoredEvent::read`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Fired;
use super::signals::Signals;

/// One element of a batch, in the order of the batch.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    Event(Box<StoredEvent>),
    /// Not an event of the contract; kept aside with the reason.
    Problem {
        reason: String,
        body: String,
    },
}

impl Received {
    pub(crate) fn read(body: &str) -> Self {
        match StoredEvent::read(body) {
            Ok(event) => Self::Event(Box::new(event)),
            Err(reason) => Self::Problem { reason, body: body.to_owned() },
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredEvent {
    /// 1 to [`VM_CHARS_MAX`] characters of `[0-9a-zA-Z-]`.
    pub(crate) vm: String,
    /// 1 to [`SEQ_MAX`].
    pub(crate) seq: i64,
    pub(crate) id: String,
    /// 0 to [`TIME_MS_MAX`].
    pub(crate) time_ms: i64,
    pub(crate) request_id: Option<String>,
    pub(crate) session: Option<String>,
    /// Whom it is about, as the filter was told to name people.
    pub(crate) subject: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) verdict: String,
    pub(crate) action: String,
    /// 0 to 1.
    pub(crate) score: f64,
    pub(crate) findings: Vec<Finding>,
    pub(crate) provenance: Provenance,
    pub(crate) signals: Signals,
    /// The event as received, byte for byte.
    pub(crate) body: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: String,
    pub(crate) family: String,
}

/// What decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) policy: Option<String>,
    pub(crate) bundle: Option<String>,
    pub(crate) model: Option<String>,
    /// SHA-256 of the list of packs, as it stands in the text.
    pub(crate) rules: Option<[u8; 32]>,
}

impl StoredEvent {
    /// Reads the indexed fields; the error is the reason to quarantine.
    pub(crate) fn read(body: &str) -> Result<Self, String> {
        // Serde would also read a struct from an array, field by field.
        if !body.trim_ascii_start().starts_with('{') {
            return Err("not an event: not an object".to_owned());
        }
        let view: View<'_> = serde_json::from_str(body).map_err(|error| not_an_event(&error))?;
        match view.schema.as_deref() {
            Some(SCHEMA) => {}
            Some(_) => return Err(format!("schema is not {SCHEMA}")),
            None => return Err("schema is missing".to_owned()),
        }
        let vm = view.vm.ok_or("vm is missing")?;
        if !is_vm(&vm) {
            return Err(format!("vm is not 1 to {VM_CHARS_MAX} characters of [0-9a-zA-Z-]"));
        }
        let seq = within("seq", view.seq, 1, SEQ_MAX)?;
        let time_ms = within("time_ms", view.time_ms, 0, TIME_MS_MAX)?;
        let verdict = word("verdict", view.verdict)?;
        let action = word("action", view.action)?;
        let score = view.score.ok_or("score is missing")?;
        if !(0.0..=1.0).contains(&score) {
            return Err("score is not between 0 and 1".to_owned());
        }
        let id = match view.id.as_deref() {
            None => format!("{vm}-{seq}"),
            Some(id) if is_key(id) => id.to_owned(),
            Some(_) => return Err(format!("id is not 1 to {KEY_CHARS_MAX} visible ASCII characters")),
        };
        let findings = view.findings.unwrap_or_default().into_iter().map(Finding::from).collect();
        let provenance = Provenance {
            policy: view.policy.as_deref().map(indexed),
            bundle: view.bundle.as_deref().map(indexed),
            model: view.model.as_deref().map(indexed),
            rules: view.packs.map(|packs| Sha256::digest(packs.get()).into()),
        };
        let text = |text: Option<String>| text.as_deref().map(indexed);
        Ok(Self {
            vm,
            seq,
            id,
            time_ms,
            request_id: text(view.request_id),
            session: text(view.session.and_then(|session| session.id)),
            subject: text(view.subject),
            route: text(view.route),
            host: text(view.host),
            path: text(view.path),
            verdict,
            action,
            score,
            findings,
            provenance,
            signals: Signals::of(body),
            body: body.to_owned(),
        })
    }

    /// Its id, if that is not what follows from VM and number.
    pub(crate) fn own_id(&self) -> Option<&str> {
        let follows = vm_and_seq(&self.id) == Some((&self.vm, self.seq));
        (!follows).then_some(self.id.as_str())
    }

    /// The texts that it can be found by.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let named = [&self.request_id, &self.session, &self.subject, &self.route, &self.host, &self.path];
        let findings = self.findings.iter().map(|finding| finding.rule.as_str());
        let fixed = [self.id.as_str(), &self.vm, &self.verdict, &self.action];
        fixed.into_iter().chain(named.into_iter().flatten().map(String::as_str)).chain(findings)
    }

    /// The distinct rules that fired, in the order of their first finding.
    pub(crate) fn rules(&self) -> Vec<&str> {
        let mut rules: Vec<&str> = Vec::new();
        for finding in &self.findings {
            if !finding.rule.is_empty() && !rules.contains(&finding.rule.as_str()) {
                rules.push(&finding.rule);
            }
        }
        rules
    }

    /// How often each fired, in the order of rules and families.
    pub(crate) fn fired(&self) -> Vec<Fired> {
        let mut counted = BTreeMap::new();
        for Finding { rule, family } in self.findings.iter().filter(|finding| !finding.rule.is_empty()) {
            *counted.entry((rule, family)).or_insert(0) += 1;
        }
        let fired = |((rule, family), n): ((&String, &String), i64)| Fired {
            rule: rule.clone(),
            family: family.clone(),
            n,
        };
        counted.into_iter().map(fired).collect()
    }
}

/// Whether two bodies say the same, so that a resent event differing only in spaces or key order is no conflict.
pub(crate) fn same_content(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let read = |text| serde_json::from_str::<serde_json::Value>(text);
    matches!((read(left), read(right)), (Ok(left), Ok(right)) if left == right)
}

/// The form in which free text is indexed and asked for. Such text comes from clients of the proxy (a request id is
/// a header), so it must never be a reason to refuse the event: it is cut, and loses what a database may refuse.
pub(crate) fn indexed(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(INDEXED_CHARS_MAX).collect()
}

/// Everything that is read from an event; all other fields are skipped.
#[derive(Deserialize)]
struct View<'a> {
    schema: Option<String>,
    id: Option<String>,
    vm: Option<String>,
    seq: Option<i64>,
    time_ms: Option<i64>,
    request_id: Option<String>,
    session: Option<SessionView>,
    subject: Option<String>,
    route: Option<String>,
    host: Option<String>,
    path: Option<String>,
    verdict: Option<String>,
    action: Option<String>,
    score: Option<f64>,
    findings: Option<Vec<FindingView>>,
    policy: Option<String>,
    bundle: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    packs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SessionView {
    id: Option<String>,
}

#[derive(Deserialize)]
struct FindingView {
    #[serde(default)]
    rule: String,
    #[serde(default)]
    family: String,
}

impl From<FindingView> for Finding {
    fn from(view: FindingView) -> Self {
        Self { rule: indexed(&view.rule), family: indexed(&view.family) }
    }
}

/// The two parts of an id of the form `<vm>-<seq>`.
pub(crate) fn vm_and_seq(id: &str) -> Option<(&str, i64)> {
    let (vm, seq) = id.rsplit_once('-')?;
    let number = seq.parse().ok().filter(|number: &i64| number.to_string() == seq)?;
    is_vm(vm).then_some((vm, number))
}

fn is_vm(vm: &str) -> bool {
    (1..=VM_CHARS_MAX).contains(&vm.len()) && vm.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_key(id: &str) -> bool {
    (1..=KEY_CHARS_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

fn within(field: &str, value: Option<i64>, min: i64, max: i64) -> Result<i64, String> {
    match value {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(value) => Err(format!("{field} is {value}, allowed are {min} to {max}")),
        None => Err(format!("{field} is missing")),
    }
}

/// Serde's message may quote the value that it met, of any length.
fn not_an_event(error: &serde_json::Error) -> String {
    let message: String = error.to_string().chars().take(REASON_CHARS_MAX).collect();
    format!("not an event: {message}")
}

/// A verdict or action: any lower-case word, because a newer filter may have one more than this collector knows.
fn word(field: &str, value: Option<String>) -> Result<String, String> {
    match value {
        Some(word) if is_word(&word) => Ok(word),
        Some(_) => Err(format!("{field} is not a word of 1 to {WORD_CHARS_MAX} characters of [a-z_]")),
        None => Err(format!("{field} is missing")),
    }
}

fn is_word(word: &str) -> bool {
    (1..=WORD_CHARS_MAX).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

const SCHEMA: &str = "sentinel.event/1";
const VM_CHARS_MAX: usize = 64;
const KEY_CHARS_MAX: usize = 128;
const WORD_CHARS_MAX: usize = 32;
const INDEXED_CHARS_MAX: usize = 256;
const REASON_CHARS_MAX: usize = 160;
/// 2^53 - 1: the largest integer that every JSON reader keeps exact.
const SEQ_MAX: i64 = 9_007_199_254_740_991;
/// The last millisecond of the year 9999.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(field: &str, value: &str) -> Result<StoredEvent, String> {
        let mut fields = vec![
            ("schema", "\"sentinel.event/1\""),
            ("vm", "\"0a\""),
            ("seq", "7"),
            ("time_ms", "1790000000000"),
            ("verdict", "\"clean\""),
            ("action", "\"allow\""),
            ("score", "0.5"),
        ];
        fields.retain(|(name, _)| *name != field);
        if value != "(none)" {
            fields.push((field, value));
        }
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        StoredEvent::read(&format!("{{{}}}", fields.join(",")))
    }

    #[track_caller]
    fn refused(field: &str, value: &str, reason: &str) {
        let found = with(field, value).expect_err("accepted");
        assert!(found.contains(reason), "{field}={value}: {found:?} does not say {reason:?}");
    }

    #[test]
    fn a_missing_or_impossible_required_field_is_named() {
        for field in ["schema", "vm", "seq", "time_ms", "verdict", "action", "score"] {
            refused(field, "(none)", &format!("{field} is missing"));
            refused(field, "null", &format!("{field} is missing"));
        }
        refused("schema", "\"sentinel.event/2\"", "schema is not sentinel.event/1");
        refused("vm", "\"\"", "vm is not");
        refused("vm", "\"a b\"", "vm is not");
        refused("vm", &format!("\"{}\"", "a".repeat(65)), "vm is not");
        refused("seq", "0", "seq is 0, allowed are 1 to");
        refused("seq", "9007199254740992", "seq is 9007199254740992");
        refused("seq", "1.5", "not an event");
        refused("time_ms", "-1", "time_ms is -1");
        refused("verdict", "\"Clean!\"", "verdict is not a word");
        refused("action", "\"\"", "action is not a word");
        refused("score", "1.01", "score is not between 0 and 1");
        refused("score", "-0.01", "score is not between 0 and 1");
        refused("seq", "7,\"seq\":8", "duplicate field");
        refused("id", "\"a b\"", "id is not");
    }

    #[test]
    fn unknown_fields_and_words_are_kept_and_no_id_means_vm_and_seq() {
        let event = with("later", "{\"a\":[1,2]}").unwrap();
        assert_eq!(event.id, "0a-7");
        assert!(event.body.contains("\"later\":{\"a\":[1,2]}"));
        assert_eq!(with("verdict", "\"incomplete\"").unwrap().verdict, "incomplete");
    }

    #[test]
    fn what_a_client_can_choose_never_refuses_the_event() {
        let long = format!("\"{}\"", "x".repeat(10_000));
        assert_eq!(with("request_id", &long).unwrap().request_id.unwrap().len(), INDEXED_CHARS_MAX);
        assert_eq!(with("request_id", "\"a\\u0000b\"").unwrap().request_id.unwrap(), "ab");
        assert_eq!(with("route", "null").unwrap().route, None);
    }

    #[test]
    fn content_is_compared_as_json() {
        assert!(same_content("{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }"));
        assert!(!same_content("{\"a\":1}", "{\"a\":2}"));
        assert!(!same_content("{\"a\":1}", "{"));
    }

    /// The filters' type and this view are written apart; what they must agree on is compared here.
    #[test]
    fn the_event_that_filters_send_is_read_completely() {
        let text = r#"{"schema":"sentinel.event/1","id":"0a-7","vm":"0a","seq":7,"time_ms":1790000000000,
            "subject":"ann","model":"68410671","request_id":"r","session_id":null,"trace_id":null,"route":"chat","profile":null,"method":"POST","host":"h",
            "path":"/v1/chat/completions","verdict":"malicious","action":"block","would":null,"direction":"request",
            "score":0.75,"findings":[{"rule":"injection/ignore","version":1,"family":"injection","channel":"user",
            "direction":"request","view":"base64","start":10,"end":42,"score":0.9,"moved":0.5}],"findings_total":1,"gaps":[],
            "receipt":{"request":{"bytes":1,"scanned":1,"structural":0,"gaps":[]},"response":null},"policy":"h",
            "packs":[],"status":403,"latency_us":{"request":1,"response":0},"sizes":{"request":1,"response":0},
            "degraded":null}"#;
        let event: sentinel_core::event::Event = serde_json::from_str(text).unwrap();
        let sent = StoredEvent::read(&serde_json::to_string(&event).unwrap()).unwrap();
        let expected = StoredEvent { body: sent.body.clone(), ..StoredEvent::read(text).unwrap() };
        assert_eq!(sent, expected);
        assert_eq!(
            (sent.subject.as_deref(), sent.provenance.model.as_deref()),
            (Some("ann"), Some("68410671"))
        );
        assert_eq!((sent.rules(), sent.route.as_deref()), (vec!["injection/ignore"], Some("chat")));
        assert_eq!(sentinel_core::event::SCHEMA, SCHEMA);
        assert_eq!(sentinel_core::Verdict::ALL.map(sentinel_core::Verdict::name), super::super::VERDICTS);
        assert_eq!(sentinel_core::Action::ALL.map(sentinel_core::Action::name), super::super::ACTIONS);
    }
}
