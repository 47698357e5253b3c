//! A server that goes away, loses power, and has files to look into.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record;
use crate::domain::{DataKeyRow, Filter, Kept, NewEvent, Sealed};
use crate::store::postgres::{PostgresStore, session::Sessions};
use crate::store::{KeyChange, Keys, Log, Store, suite};
use sentinel_harness::postgres::{Postgres, PostgresOptions};

fn durable() -> Postgres {
    Postgres::start(PostgresOptions { fsync: true, ..PostgresOptions::default() }).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_away_is_used_again() {
    let mut server = durable();
    let store = PostgresStore::open(&server.database().unwrap()).await.unwrap();
    assert!(store.lead().await.unwrap());
    for (round, seq) in [(0, 1), (1, 3)] {
        store.append(vec![suite::event("a", seq)]).await.unwrap();
        if round == 0 {
            server.stop().unwrap()
        } else {
            server.kill().unwrap()
        }
        assert!(store.append(vec![suite::event("a", seq + 1)]).await.is_err());
        assert!(store.append(vec![suite::event("a", seq + 1)]).await.is_err());
        assert!(store.ping().await.is_err());
        assert!(store.lead().await.is_err());
        assert!(store.change_keys(KeyChange::Rewrap { id: 1, wrapped: vec![] }).await.is_err());
        server.start_again().unwrap();
        let started = Instant::now();
        while store.ping().await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "it does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(store.lead().await.unwrap());
        let kept = store.append(vec![suite::event("a", seq), suite::event("a", seq + 1)]).await.unwrap();
        assert!(matches!(kept[..], [Kept::Taken(Some(_)), Kept::At(idx)] if idx == seq), "{kept:?}");
    }
    assert_eq!(store.log_size().await.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash_of_the_server() {
    let mut server = durable();
    let store = Arc::new(PostgresStore::open(&server.database().unwrap()).await.unwrap());
    let mut acknowledged = 0;
    for round in 0..5_i64 {
        let begun = Arc::new(tokio::sync::Notify::new());
        let busy = {
            let (store, begun) = (Arc::clone(&store), Arc::clone(&begun));
            tokio::spawn(async move {
                let mut seq = acknowledged;
                while store.append(vec![suite::event("a", seq + 1)]).await.is_ok() {
                    begun.notify_one();
                    seq += 1;
                }
                seq
            })
        };
        begun.notified().await;
        tokio::time::sleep(Duration::from_millis(5 + 13 * round as u64)).await;
        server.kill().unwrap();
        acknowledged = busy.await.unwrap();
        server.start_again().unwrap();
        let gaps = store.gaps(crate::domain::GapsQuery { limit: 1, ..Default::default() }).await.unwrap();
        // One may be there whose answer was lost; none may be missing.
        let there = &gaps.vms[0];
        assert!((acknowledged..=acknowledged + 1).contains(&there.last_seq), "{acknowledged} {there:?}");
        assert_eq!((there.missing, there.count), (0, store.log_size().await.unwrap()));
    }
}

#[tokio::test]
async fn no_file_of_a_table_has_the_key_of_an_erased_subject() {
    let server = durable();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let store = PostgresStore::open(&url).await.unwrap();
    let (subject, wrapped) = ([7; 16], b"the wrapped key of somebody".to_vec());
    let key = |id, subject, wrapped: &[u8]| DataKeyRow {
        id,
        period: 1,
        subject: Some(subject),
        wrapped: Some(wrapped.to_vec()),
        created_ms: 1,
        destroyed_ms: None,
    };
    let kept = b"the wrapped key of another".to_vec();
    store.change_keys(KeyChange::Put(key(1, subject, &wrapped))).await.unwrap();
    store.change_keys(KeyChange::Put(key(2, [8; 16], &kept))).await.unwrap();
    let event = |seq, key| {
        let sealed = Sealed { key, bytes: vec![1; 20] };
        record(NewEvent {
            subject: Some(subject),
            sealed,
            words: vec![5],
            session: Some(3),
            ..suite::new_event("a", seq)
        })
    };
    store.append(vec![event(1, 1)]).await.unwrap();
    server.sql(name, "CHECKPOINT").unwrap();
    assert!(found(&server, &wrapped) && found(&server, &kept));
    assert_eq!(store.change_keys(KeyChange::Erase { subject, at_ms: 9 }).await.unwrap(), 1);
    server.sql(name, "CHECKPOINT").unwrap();
    assert!(!found(&server, &wrapped) && found(&server, &kept));
    // One was on its way with the key; one has the key of a subject that came again.
    store.change_keys(KeyChange::Put(key(3, subject, &kept))).await.unwrap();
    let (late, good) = tokio::join!(store.append(vec![event(2, 1)]), store.append(vec![event(3, 3)]));
    assert!(
        late.is_err() && matches!(good.unwrap()[..], [Kept::At(1)]),
        "one is refused, whoever waited with it"
    );
    for filter in [
        Filter { limit: 9, words: vec![5], ..Filter::default() },
        Filter { limit: 9, session: Some(3), ..Filter::default() },
    ] {
        let page = store.list(filter).await.unwrap();
        assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [3]);
    }
    let sealed =
        async |seq| store.event(format!("a-{seq}")).await.unwrap().map(|event| event.sealed.is_some());
    assert_eq!((sealed(1).await, sealed(2).await, sealed(3).await), (Some(false), None, Some(true)));
    // Going on with an erasure that had not come to its end leaves alone what came after it.
    super::super::keys::wipe(&store.sessions, subject).await.unwrap();
    assert_eq!(sealed(3).await, Some(true));
}

/// In the files of tables, which are all of the data but the write-ahead log.
fn found(server: &Postgres, bytes: &[u8]) -> bool {
    let mut folders = vec![server.data().join("base")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let content = std::fs::read(entry.path()).unwrap_or_default();
                    if content.windows(bytes.len()).any(|window| window == bytes) {
                        return true;
                    }
                }
            }
        }
    }
    false
}

