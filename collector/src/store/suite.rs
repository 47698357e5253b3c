//! What every store must do, as one function over the trait: a new database runs it and is done.

mod deployments;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Batch, Store};
use crate::domain::{Filter, GapsQuery, Outcome, Received, SeqRange, VmGaps};

/// Runs every check on a fresh store of its own.
pub(crate) async fn run<S: Store + 'static>(mut fresh: impl AsyncFnMut() -> S) {
    a_batch_is_stored_once(&fresh().await).await;
    other_content_is_a_conflict_and_changes_nothing(&fresh().await).await;
    one_batch_may_hold_everything(&fresh().await).await;
    a_walk_meets_every_event_once(&fresh().await).await;
    filters_narrow(&fresh().await).await;
    a_page_is_bounded_in_bytes(&fresh().await).await;
    gaps_are_what_a_recount_says(&fresh().await).await;
    concurrent_batches_are_stored_exactly_once(Arc::new(fresh().await)).await;
    a_closed_store_has_written_all_and_takes_no_more(&fresh().await).await;
    deployments::run(fresh).await;
}

async fn a_batch_is_stored_once(store: &dyn Store) {
    let sent = [event("a", 1), event("a", 2)];
    assert_eq!(store.append(batch(&sent)).await.unwrap(), [Outcome::Accept, Outcome::Accept]);
    assert_eq!(store.append(batch(&sent)).await.unwrap(), [Outcome::Duplicate, Outcome::Duplicate]);
    assert_eq!(store.event("a-2".to_owned()).await.unwrap().unwrap(), sent[1]);
    assert_eq!(store.event("a-3".to_owned()).await.unwrap(), None);
    assert_eq!(store.counts().await.unwrap().events, 2);
    assert_eq!(store.append(batch(&[])).await.unwrap(), []);
}

async fn other_content_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let first = event("a", 1);
    let other = first.replace("0.5", "0.6");
    store.append(batch(std::slice::from_ref(&first))).await.unwrap();
    for _ in 0..2 {
        let outcomes = store.append(batch(std::slice::from_ref(&other))).await.unwrap();
        assert!(matches!(&outcomes[..], [Outcome::Quarantine { reason }] if reason.contains("conflict")));
    }
    assert_eq!(store.event("a-1".to_owned()).await.unwrap().unwrap(), first);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.events, counts.quarantined), (1, 1));
}

async fn one_batch_may_hold_everything(store: &dyn Store) {
    let sent =
        [event("a", 1), "{}".to_owned(), event("a", 1), event("a", 1).replace("0.5", "0.7"), event("b", 1)];
    let outcomes = store.append(batch(&sent)).await.unwrap();
    let kinds: Vec<_> = outcomes.iter().map(std::mem::discriminant).collect();
    let quarantine = std::mem::discriminant(&Outcome::Quarantine { reason: String::new() });
    let (accept, duplicate) =
        (std::mem::discriminant(&Outcome::Accept), std::mem::discriminant(&Outcome::Duplicate));
    assert_eq!(kinds, [accept, quarantine, duplicate, quarantine, accept]);
}

async fn a_walk_meets_every_event_once(store: &dyn Store) {
    // Several events of the same millisecond lie across the ends of pages.
    let sent: Vec<String> = (1..=50).map(|seq| event_at("a", seq, 1_000 + seq / 7)).collect();
    store.append(batch(&sent)).await.unwrap();
    for limit in [1, 3, 7, 50, 51] {
        let mut walk = Vec::new();
        let mut filter = Filter { limit, ..Filter::default() };
        loop {
            let page = store.list(filter.clone()).await.unwrap();
            assert!(page.bodies.len() <= limit);
            walk.extend(page.bodies);
            // What arrives during a walk does not disturb it.
            store.append(batch(&[event_at("late", walk.len() as i64, 2_000)])).await.unwrap();
            match page.next {
                Some(next) => filter.before = Some(next),
                None => break,
            }
        }
        walk.retain(|body| !body.contains("late"));
        let newest_first: Vec<String> = sent.iter().rev().cloned().collect();
        assert_eq!(walk, newest_first, "limit {limit}");
    }
}

async fn filters_narrow(store: &dyn Store) {
    let one = event_at("a", 1, 100).replace("\"chat\"", "\"tools\"").replace("\"clean\"", "\"malicious\"");
    let two = event_at("a", 2, 200).replace("\"allow\"", "\"block\"");
    let three = event_at("b", 1, 300).replace("pii/email", "injection/ignore");
    store.append(batch(&[one.clone(), two.clone(), three.clone()])).await.unwrap();
    let all = || Filter { limit: 10, ..Filter::default() };
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (all(), vec![&three, &two, &one]),
        (Filter { verdict: some("malicious"), ..all() }, vec![&one]),
        (Filter { action: some("block"), ..all() }, vec![&two]),
        (Filter { route: some("tools"), ..all() }, vec![&one]),
        (Filter { vm: some("a"), ..all() }, vec![&two, &one]),
        (Filter { rule: some("pii/email"), ..all() }, vec![&two, &one]),
        (Filter { rule: some("pii/email"), vm: some("b"), ..all() }, vec![]),
        (Filter { rule: some("pii/email"), since_ms: Some(200), ..all() }, vec![&two]),
        (Filter { request_id: some("r-b-1"), ..all() }, vec![&three]),
        (Filter { since_ms: Some(200), ..all() }, vec![&three, &two]),
        (Filter { until_ms: Some(200), ..all() }, vec![&one]),
        (Filter { since_ms: Some(101), until_ms: Some(300), action: some("block"), ..all() }, vec![&two]),
    ] {
        let page = store.list(filter.clone()).await.unwrap();
        assert_eq!(page.bodies.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        assert_eq!(page.next, None);
    }
    let first = store.list(Filter { rule: some("pii/email"), limit: 1, ..all() }).await.unwrap();
    assert_eq!(first.bodies, [two]);
    let second = Filter { rule: some("pii/email"), limit: 1, before: first.next, ..all() };
    assert_eq!(store.list(second).await.unwrap().bodies, [one]);
}

