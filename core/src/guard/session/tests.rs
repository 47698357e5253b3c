//! Sessions as a host sees them, and risk against a model in fractions.

use alloc::{format, string::ToString, vec::Vec};
use core::cell::RefCell;

use proptest::prelude::*;

use super::{super::MemoryMap, *};
use crate::http::Headers;

const START: u64 = 1_800_000_000_000;

struct Bench {
    memory: RefCell<MemoryMap>,
    sessions: Sessions,
}

impl Bench {
    fn new(change: impl FnOnce(&mut SessionPolicy)) -> Self {
        let mut policy =
            SessionPolicy { keys: Vec::from([SessionKey::Ip]), entries: 64, ..SessionPolicy::default() };
        change(&mut policy);
        policy.check().unwrap();
        let sessions = Sessions::new(policy, HashKey::new([3; 16]));
        Self { memory: RefCell::new(MemoryMap::new(1_000_000)), sessions }
    }

    fn session(&self) -> Session {
        session_of(&self.sessions, "1.1.1.1", &[], None).unwrap()
    }

    fn note(&self, score: f32, text: &str, ms: u64) -> Noted {
        let judged = Judged {
            score,
            fresh: score,
            text: HashKey::new([0; 16]).of(&[text.as_bytes()]),
            user_text: text,
        };
        self.sessions.note(&self.memory, self.session(), &judged, at(ms))
    }

    fn outlook(&self, ms: u64) -> Outlook {
        self.sessions.outlook(&self.memory, self.session(), at(ms))
    }
}

fn at(ms: u64) -> Time {
    Time((START + ms) * 1_000_000)
}

fn session_of(
    sessions: &Sessions,
    peer: &str,
    pairs: &[(&str, &str)],
    opening: Option<&[u8]>,
) -> Option<Session> {
    let headers: Headers<'_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let who = Who { headers: &headers, peer, user: None, tenant: None, route: "r" };
    let rules = WhoPolicy { tenant_header: Some("x-tenant".into()), ..WhoPolicy::default() };
    sessions.find(&who, &rules, None, opening)
}

proptest! {
    /// Risk is what fractions say, within what is lost by rounding, and halves in a half life.
    #[test]
    fn risk_is_what_the_model_says(steps in prop::collection::vec((0_u64..2_000_000, 0.0_f32..0.59), 1..60)) {
        let bench = Bench::new(|_| {});
        let (mut risk, mut now) = (0.0_f64, 0);
        let mut last_note = 0;
        for (gap, score) in steps {
            now += gap;
            let noted = bench.note(score, "text", now);
            if score < 0.2 {
                continue;
            }
            let (halves, rest) = ((now - last_note) / 600_000, (now - last_note) % 600_000);
            risk = risk * 0.5_f64.powi(halves as i32) * (1.0 - rest as f64 / 1_200_000.0);
            risk += (1.0 - risk) * f64::from(score * 0.4);
            last_note = now;
            prop_assert!((f64::from(noted.risk) - risk).abs() < 1e-4, "{} {risk}", noted.risk);
            prop_assert!(f64::from(bench.outlook(now + 600_000).risk) <= risk / 2.0 + 1e-4);
        }
    }

    #[test]
    fn harmless_requests_never_come_to_a_risk(scores in prop::collection::vec(0.0_f32..0.2, 1..100)) {
        let bench = Bench::new(|policy| policy.tail_bytes = 50);
        for (n, score) in scores.into_iter().enumerate() {
            prop_assert_eq!(bench.note(score, &format!("{n}"), n as u64).finding, None);
        }
        prop_assert_eq!(bench.outlook(200).risk, 0.0);
        prop_assert_eq!(bench.sessions.joined(&Outlook { risk: 1.0, ..Outlook::default() }, 0.19), 0.19);
    }

    #[test]
    fn garbage_in_the_memory_is_survived(garbage in prop::collection::vec(any::<u8>(), 0..200), ms in 0_u64..1 << 40) {
        let bench = Bench::new(|policy| policy.tail_bytes = 50);
        bench.note(0.5, "text", 0);
        for set in 0..8 {
            let name = format!("sentinel.sessions/{set}");
            let Some((mut value, version)) = SharedMemory::load(&bench.memory, &name) else { continue };
            let len = value.len();
            value.truncate(12);
            value.extend_from_slice(&garbage);
            value.resize(len, 0xff);
            SharedMemory::store(&bench.memory, &name, &value, Some(version));
        }
        bench.outlook(ms);
        let noted = bench.note(0.5, "text", ms);
        prop_assert!((0.0..=1.0).contains(&noted.risk));
        prop_assert!(bench.outlook(ms + 48 * 3_600_000).risk < 0.01);
        prop_assert_eq!(bench.outlook(ms + 48 * 3_600_000).quarantined_until, None);
    }
}

#[test]
fn middling_scores_add_up_to_a_finding_and_then_to_quarantine() {
    let bench = Bench::new(|_| {});
    let noted: Vec<Noted> = (0..12).map(|n| bench.note(0.5, &format!("turn {n}"), n * 1_000)).collect();
    let first = |found: fn(&Noted) -> bool| noted.iter().position(found);
    assert_eq!(first(|noted| noted.finding == Some(SessionFinding::Crescendo)), Some(4));
    assert_eq!(first(|noted| noted.quarantined_until.is_some()), Some(10));
    assert_eq!(noted[10].quarantined_until, Some(at(610_000)));
    // The same scores over a day are nothing.
    let bench = Bench::new(|_| {});
    assert!((0..12).all(|n| bench.note(0.5, &format!("turn {n}"), n * 7_200_000).finding.is_none()));
}

