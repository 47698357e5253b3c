//! A real PostgreSQL, one for all tests, with a database for each.

mod replicas;
mod server;

use std::sync::OnceLock;

use super::PostgresStore;
use crate::domain::{Kept, NewEvent, Record};
use crate::store::{KeyChange, Keys as _, Log as _, Store, suite};
use sentinel_harness::postgres::{Postgres, PostgresOptions};

/// Ends with the last test that uses it.
fn server() -> std::sync::Arc<Postgres> {
    static SERVER: OnceLock<std::sync::Mutex<std::sync::Weak<Postgres>>> = OnceLock::new();
    let mut place =
        SERVER.get_or_init(std::sync::Mutex::default).lock().unwrap_or_else(|broken| broken.into_inner());
    place.upgrade().unwrap_or_else(|| {
        let server = std::sync::Arc::new(Postgres::start(PostgresOptions::default()).unwrap());
        *place = std::sync::Arc::downgrade(&server);
        server
    })
}

fn record(event: NewEvent) -> Record {
    Record::Event(Box::new(event))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_of_a_store() {
    let server = server();
    suite::run(async || PostgresStore::open(&server.database().unwrap()).await.unwrap()).await;
}

#[tokio::test]
async fn migrations_run_once_however_many_begin_at_once() {
    let server = server();
    let url = server.database().unwrap();
    let opened: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::open(&url).await })
        })
        .collect();
    for store in opened {
        let store = store.await.unwrap().unwrap();
        store.append(Vec::new()).await.unwrap();
        store.close().await.unwrap();
    }
    assert!(PostgresStore::open(&url).await.unwrap().ping().await.is_ok());
}

#[tokio::test]
async fn events_lie_in_the_month_in_which_they_came() {
    let server = server();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let store = PostgresStore::open(&url).await.unwrap();
    let came =
        |seq, received_ms| record(NewEvent { received_ms, words: vec![seq], ..suite::new_event("a", seq) });
    let (november, december) = (1_793_491_200_000, 1_796_083_200_000);
    let sent = vec![came(1, november), came(2, december - 1), came(3, december), came(4, -1)];
    store.append(sent).await.unwrap();
    let places =
        "SELECT tableoid::regclass, array_agg(seq ORDER BY seq) FROM events GROUP BY 1 ORDER BY min(seq)";
    assert_eq!(
        server.sql(name, places).unwrap(),
        "events_2026_11|{1,2}\nevents_2026_12|{3}\nevents_rest|{4}"
    );
    // The next month is there before its first event.
    assert_eq!(server.sql(name, "SELECT to_regclass('events_2027_01')").unwrap(), "events_2027_01");
    // What the rest has of a month keeps the month from being made, and nothing from being kept.
    store.close().await.unwrap();
    server.sql(name, "DROP TABLE events_2027_01, event_rules_2027_01").unwrap();
    let january = 1_798_761_600_000;
    server.sql(name, &format!("UPDATE events SET received_ms = {january} WHERE seq = 4")).unwrap();
    let store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(store.append(vec![came(5, january)]).await.unwrap(), [Kept::At(4)]);
    let rest = "SELECT array_agg(seq ORDER BY seq) FROM events_rest";
    assert_eq!(server.sql(name, rest).unwrap(), "{4,5}");
    for seq in 1..=5 {
        let filter = crate::domain::Filter { limit: 9, words: vec![seq], ..Default::default() };
        let page = store.list(filter).await.unwrap();
        assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [seq]);
    }
}

#[tokio::test]
async fn what_outlived_its_time_goes_with_its_month_and_the_accounts_stay() {
    let server = server();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let store = PostgresStore::open(&url).await.unwrap();
    let (november, december) = (1_793_491_200_000, 1_796_083_200_000);
    let came = |seq, received_ms| record(NewEvent { received_ms, ..suite::new_event("a", seq) });
    store.append(vec![came(1, november), came(2, november + 5), came(3, december)]).await.unwrap();
    assert_eq!(store.oldest_events(2).await.unwrap(), [(0, november), (1, november + 5)]);
    let months = "SELECT to_regclass('events_2026_11') IS NULL, to_regclass('event_rules_2026_12') IS NULL";
    for (upto, before_ms, expected) in [(0, november + 1, "f|f"), (1, december, "t|f")] {
        assert_eq!(store.change_keys(KeyChange::Retire { upto, before_ms, at_ms: 9 }).await.unwrap(), 1);
        assert_eq!(server.sql(name, months).unwrap(), expected);
    }
    assert_eq!(server.sql(name, "SELECT count(*) FROM event_rules").unwrap(), "1");
    let resent = store.append(vec![came(2, december), came(3, december), came(4, december)]).await.unwrap();
    assert!(matches!(resent[..], [Kept::Taken(None), Kept::Taken(Some(_)), Kept::At(3)]), "{resent:?}");
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.events, counts.missing, store.log_size().await.unwrap()), (4, 0, 4));
}

#[tokio::test]
async fn a_nul_is_no_reason_to_refuse_anything() {
    let server = server();
    let store = PostgresStore::open(&server.database().unwrap()).await.unwrap();
    let odd = NewEvent {
        id: Some("i\0d".to_owned()),
        route: Some("r\0".to_owned()),
        rules: vec!["x\0".to_owned(), "x\u{fffd}".to_owned()],
        ..suite::new_event("a", 1)
    };
    let route = crate::domain::Filter { limit: 9, route: Some("r\0".to_owned()), ..Default::default() };
    let rule = crate::domain::Filter { limit: 9, rule: Some("x\0".to_owned()), ..Default::default() };
    assert_eq!(store.append(vec![record(odd)]).await.unwrap(), [Kept::At(0)]);
    assert_eq!(store.event("i\0d".to_owned()).await.unwrap().unwrap().seq, 1);
    assert_eq!(store.event("\0".to_owned()).await.unwrap(), None);
    for filter in [route, rule] {
        assert_eq!(store.list(filter).await.unwrap().events.len(), 1);
    }
}