async fn a_page_is_bounded_in_bytes(store: &dyn Store) {
    for seq in 1..=4 {
        let large = event("a", seq).replace("chat", &"x".repeat(3 << 20));
        store.append(batch(&[large])).await.unwrap();
    }
    let mut filter = Filter { limit: 10, ..Filter::default() };
    let page = store.list(filter.clone()).await.unwrap();
    assert_eq!(page.bodies.len(), 2);
    filter.before = page.next;
    let page = store.list(filter).await.unwrap();
    assert_eq!((page.bodies.len(), page.next), (2, None));
}

async fn gaps_are_what_a_recount_says(store: &dyn Store) {
    // Every order of arrival must end in the same account; the multiplier walks all residues of the prime.
    let mut stored = BTreeSet::new();
    for step in 1..=40_i64 {
        let seq = step * 17 % 61 + 1;
        store.append(batch(&[event("a", seq), event("b", step)])).await.unwrap();
        stored.insert(seq);
        let page = store.gaps(GapsQuery { limit: 10, ..GapsQuery::default() }).await.unwrap();
        assert_eq!(page.vms[0], recount("a", &stored), "after {stored:?}");
        assert_eq!((page.vms[1].missing, page.vms[1].ranges.len()), (0, 0));
    }
    let counts = store.counts().await.unwrap();
    let account = recount("a", &stored);
    assert_eq!((counts.vms, counts.gaps, counts.missing), (2, account.ranges.len() as i64, account.missing));
    let page = store.gaps(GapsQuery { limit: 1, ..GapsQuery::default() }).await.unwrap();
    assert_eq!((page.vms.len(), page.next.as_deref()), (1, Some("a")));
    let page = store.gaps(GapsQuery { limit: 1, after: page.next, vm: None }).await.unwrap();
    assert_eq!((page.vms[0].vm.as_str(), page.next), ("b", None));
    let page = store.gaps(GapsQuery { limit: 9, after: None, vm: Some("c".to_owned()) }).await.unwrap();
    assert!(page.vms.is_empty());
}

fn recount(vm: &str, stored: &BTreeSet<i64>) -> VmGaps {
    let mut ranges = Vec::new();
    let mut expected = 1;
    for seq in stored {
        if *seq > expected {
            ranges.push(SeqRange { first: expected, last: seq - 1 });
        }
        expected = seq + 1;
    }
    VmGaps {
        vm: vm.to_owned(),
        first_seq: *stored.first().unwrap(),
        last_seq: *stored.last().unwrap(),
        count: stored.len() as i64,
        missing: ranges.iter().map(|range| range.last - range.first + 1).sum(),
        ranges,
        ranges_left_out: 0,
    }
}

async fn concurrent_batches_are_stored_exactly_once<S: Store + 'static>(store: Arc<S>) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut n_accepted = 0;
                for seq in 1..=30 {
                    let outcomes = store.append(batch(&[event("a", seq), event("b", seq)])).await.unwrap();
                    n_accepted += outcomes.iter().filter(|outcome| **outcome == Outcome::Accept).count();
                }
                n_accepted
            })
        })
        .collect();
    let mut n_accepted = 0;
    for task in tasks {
        n_accepted += task.await.unwrap();
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((n_accepted, counts.events, counts.missing, counts.quarantined), (60, 60, 0, 0));
}

async fn a_closed_store_has_written_all_and_takes_no_more(store: &dyn Store) {
    store.append(batch(&[event("a", 1)])).await.unwrap();
    assert_eq!(store.backlog(), 0);
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(store.append(batch(&[event("a", 2)])).await.is_err());
    assert!(store.ping().await.is_err());
}

pub(crate) fn event(vm: &str, seq: i64) -> String {
    event_at(vm, seq, 1_790_000_000_000 + seq)
}

fn event_at(vm: &str, seq: i64, time_ms: i64) -> String {
    format!(
        r#"{{"schema":"sentinel.event/1","id":"{vm}-{seq}","vm":"{vm}","seq":{seq},"time_ms":{time_ms},"request_id":"r-{vm}-{seq}","route":"chat","verdict":"clean","action":"allow","score":0.5,"findings":[{{"rule":"pii/email","family":"pii"}},{{"rule":"pii/email","family":"pii"}}]}}"#
    )
}

pub(crate) fn batch(bodies: &[String]) -> Batch {
    let elements = bodies.iter().map(|body| Received::read(body)).collect();
    Batch { received_ms: 1_790_000_000_500, elements }
}
