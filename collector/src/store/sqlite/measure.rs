//! How long questions take over a million events: `cargo test -p sentinel-collector --lib measure -- --ignored --nocapture`.
//! The figures in `docs/queries.md` are from here.

use std::fmt::Write as _;
use std::time::Instant;

use super::SqliteStore;
use crate::domain::{Filter, Fired, HOUR_MS, Hours, Kind, NewEvent, Record, Sealed, SumsQuery, Words as _};
use crate::store::{Store as _, Sums as _, suite};

const N_EVENTS: i64 = 1_000_000;
const FIRST_MS: i64 = 497_222 * HOUR_MS;
const DAYS: i64 = 30;
const RULES: [&str; 6] =
    ["pii/email", "pii/iban", "injection/ignore", "secrets/aws", "leak/system-prompt", "pii/rare"];

/// A month of traffic of 20 VMs and 12 routes; one event in ten has a finding, one in a million the rare one.
fn event(n: i64) -> NewEvent {
    // Neighbours in time differ in everything else.
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()).cast_unsigned() >> 20;
    let of = |m: u64| (mixed % m) as i64;
    let finds = of(10) == 0;
    let rule = RULES[if n == N_EVENTS / 2 { 5 } else { of(50) as usize / 10 }];
    let text = |text: &str| text.to_owned();
    NewEvent {
        time_ms: FIRST_MS + n * (DAYS * 24 * HOUR_MS / N_EVENTS),
        request: Some(n),
        session: Some(n / 20),
        subject: (of(3) == 0).then_some([(n % 200) as u8; 16]),
        route: Some(format!("route-{}", of(12))),
        verdict: text(if finds { "sensitive" } else { "clean" }),
        action: text(match (finds, of(500)) {
            (_, 7) => "block",
            (true, _) => "mask",
            _ => "allow",
        }),
        score: of(10_000) as f64 / 10_000.0,
        rules: if finds || n == N_EVENTS / 2 { vec![text(rule)] } else { Vec::new() },
        fired: vec![Fired { rule: text(rule), family: text(rule.split_once('/').unwrap().0), n: 1 }],
        leaf: vec![7; 420],
        sealed: Sealed { key: 1, bytes: vec![9; 900] },
        ..suite::new_event(&format!("vm-{}", n % 20), n / 20 + 1)
    }
}

#[tokio::test]
#[ignore = "a measurement of some minutes and 3 GB"]
async fn questions_over_a_million_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let begun = Instant::now();
    store.append((1..=5_000).map(|seq| suite::event("small", seq)).collect()).await.unwrap();
    for first in (0..N_EVENTS).step_by(10_000) {
        let records = (first..first + 10_000).map(|n| Record::Event(Box::new(event(n))));
        store.append(records.collect()).await.unwrap();
    }
    let mut report = format!(
        "{N_EVENTS} events in {:.1} s, {} MB\n",
        begun.elapsed().as_secs_f64(),
        std::fs::metadata(&path).unwrap().len() >> 20
    );
    let text = |text: &str| Some(text.to_owned());
    let all = || Filter { limit: 100, ..Filter::default() };
    let middle = FIRST_MS + DAYS * 12 * HOUR_MS;
    for (name, filter) in [
        ("first page", all()),
        ("verdict=sensitive", Filter { verdict: text("sensitive"), ..all() }),
        ("verdict=clean", Filter { verdict: text("clean"), ..all() }),
        ("action=block", Filter { action: text("block"), ..all() }),
        ("route", Filter { route: text("route-7"), ..all() }),
        ("rule=pii/email", Filter { rule: text("pii/email"), ..all() }),
        ("rule that fired once", Filter { rule: text("pii/rare"), ..all() }),
        ("rule and action", Filter { rule: text("pii/iban"), action: text("block"), ..all() }),
        ("vm", Filter { vm: text("vm-7"), ..all() }),
        ("small vm", Filter { vm: text("small"), ..all() }),
        ("vm that is not there", Filter { vm: text("nobody"), ..all() }),
        ("request_id", Filter { request: Some(500_000), ..all() }),
        ("session", Filter { session: Some(25_000), ..all() }),
        ("subject", Filter { subject: Some([77; 16]), ..all() }),
        ("score_min=0.99", Filter { score_min: Some(0.99), ..all() }),
        ("score_min=1, which none has", Filter { score_min: Some(1.0), ..all() }),
        ("until_ms in the middle", Filter { until_ms: Some(middle), ..all() }),
        (
            "since_ms and until_ms, an hour",
            Filter { since_ms: Some(middle - HOUR_MS), until_ms: Some(middle), ..all() },
        ),
        ("500 of any, as a search looks at", Filter { limit: 500, ..all() }),
    ] {
        let mut times = Vec::new();
        for _ in 0..3 {
            let begun = Instant::now();
            let found = store.list(filter.clone()).await.unwrap().events.len();
            times.push((begun.elapsed().as_secs_f64() * 1e3, found));
        }
        let _ = writeln!(report, "| {name} | {:.1} | {:.1} | {} |", times[0].0, times[2].0, times[0].1);
    }
    let hours = |from: i64, to: i64| Hours { from: 497_222 + from, to: 497_222 + to };
    for kind in Kind::ASKED {
        for (every, hours) in [(1, hours(0, 24)), (1, hours(0, 720)), (24, hours(0, 720))] {
            let begun = Instant::now();
            let sums = store.sums(SumsQuery { kind, hours, every, top: 20 }).await.unwrap();
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            let n: i64 = sums.iter().map(|sum| sum.n).sum();
            let (kind, span) = (kind.word(), hours.to - hours.from);
            let _ = writeln!(
                report,
                "| by={kind} each {every} h of {span} h | {ms:.1} | {} sums of {n} |",
                sums.len()
            );
        }
    }
    let begun = Instant::now();
    let figures = store.compliance(hours(0, 720)).await.unwrap();
    let _ =
        writeln!(report, "| compliance | {:.1} | {} |", begun.elapsed().as_secs_f64() * 1e3, figures.events);
    // Instead of sums: the same figures out of the index of actions and times.
    for (name, query) in [
        (
            "a scan by action",
            "SELECT action, time_ms / 3600000 AS h, count(*) AS n FROM events GROUP BY 1, 2",
        ),
        (
            "a scan by rule",
            "SELECT rule_no, time_ms / 3600000 AS h, count(*) AS n FROM event_rules GROUP BY 1, 2",
        ),
        (
            "a scan by vm, in an index",
            "SELECT vm_no, time_ms / 3600000 AS h, count(*) AS n FROM events INDEXED BY events_time GROUP BY 1, 2",
        ),
    ] {
        let begun = Instant::now();
        let n = sqlx::query(query).fetch_all(&store.readers).await.unwrap().len();
        let _ = writeln!(report, "| {name} | {:.1} | {n} |", begun.elapsed().as_secs_f64() * 1e3);
    }
    store.close().await.unwrap();
    println!("{report}");
}