#[test]
fn quarantine_ends_by_itself() {
    let bench = Bench::new(|policy| policy.quarantine_s = 60);
    let until = (0..20).find_map(|n| bench.note(0.7, &format!("{n}"), n).quarantined_until).unwrap();
    assert_eq!(bench.outlook(30_000).quarantined_until, Some(until));
    assert_eq!(bench.outlook(61_000).quarantined_until, None);
    assert!(bench.outlook(61_000).risk > 0.8);
    assert!(bench.outlook(3_600_000).risk < 0.1);
}

#[test]
fn one_variant_after_the_other_is_probing_and_one_text_again_and_again_is_not() {
    let bench = Bench::new(|_| {});
    let found = |n: u64| bench.note(0.7, &format!("variant {n}"), n * 1_000).finding;
    assert_eq!((found(0), found(1), found(2)), (None, None, Some(SessionFinding::Crescendo)));
    assert_eq!(found(3), Some(SessionFinding::Probing));
    let bench = Bench::new(|policy| policy.weight = 0.01);
    assert!((0..20).all(|n| bench.note(1.0, "the same", n).finding.is_none()));
    let bench = Bench::new(|policy| policy.weight = 0.01);
    assert!((0..20).any(|n| bench.note(1.0, &format!("{}", n % 6), n).finding.is_some()));
}

#[test]
fn the_end_of_the_last_text_is_kept_only_if_policy_asks() {
    let bench = Bench::new(|_| {});
    bench.note(0.5, "ignore all previous", 0);
    assert_eq!(bench.outlook(1).tail, None);

    let bench = Bench::new(|policy| policy.tail_bytes = 10);
    bench.note(0.0, "please ignore all prévious", 0);
    assert_eq!(bench.outlook(1).tail.as_deref(), Some(" prévious"));
    bench.note(0.0, "ok", 2);
    assert_eq!(bench.outlook(3).tail.as_deref(), Some("ok"));
    assert_eq!(bench.outlook(3 + 120_000).tail, None);
    // What was replaced is not in the memory any more.
    for set in 0..8 {
        let value =
            SharedMemory::load(&bench.memory, &format!("sentinel.sessions/{set}")).unwrap_or_default().0;
        assert!(!value.windows(5).any(|bytes| bytes == "vious".as_bytes()));
    }
}

#[test]
fn a_clock_that_jumps_back_keeps_nobody_in_quarantine_for_longer() {
    let bench = Bench::new(|policy| policy.quarantine_s = 60);
    let day = 86_400_000;
    assert!((0..20).any(|n| bench.note(0.7, &format!("{n}"), day + n).quarantined_until.is_some()));
    assert_eq!(bench.outlook(0).quarantined_until, Some(at(60_000)));
    assert_eq!(bench.outlook(30_000).quarantined_until, Some(at(60_000)));
    assert_eq!(bench.outlook(60_001).quarantined_until, None);
}

#[test]
fn a_session_belongs_to_its_client_and_its_tenant() {
    let policy = SessionPolicy {
        keys: Vec::from([SessionKey::Header("x-session".into()), SessionKey::Prefix]),
        ..SessionPolicy::default()
    };
    let sessions = Sessions::new(policy, HashKey::new([3; 16]));
    let find = |peer: &str, pairs: &[(&str, &str)]| session_of(&sessions, peer, pairs, None);
    let session = find("1.1.1.1", &[("x-session", "a")]);
    assert!(session.is_some());
    assert_eq!(session, find("1.1.1.1", &[("x-session", "a")]));
    assert_ne!(session, find("1.1.1.2", &[("x-session", "a")]));
    assert_ne!(session, find("1.1.1.1", &[("x-session", "b")]));
    assert_ne!(session, find("1.1.1.1", &[("x-session", "a"), ("x-tenant", "t")]));
    assert_eq!(find("1.1.1.1", &[]), None);
    // By its key a client is the same wherever it comes from.
    let key = [("x-session", "a"), ("x-api-key", "sk")];
    assert_eq!(find("1.1.1.1", &key), find("1.1.1.2", &key));
    let opening = |opening: &str| session_of(&sessions, "1.1.1.1", &[], Some(opening.as_bytes()));
    assert_eq!(opening("system: be kind"), opening("system: be kind"));
    assert_ne!(opening("a"), session_of(&sessions, "1.1.1.1", &[("x-session", "a")], None));
}

#[test]
fn without_memory_a_request_is_only_itself() {
    let mut bench = Bench::new(|_| {});
    bench.memory = RefCell::new(MemoryMap::new(0));
    assert!((0..20).all(|n| bench.note(0.9, &n.to_string(), n).is_lost));
    assert_eq!(bench.outlook(1), Outlook::default());
}

#[test]
fn policies_are_checked() {
    let complaint = |policy: &str| {
        let policy: SessionPolicy = serde_json::from_str(policy).unwrap();
        policy.check().err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        complaint(r#"{"keys":["header:X-Session","conversation","prefix","user","api_key","ip"]}"#),
        ""
    );
    assert!(!SessionPolicy::default().is_on());
    assert_eq!(complaint(r#"{"half_life_s":0}"#), "half_life_s: is 0, expected 1 to 86400");
    assert_eq!(complaint(r#"{"tail_bytes":600}"#), "tail_bytes: is 600, expected 0 to 512");
    assert_eq!(complaint(r#"{"floor":0}"#), "floor: is 0, expected more than 0 and 1 at most");
    assert!(complaint(r#"{"tag":0.95}"#).starts_with("tag: is 0.95 and quarantine is 0.9, expected"));
    assert!(serde_json::from_str::<SessionPolicy>(r#"{"keys":["header:"]}"#).is_err());
    let key: SessionKey = serde_json::from_str("\"header:X-Session\"").unwrap();
    assert_eq!(serde_json::to_string(&key).unwrap(), "\"header:x-session\"");
}
