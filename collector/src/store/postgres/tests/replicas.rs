//! Several collectors on one database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{record, server};
use crate::domain::{CheckpointRow, Kept, NewEvent};
use crate::store::postgres::PostgresStore;
use crate::store::{Log, Publication, Store, suite};

/// What leaves say, in their order: (VM, number) of each.
async fn log_of(store: &PostgresStore) -> Vec<(String, i64)> {
    let leaves = store.leaves(0, 1_000_000).await.unwrap();
    let said = leaves.into_iter().map(|leaf| {
        let text = String::from_utf8(leaf).unwrap();
        let (vm, seq) = text.strip_prefix("leaf of ").unwrap().rsplit_once(' ').unwrap();
        (vm.to_owned(), seq.parse().unwrap())
    });
    said.collect()
}

fn indexes_of(name: &str, server: &sentinel_harness::postgres::Postgres) -> String {
    server.sql(name, "SELECT min(idx), max(idx), count(*) FROM leaves").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_collectors_write_one_log() {
    let server = server();
    let url = server.database().unwrap();
    let stores =
        [PostgresStore::open(&url).await.unwrap(), PostgresStore::open(&url).await.unwrap()].map(Arc::new);
    // Every VM tells both, as after a lost answer; each in order.
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&stores[task % 2]);
            let vm = format!("vm-{}", task / 2);
            tokio::spawn(async move {
                let mut at = BTreeMap::new();
                for first in (1..=200).step_by(5) {
                    let batch = (first..first + 5).map(|seq| suite::event(&vm, seq)).collect();
                    for (seq, kept) in (first..).zip(store.append(batch).await.unwrap()) {
                        match kept {
                            Kept::At(idx) => assert_eq!(at.insert(idx, (vm.clone(), seq)), None),
                            other => assert!(matches!(other, Kept::Taken(Some(_))), "{other:?}"),
                        }
                    }
                }
                at
            })
        })
        .collect();
    // Whoever looks on sees a log without holes that only grows.
    let looker = {
        let store = Arc::clone(&stores[0]);
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < 800 {
                let now = store.leaves(0, 1_000).await.unwrap();
                assert!(now.starts_with(&seen));
                seen = now;
            }
        })
    };
    let mut at = BTreeMap::new();
    for task in tasks {
        for (idx, event) in task.await.unwrap() {
            assert_eq!(at.insert(idx, event), None, "{idx} was given out twice");
        }
    }
    looker.await.unwrap();
    assert_eq!(at.keys().copied().collect::<Vec<_>>(), (0..800).collect::<Vec<_>>());
    let log = log_of(&stores[1]).await;
    assert_eq!(log, at.into_values().collect::<Vec<_>>());
    for vm in 0..4 {
        let seqs: Vec<i64> =
            log.iter().filter(|(of, _)| *of == format!("vm-{vm}")).map(|(_, seq)| *seq).collect();
        assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    }
    let counts = stores[0].counts().await.unwrap();
    assert_eq!((counts.events, counts.vms, counts.missing), (800, 4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_goes_leaves_no_hole_and_another_leads() {
    let server = server();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    let other = PostgresStore::open(&url).await.unwrap();
    for round in 0..6 {
        let first = Arc::new(PostgresStore::open(&url).await.unwrap());
        leads(&first).await;
        assert!(!other.lead().await.unwrap(), "one leads at a time");
        let vm = format!("vm-{round}");
        let begun = Arc::new(tokio::sync::Notify::new());
        let busy = {
            let (store, vm, begun) = (Arc::clone(&first), vm.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                let mut acknowledged = BTreeSet::new();
                for seq in 1.. {
                    match store.append(vec![suite::event(&vm, seq), suite::event(&vm, seq)]).await {
                        Ok(_) => acknowledged.insert(seq),
                        Err(_) => break,
                    };
                    begun.notify_one();
                }
                acknowledged
            })
        };
        begun.notified().await;
        tokio::time::sleep(Duration::from_millis(10 + 7 * round)).await;
        if round % 2 == 0 {
            // Every session of the first, in whatever it was doing; the other's opens again by itself.
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            server.sql(&name, sql).unwrap();
            let acknowledged = busy.await.unwrap();
            assert_eq!(missing(&other, &vm, &acknowledged).await, 0);
        } else {
            busy.abort();
            let _ = busy.await;
        }
        drop(first);
        leads(&other).await;
        other.publisher.close().await;
        // It goes on where the first one was.
        let kept = append_again(&other, vec![suite::event("other", round as i64 + 1)]).await;
        assert!(matches!(kept[..], [Kept::At(_)]), "{kept:?}");
    }
    let size = other.log_size().await.unwrap();
    assert_eq!(indexes_of(&name, &server), format!("0|{}|{size}", size - 1));
    let log = log_of(&other).await;
    assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len(), "an event is there twice");
    assert_eq!(other.counts().await.unwrap().events, size);
}