/// `cargo test --release -- --ignored --nocapture how_many`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_many_events_a_second() {
    let server = durable();
    for (n_stores, n_words) in [(1, 0), (1, 12), (2, 0)] {
        let url = server.database().unwrap();
        let mut stores = Vec::new();
        for _ in 0..n_stores {
            stores.push(Arc::new(PostgresStore::open(&url).await.unwrap()));
        }
        let started = Instant::now();
        let tasks: Vec<_> = (0..16)
            .map(|vm| {
                let store = Arc::clone(&stores[vm % n_stores]);
                tokio::spawn(async move {
                    let mut slowest = Duration::ZERO;
                    let mut n: i64 = 0;
                    while started.elapsed() < Duration::from_secs(10) {
                        let batch =
                            (1..=100).map(|k| measured(&format!("vm-{vm}"), n + k, n_words)).collect();
                        let sent = Instant::now();
                        store.append(batch).await.unwrap();
                        slowest = slowest.max(sent.elapsed());
                        n += 100;
                    }
                    (n, slowest)
                })
            })
            .collect();
        let (mut n, mut slowest) = (0, Duration::ZERO);
        for task in tasks {
            let (of_task, of_slowest) = task.await.unwrap();
            (n, slowest) = (n + of_task, slowest.max(of_slowest));
        }
        let size: i64 = server
            .sql(url.rsplit('/').next().unwrap(), "SELECT pg_database_size(current_database())")
            .unwrap()
            .parse()
            .unwrap();
        println!(
            "{n_stores} collectors, {n_words} words: {:.0} events/s, slowest answer {slowest:?}, {} bytes/event",
            n as f64 / started.elapsed().as_secs_f64(),
            size / n
        );
    }
}

fn measured(vm: &str, seq: i64, n_words: i64) -> crate::domain::Record {
    let flagged = seq % 20 == 0;
    let word = |n: i64| (seq * 31 + n).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) >> 50;
    record(NewEvent {
        session: Some(seq / 10),
        verdict: if flagged { "suspicious" } else { "clean" }.to_owned(),
        rules: if flagged { vec!["pii/email".to_owned()] } else { Vec::new() },
        words: (0..n_words).map(word).collect(),
        leaf: vec![seq as u8; 250],
        sealed: Sealed { key: 1, bytes: vec![seq as u8; 600] },
        ..suite::new_event(vm, seq)
    })
}

#[tokio::test]
async fn a_writer_waits_for_disks_and_puts_little_off() {
    let server = super::server();
    let mut writer = Sessions::to(&server.database().unwrap()).unwrap().writer().await.unwrap();
    for (name, wanted) in [("synchronous_commit", "on"), ("gin_pending_list_limit", "512kB")] {
        let show = sqlx::AssertSqlSafe(format!("SHOW {name}"));
        let set: String = sqlx::query_scalar(show).fetch_one(&mut writer).await.unwrap();
        assert_eq!(set, wanted, "{name}");
    }
}
