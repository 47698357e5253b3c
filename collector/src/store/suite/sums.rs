//! Sums for each hour: whatever was stored, they are what a recount of the listed events says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Store, new_event};
use crate::domain::{
    Compliance, DataKeyRow, Detected, Filter, Fired, HOUR_MS, Hours, Kept, Kind, NewEvent, Quarantined,
    Record, Sealed, Sum, SumsQuery, shown,
};
use crate::store::KeyChange;

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    sums_are_what_a_recount_says(&fresh().await).await;
    only_what_was_stored_is_summed(&fresh().await).await;
    the_figures_of_a_period_are_those_of_its_hours(&fresh().await).await;
}

const FIRST: i64 = 497_222;

/// Values that sort, differ in case, and need care in a database.
const NAMES: [&str; 6] = ["a", "B", "b", "it's 100%", "\u{e4}", "zz"];

fn events() -> impl Strategy<Value = Vec<NewEvent>> {
    let name = || prop::sample::select(NAMES.to_vec());
    let one =
        (0_i64..60, 0_i64..3, name(), prop::option::of(name()), prop::collection::btree_set(name(), 0..3));
    prop::collection::vec(one, 1..120).prop_map(|all| {
        let event = |(at, (hour, edge, word, route, rules)): (usize, (i64, i64, &str, Option<&str>, _))| {
            let rules: BTreeSet<&str> = rules;
            let fired = |rule: &&str| Fired {
                rule: (*rule).to_owned(),
                family: rule.chars().take(1).collect(),
                n: 2,
            };
            let (vm, seq) = (format!("vm-{}", at % 5), at as i64 / 5 + 1);
            NewEvent {
                time_ms: (FIRST + hour) * HOUR_MS + [0, 1_800_000, HOUR_MS - 1][edge as usize],
                route: route.map(str::to_owned),
                verdict: word.to_owned(),
                action: ["allow", "block", "mask"][at % 3].to_owned(),
                fired: rules.iter().filter(|rule| rule.is_ascii()).map(fired).collect(),
                rules: rules.into_iter().map(str::to_owned).collect(),
                ..new_event(&vm, seq)
            }
        };
        all.into_iter().enumerate().map(event).collect()
    })
}

async fn sums_are_what_a_recount_says(store: &dyn Store) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut stored: BTreeMap<i64, NewEvent> = BTreeMap::new();
    for round in 0..12 {
        let mut sent = events().new_tree(&mut runner).unwrap().current();
        for event in &mut sent {
            event.vm = format!("{}-{round}", event.vm);
        }
        // Twice, in parts of any size: what is there already counts once.
        for part in sent.chunks(17).chain(sent.chunks(23)) {
            let records = part.iter().map(|event| Record::Event(Box::new(event.clone()))).collect();
            for (event, kept) in part.iter().zip(store.append(records).await.unwrap()) {
                if let Kept::At(idx) = kept {
                    stored.insert(idx, event.clone());
                }
            }
        }
        for kind in Kind::ASKED {
            for (from, to, every, top) in [(0, 60, 1, 100), (0, 60, 24, 2), (7, 31, 24, 3), (13, 14, 1, 1)] {
                let hours = Hours { from: FIRST + from, to: FIRST + to };
                let query = SumsQuery { kind, hours, every, top };
                assert_eq!(
                    store.sums(query).await.unwrap(),
                    recount(store, &stored, query).await,
                    "{query:?}"
                );
            }
        }
    }
}

/// From the events that the store lists in the period.
async fn recount(store: &dyn Store, stored: &BTreeMap<i64, NewEvent>, query: SumsQuery) -> Vec<Sum> {
    let mut filter = Filter {
        limit: 500,
        since_ms: Some(query.hours.since_ms()),
        until_ms: Some(query.hours.until_ms()),
        ..Filter::default()
    };
    let mut found = Vec::new();
    loop {
        let page = store.list(filter.clone()).await.unwrap();
        for event in page.events {
            let event = &stored[&event.idx];
            let bucket = event.time_ms / HOUR_MS / query.every * query.every;
            found.extend(values(event, query.kind).into_iter().map(|value| (bucket, value)));
        }
        match page.next {
            Some(next) => filter.before = Some(next),
            None => break,
        }
    }
    let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, value) in &found {
        *totals.entry(value).or_default() += 1;
    }
    let mut totals: Vec<(&str, i64)> = totals.into_iter().collect();
    totals.sort_by_key(|(value, n)| (-n, *value));
    let top: Vec<&str> = totals.into_iter().take(query.top).map(|(value, _)| value).collect();
    let mut sums: BTreeMap<(i64, Option<String>), i64> = BTreeMap::new();
    for (bucket, value) in &found {
        let named = top.contains(&value.as_str()).then(|| value.clone());
        *sums.entry((*bucket, named)).or_default() += 1;
    }
    sums.into_iter().map(|((hour, value), n)| Sum { hour, value, n }).collect()
}

