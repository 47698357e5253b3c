//! What every store must do, as functions over the trait: a new database runs it and is done.

pub(super) mod alerts;
mod cosign;
mod deployments;
mod last_admin;
mod log;
mod people;
mod sums;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Store;
use crate::domain::{
    Access, Filter, FoundEvent, GapsQuery, Kept, NewEvent, Quarantined, Record, Sealed, SeqRange, VmGaps,
};

/// Runs every check on a fresh store of its own.
pub(crate) async fn run<S: Store + 'static>(mut fresh: impl AsyncFnMut() -> S) {
    a_batch_is_stored_once(&fresh().await).await;
    a_place_that_is_taken_says_by_what_and_stays_as_it_is(&fresh().await).await;
    one_batch_may_hold_everything(&fresh().await).await;
    a_walk_meets_every_event_once(&fresh().await).await;
    filters_narrow(&fresh().await).await;
    a_page_is_bounded_in_bytes(&fresh().await).await;
    a_busy_vm_is_listed_like_a_quiet_one(&fresh().await).await;
    gaps_are_what_a_recount_says(&fresh().await).await;
    concurrent_batches_are_stored_exactly_once(Arc::new(fresh().await)).await;
    a_closed_store_has_written_all_and_takes_no_more(&fresh().await).await;
    log::run(&mut fresh).await;
    cosign::run(&mut fresh).await;
    people::run(&mut fresh).await;
    last_admin::run(&mut fresh).await;
    sums::run(&mut fresh).await;
    alerts::run(&mut fresh).await;
    deployments::run(fresh).await;
}

async fn a_batch_is_stored_once(store: &dyn Store) {
    let sent = || vec![event("a", 1), event("a", 2)];
    assert_eq!(store.append(sent()).await.unwrap(), [Kept::At(0), Kept::At(1)]);
    let taken = |seq| Kept::Taken(Some(sealed("a", seq)));
    assert_eq!(store.append(sent()).await.unwrap(), [taken(1), taken(2)]);
    let found = FoundEvent { idx: 1, vm: "a".to_owned(), seq: 2, sealed: Some(sealed("a", 2)) };
    assert_eq!(store.event("a-2".to_owned()).await.unwrap().unwrap(), found);
    for id in ["a-3", "a-02", "b-1", "a", ""] {
        assert_eq!(store.event(id.to_owned()).await.unwrap(), None, "{id}");
    }
    assert_eq!(store.counts().await.unwrap().events, 2);
    assert_eq!(store.append(Vec::new()).await.unwrap(), []);
    let named = NewEvent { id: Some("named".to_owned()), ..new_event("a", 3) };
    store.append(vec![Record::Event(Box::new(named))]).await.unwrap();
    assert_eq!(store.event("named".to_owned()).await.unwrap().unwrap().seq, 3);
    assert_eq!(store.event("a-3".to_owned()).await.unwrap(), None, "it has another id");
}

async fn a_place_that_is_taken_says_by_what_and_stays_as_it_is(store: &dyn Store) {
    let other = NewEvent { sealed: sealed("b", 9), ..new_event("a", 1) };
    let other = || Record::Event(Box::new(other.clone()));
    // Within a batch, in the next one, and behind a gap that it does not fill.
    let kept = store.append(vec![event("a", 1), other(), event("a", 5)]).await.unwrap();
    let taken = Kept::Taken(Some(sealed("a", 1)));
    assert_eq!(kept, [Kept::At(0), taken.clone(), Kept::At(1)]);
    assert_eq!(store.append(vec![other()]).await.unwrap(), [taken]);
    assert_eq!(store.event("a-1".to_owned()).await.unwrap().unwrap().sealed, Some(sealed("a", 1)));
    assert_eq!((store.counts().await.unwrap().events, store.log_size().await.unwrap()), (2, 2));
}

async fn one_batch_may_hold_everything(store: &dyn Store) {
    let aside = |text: &str| {
        let (digest, sealed) = (text.as_bytes().to_vec(), sealed("q", 1));
        Record::Quarantine(Quarantined { digest, at_ms: 7, sealed })
    };
    let sent = vec![event("a", 1), aside("x"), access("list"), event("b", 1), aside("x"), aside("y")];
    let kept = store.append(sent).await.unwrap();
    let expected = [Kept::At(0), Kept::Aside, Kept::At(1), Kept::At(2), Kept::Aside, Kept::Aside];
    assert_eq!(kept, expected);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.events, counts.quarantined), (2, 2));
}