/// Its session may have been ended with the others; the first answer then is that it failed.
async fn append_again(store: &PostgresStore, records: Vec<crate::domain::Record>) -> Vec<Kept> {
    match store.append(records.clone()).await {
        Ok(kept) => kept,
        Err(_) => store.append(records).await.unwrap(),
    }
}

/// Waits until it leads.
async fn leads(store: &PostgresStore) {
    let started = Instant::now();
    while !matches!(store.lead().await, Ok(true)) {
        assert!(started.elapsed() < Duration::from_secs(60), "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn missing(store: &PostgresStore, vm: &str, acknowledged: &BTreeSet<i64>) -> usize {
    let there: BTreeSet<i64> =
        log_of(store).await.into_iter().filter(|(of, _)| of == vm).map(|(_, seq)| seq).collect();
    acknowledged.difference(&there).count()
}

#[tokio::test]
async fn of_two_that_publish_the_same_one_has_published() {
    let server = server();
    let url = server.database().unwrap();
    let stores = [PostgresStore::open(&url).await.unwrap(), PostgresStore::open(&url).await.unwrap()];
    let publication = |after: Option<i64>, size: i64| Publication {
        after,
        tiles: Vec::new(),
        checkpoint: CheckpointRow { size, at_ms: 1, note: format!("{size}") },
    };
    let mut after = None;
    for size in 1..=20 {
        let both = tokio::join!(
            stores[0].publish(publication(after, size)),
            stores[1].publish(publication(after, size))
        );
        assert_ne!(both.0.unwrap(), both.1.unwrap());
        after = Some(size);
    }
}

#[tokio::test]
async fn a_late_event_fills_the_gap_that_another_collector_saw() {
    let server = server();
    let url = server.database().unwrap();
    let stores = [PostgresStore::open(&url).await.unwrap(), PostgresStore::open(&url).await.unwrap()];
    // The order of numbers is no order at all, within batches and between them.
    let mut sent = BTreeSet::new();
    for step in 0..40_i64 {
        let (one, two) = (step * 17 % 101 + 1, step * 29 % 101 + 1);
        let batch =
            [one, two, one].map(|seq| record(NewEvent { rules: Vec::new(), ..suite::new_event("a", seq) }));
        let expected = [sent.insert(one), sent.insert(two), false];
        let kept = stores[step as usize % 2].append(batch.into()).await.unwrap();
        assert_eq!(kept.iter().map(|kept| matches!(kept, Kept::At(_))).collect::<Vec<_>>(), expected);
        let gaps = stores[0].gaps(crate::domain::GapsQuery { limit: 1, ..Default::default() }).await.unwrap();
        let there = &gaps.vms[0];
        let missing = (1..=there.last_seq).filter(|seq| !sent.contains(seq)).count();
        assert_eq!((there.count, there.missing), (sent.len() as i64, missing as i64));
        assert!(there.ranges.iter().all(|range| (range.first..=range.last).all(|seq| !sent.contains(&seq))));
    }
}