fn values(event: &NewEvent, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Action => vec![event.action.clone()],
        Kind::Verdict => vec![event.verdict.clone()],
        Kind::Vm => vec![event.vm.clone()],
        Kind::Route => words(&event.route),
        Kind::Rule => words(&event.rules),
        Kind::Family => words(event.fired.iter().map(|fired| &fired.family)),
        other => panic!("nobody asks for {other:?}"),
    }
}

/// Each once, as it may be shown.
fn words<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let words: BTreeSet<&str> = names.into_iter().map(|name| shown::label(name)).collect();
    words.into_iter().map(str::to_owned).collect()
}

async fn only_what_was_stored_is_summed(store: &dyn Store) {
    let all = |kind| SumsQuery { kind, hours: Hours { from: 0, to: i64::MAX / HOUR_MS }, every: 1, top: 9 };
    assert_eq!(store.sums(all(Kind::Action)).await.unwrap(), []);
    assert_eq!(store.compliance(all(Kind::Action).hours).await.unwrap(), Compliance::default());
    let event = |seq, action: &str| {
        Record::Event(Box::new(NewEvent { time_ms: 0, action: action.to_owned(), ..new_event("a", seq) }))
    };
    // Beside each other in a batch, and in the next one: a place that is taken adds nothing, whatever comes.
    store.append(vec![event(1, "allow"), event(1, "block"), event(2, "allow")]).await.unwrap();
    store.append(vec![event(2, "block"), event(2, "allow")]).await.unwrap();
    let sum = Sum { hour: 0, value: Some("allow".to_owned()), n: 2 };
    assert_eq!(store.sums(all(Kind::Action)).await.unwrap(), [sum]);
}

async fn the_figures_of_a_period_are_those_of_its_hours(store: &dyn Store) {
    let fired = |rule: &str, family: &str, n| Fired { rule: rule.to_owned(), family: family.to_owned(), n };
    let one = |seq, time_ms, action: &str| NewEvent {
        time_ms,
        action: action.to_owned(),
        rules: vec!["pii/email".to_owned()],
        fired: vec![fired("pii/email", "pii", 3)],
        ..new_event("a", seq)
    };
    let both = NewEvent {
        rules: vec!["pii/email".to_owned(), "pii/iban".to_owned()],
        fired: vec![fired("pii/email", "pii", 1), fired("pii/iban", "pii", 1)],
        subject: Some([1; 16]),
        ..one(5, 2 * HOUR_MS - 1, "block")
    };
    let events = [one(1, HOUR_MS - 1, "block"), one(3, HOUR_MS, "mask"), both, one(9, 2 * HOUR_MS, "block")];
    let mut records: Vec<Record> = events.map(|event| Record::Event(Box::new(event))).into_iter().collect();
    for (digest, at_ms) in [(b"x", HOUR_MS), (b"x", HOUR_MS + 1), (b"x", 2 * HOUR_MS), (b"y", HOUR_MS + 2)] {
        let sealed = Sealed { key: 1, bytes: vec![1] };
        records.push(Record::Quarantine(Quarantined { digest: digest.to_vec(), at_ms, sealed }));
    }
    store.append(records).await.unwrap();
    for (id, period) in [(1, 1), (2, 2)] {
        let key = DataKeyRow {
            id,
            period,
            subject: Some([1; 16]),
            wrapped: Some(vec![1; 60]),
            created_ms: 0,
            destroyed_ms: None,
        };
        store.change_keys(KeyChange::Put(key)).await.unwrap();
    }
    let erase = KeyChange::Erase { subject: [1; 16], at_ms: HOUR_MS + 7 };
    assert_eq!(store.change_keys(erase).await.unwrap(), 2);
    let detected = |name: &str, events, findings| Detected { name: name.to_owned(), events, findings };
    let map = |pairs: &[(&str, i64)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    let expected = Compliance {
        events: 2,
        verdicts: map(&[("clean", 2)]),
        actions: map(&[("block", 1), ("mask", 1)]),
        families: vec![detected("pii", 2, 5)],
        rules: vec![detected("pii/email", 2, 4), detected("pii/iban", 1, 1)],
        rules_left_out: 0,
        quarantined: 3,
        subjects_erased: 1,
        events_without_text: 1,
        missing_now: 5,
        vms_with_gaps_now: 1,
    };
    assert_eq!(store.compliance(Hours { from: 1, to: 2 }).await.unwrap(), expected);
    let later = store.compliance(Hours { from: 2, to: 3 }).await.unwrap();
    let figures = (later.events, later.quarantined, later.subjects_erased, later.events_without_text);
    assert_eq!((figures, later.missing_now), ((1, 1, 0, 0), 5));
}