async fn a_walk_meets_every_event_once(store: &dyn Store) {
    // Several events of the same millisecond lie across the ends of pages.
    let sent: Vec<Record> = (1..=50).map(|seq| event_at("a", seq, 1_000 + seq / 7)).collect();
    store.append(sent).await.unwrap();
    for limit in [1, 3, 7, 50, 51] {
        let mut walk = Vec::new();
        let mut filter = Filter { limit, ..Filter::default() };
        loop {
            let page = store.list(filter.clone()).await.unwrap();
            assert!(page.events.len() <= limit);
            walk.extend(page.events.into_iter().map(|event| (event.vm, event.seq)));
            // What arrives during a walk does not disturb it.
            let late = format!("late-{limit}");
            store.append(vec![event_at(&late, walk.len() as i64, 2_000)]).await.unwrap();
            match page.next {
                Some(next) => filter.before = Some(next),
                None => break,
            }
        }
        walk.retain(|(vm, _)| vm == "a");
        let newest_first: Vec<_> = (1..=50).rev().map(|seq| ("a".to_owned(), seq)).collect();
        assert_eq!(walk, newest_first, "limit {limit}");
    }
}

async fn filters_narrow(store: &dyn Store) {
    let some = |text: &str| Some(text.to_owned());
    let one = NewEvent {
        time_ms: 100,
        route: some("tools"),
        verdict: "malicious".to_owned(),
        session: Some(-7),
        words: vec![1, 2],
        ..new_event("a", 1)
    };
    let two = NewEvent {
        time_ms: 200,
        action: "block".to_owned(),
        score: 0.9,
        subject: Some([7; 16]),
        words: vec![2, 3],
        ..new_event("a", 2)
    };
    let three = NewEvent { time_ms: 300, rules: vec!["injection/ignore".to_owned()], ..new_event("b", 1) };
    store
        .append([one, two, three].map(|event| Record::Event(Box::new(event))).into_iter().collect())
        .await
        .unwrap();
    let all = || Filter { limit: 10, ..Filter::default() };
    for (filter, expected) in [
        (all(), vec![2, 1, 0]),
        (Filter { verdict: some("malicious"), ..all() }, vec![0]),
        (Filter { verdict: some("clean"), ..all() }, vec![2, 1]),
        (Filter { action: some("block"), ..all() }, vec![1]),
        (Filter { action: some("allow"), ..all() }, vec![2, 0]),
        (Filter { route: some("tools"), ..all() }, vec![0]),
        (Filter { vm: some("a"), ..all() }, vec![1, 0]),
        (Filter { vm: some("c"), ..all() }, vec![]),
        (Filter { rule: some("pii/email"), ..all() }, vec![1, 0]),
        (Filter { rule: some("pii/email"), vm: some("b"), ..all() }, vec![]),
        (Filter { rule: some("pii/email"), since_ms: Some(200), ..all() }, vec![1]),
        (Filter { rule: some("pii/none"), ..all() }, vec![]),
        (Filter { request: Some(1_000_001), vm: some("b"), ..all() }, vec![2]),
        (Filter { session: Some(-7), ..all() }, vec![0]),
        (Filter { subject: Some([7; 16]), ..all() }, vec![1]),
        (Filter { score_min: Some(0.6), ..all() }, vec![1]),
        (Filter { score_max: Some(0.5), ..all() }, vec![2, 0]),
        (Filter { since_ms: Some(200), ..all() }, vec![2, 1]),
        (Filter { until_ms: Some(200), ..all() }, vec![0]),
        (Filter { since_ms: Some(101), until_ms: Some(300), action: some("block"), ..all() }, vec![1]),
    ] {
        let page = store.list(filter.clone()).await.unwrap();
        assert_eq!(page.events.iter().map(|event| event.idx).collect::<Vec<_>>(), expected, "{filter:?}");
        assert_eq!(page.next, None);
    }
    // A store may keep words or not, but never loses an event that has them.
    for (words, least) in [(vec![2], vec![1, 0]), (vec![2, 3], vec![1])] {
        let page = store.list(Filter { words, ..all() }).await.unwrap();
        for idx in least {
            assert!(page.events.iter().any(|event| event.idx == idx));
        }
    }
    let first = store.list(Filter { rule: some("pii/email"), limit: 1, ..all() }).await.unwrap();
    assert_eq!(first.events[0].idx, 1);
    let second = Filter { rule: some("pii/email"), limit: 1, before: first.next, ..all() };
    assert_eq!(store.list(second).await.unwrap().events[0].idx, 0);
}

async fn a_page_is_bounded_in_bytes(store: &dyn Store) {
    for seq in 1..=4 {
        let sealed = Sealed { key: 1, bytes: vec![7; 3 << 20] };
        let large = NewEvent { sealed, ..new_event("a", seq) };
        store.append(vec![Record::Event(Box::new(large))]).await.unwrap();
    }
    let mut filter = Filter { limit: 10, ..Filter::default() };
    let page = store.list(filter.clone()).await.unwrap();
    assert_eq!(page.events.len(), 2);
    filter.before = page.next;
    let page = store.list(filter).await.unwrap();
    assert_eq!((page.events.len(), page.next), (2, None));
}

async fn a_busy_vm_is_listed_like_a_quiet_one(store: &dyn Store) {
    let sent = |vm: &str, n| (1..=n).map(|seq| event_at(vm, seq, 1_000 + seq / 3)).collect();
    store.append(sent("busy", 6_000)).await.unwrap();
    store.append(sent("quiet", 10)).await.unwrap();
    for (vm, last) in [("busy", 6_000), ("quiet", 10)] {
        let mut filter = Filter { limit: 4, vm: Some(vm.to_owned()), ..Filter::default() };
        for expected in [(last - 3..=last), (last - 7..=last - 4)] {
            let page = store.list(filter.clone()).await.unwrap();
            let seqs: Vec<i64> = page.events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, expected.rev().collect::<Vec<_>>(), "{vm}");
            assert!(page.events.iter().all(|event| event.vm == vm));
            filter.before = page.next;
        }
    }
}

async fn gaps_are_what_a_recount_says(store: &dyn Store) {
    // Every order of arrival must end in the same account; the multiplier walks all residues of the prime.
    let mut stored = BTreeSet::new();
    for step in 1..=40_i64 {
        let seq = step * 17 % 61 + 1;
        store.append(vec![event("a", seq), event("b", step)]).await.unwrap();
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
                let mut indexes = Vec::new();
                for seq in 1..=30 {
                    for kept in store.append(vec![event("a", seq), event("b", seq)]).await.unwrap() {
                        match kept {
                            Kept::At(idx) => indexes.push(idx),
                            other => assert!(matches!(other, Kept::Taken(Some(_))), "{other:?}"),
                        }
                    }
                }
                indexes
            })
        })
        .collect();
    let mut indexes = BTreeSet::new();
    for task in tasks {
        for idx in task.await.unwrap() {
            assert!(indexes.insert(idx), "{idx} was given out twice");
        }
    }
    assert_eq!(indexes, (0..60).collect());
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.events, counts.missing, counts.quarantined), (60, 0, 0));
}

async fn a_closed_store_has_written_all_and_takes_no_more(store: &dyn Store) {
    store.append(vec![event("a", 1)]).await.unwrap();
    assert_eq!(store.backlog(), 0);
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(store.append(vec![event("a", 2)]).await.is_err());
    assert!(store.ping().await.is_err());
}

pub(crate) fn event(vm: &str, seq: i64) -> Record {
    event_at(vm, seq, 1_790_000_000_000 + seq)
}

fn event_at(vm: &str, seq: i64, time_ms: i64) -> Record {
    Record::Event(Box::new(NewEvent { time_ms, ..new_event(vm, seq) }))
}

pub(crate) fn new_event(vm: &str, seq: i64) -> NewEvent {
    NewEvent {
        vm: vm.to_owned(),
        seq,
        time_ms: 1_790_000_000_000 + seq,
        received_ms: 1_790_000_000_500,
        request: Some(1_000_000 + seq),
        route: Some("chat".to_owned()),
        verdict: "clean".to_owned(),
        action: "allow".to_owned(),
        score: 0.5,
        rules: vec!["pii/email".to_owned()],
        leaf: format!("leaf of {vm} {seq}").into_bytes(),
        sealed: sealed(vm, seq),
        ..NewEvent::default()
    }
}

fn sealed(vm: &str, seq: i64) -> Sealed {
    Sealed { key: 7, bytes: format!("payload of {vm} {seq}").into_bytes() }
}

fn access(what: &str) -> Record {
    Record::Access(Access {
        at_ms: 5,
        who: "key:0123abcd".to_owned(),
        what: what.to_owned(),
        target: "/v1/events".to_owned(),
        outcome: 200,
        leaf: format!("leaf of {what}").into_bytes(),
    })
}
