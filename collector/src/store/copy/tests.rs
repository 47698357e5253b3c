//! From SQLite to a real PostgreSQL, and back.

use sentinel_harness::postgres::{Postgres, PostgresOptions};

use sqlx::{Connection as _, SqliteConnection};

use super::{Copied, Place, copy};
use crate::access::api_key::{ApiKey, Grant, RANDOM_BYTES};
use crate::access::role::Role;
use crate::domain::{
    CheckpointRow, DataKeyRow, Deed, Entry, Filter, GapsQuery, Holder, HolderKind, Hours, Kept, Label, Mode,
    NewEvent, Plan, Quarantined, Record, Sealed, State, TileRow, samples,
};
use crate::store::{
    Change, Feedback, KeyChange, PeopleChange, PostgresStore, Publication, SqliteStore, Store, suite,
};

/// Something of everything.
async fn fill(store: &dyn Store) {
    let sealed = Sealed { key: 1, bytes: vec![9; 50] };
    let aside = Quarantined { digest: vec![1], at_ms: 5, sealed: sealed.clone() };
    let named = NewEvent {
        id: Some("named".to_owned()),
        subject: Some([3; 16]),
        session: Some(-4),
        ..suite::new_event("b", 7)
    };
    let mut records: Vec<Record> = (1..=2_500).map(|seq| suite::event("a", seq * 2)).collect();
    records.extend([
        Record::Quarantine(aside),
        Record::Event(Box::new(named)),
        Record::Access(Default::default()),
    ]);
    store.append(records).await.unwrap();
    let odd = Record::Access(crate::domain::Access { target: "a\0b".to_owned(), ..Default::default() });
    store.append(vec![odd]).await.unwrap();
    let key = DataKeyRow {
        id: 1,
        period: 2,
        subject: None,
        wrapped: Some(vec![4]),
        created_ms: 3,
        destroyed_ms: None,
    };
    store.change_keys(KeyChange::Put(key)).await.unwrap();
    store.change_keys(KeyChange::PutSecret { name: "root".to_owned(), wrapped: vec![5] }).await.unwrap();
    let grant =
        Grant { label: "l".to_owned(), roles: Role::Viewer.into(), scope: None, not_after_ms: Some(9) };
    let key = ApiKey::issue(grant, &[7; RANDOM_BYTES], 3).unwrap().key;
    assert!(store.change_people(PeopleChange::PutKey(Box::new(key))).await.unwrap());
    let kind = HolderKind::Wallet;
    let holder = Holder { kind, name: "w".to_owned(), roles: Role::Auditor.into(), at_ms: 4 };
    assert!(store.change_people(PeopleChange::Give(holder)).await.unwrap());
    let checkpoint = CheckpointRow { size: 3, at_ms: 1, note: "note".to_owned() };
    let tiles = vec![TileRow { level: 0, idx: 0, hashes: vec![8; 96] }];
    assert!(store.publish(Publication { after: None, tiles, checkpoint }).await.unwrap());
    for (id, version) in [("active", 1), ("candidate", 2)] {
        store.change(Change::PutBundle(samples::pushed(id, version))).await.unwrap();
    }
    let entry =
        Entry { at_ms: 1, what: Deed::Started, who: "w".to_owned(), why: "y".to_owned(), figures: None };
    let plan: Box<Plan> = Box::new(samples::plan(Mode::Canary));
    assert!(store.change(Change::Begin { number: 1, plan, state: State::Running, entry }).await.unwrap());
    let feedback =
        Feedback { event: "named".to_owned(), label: Label::TruePositive, at_ms: 1, who: "w".to_owned() };
    store.change(Change::PutFeedback(feedback)).await.unwrap();
    suite::alerts::fill(store).await;
}

/// What a store answers, as text.
async fn answers(store: &dyn Store) -> String {
    let page = |filter| async move { store.list(filter).await.unwrap() };
    let all = page(Filter { limit: 5_000, ..Filter::default() }).await;
    let some = page(Filter {
        limit: 9,
        session: Some(-4),
        rule: Some("pii/email".to_owned()),
        words: vec![1],
        ..Filter::default()
    });
    let mut text = format!("{all:?} {:?}", some.await);
    text += &format!(
        "{:?} {:?}",
        store.counts().await,
        store.gaps(GapsQuery { limit: 9, ..Default::default() }).await
    );
    text += &format!("{:?} {:?}", store.leaves(0, 9_000).await, store.newest_checkpoint().await);
    text += &format!(
        "{:?} {:?} {:?}",
        store.tile(0, 0).await,
        store.journal(9, None).await,
        store.data_keys(0, 9).await
    );
    text += &format!("{:?} {:?}", store.secret("root".to_owned()).await, store.bundles().await);
    text += &format!("{:?} {:?}", store.deployments(9, None).await, store.label("named".to_owned()).await);
    text += &format!(
        "{:?} {:?}",
        store.api_keys(None, 9).await,
        store.holders(HolderKind::Wallet, None, 9).await
    );
    let hours = Hours { from: 0, to: i64::from(u32::MAX) };
    text += &format!("{:?}", store.compliance(hours).await);
    text += &suite::alerts::answers(store).await;
    text + &format!("{:?}", store.event("named".to_owned()).await)
}

#[tokio::test]
async fn a_copy_answers_as_the_original_does() {
    let server = Postgres::start(PostgresOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    let url = server.database().unwrap();
    let places = [Place::Sqlite(first.clone()), Place::Postgres(url.clone()), Place::Sqlite(last.clone())];
    let original = SqliteStore::open(&first).await.unwrap();
    fill(&original).await;
    let expected = answers(&original).await;
    original.close().await.unwrap();
    let there: Copied = copy(&places[0], &places[1]).await.unwrap();
    assert!(there.rows.iter().all(|(name, n)| *n > 0 || panic!("{name} is empty")));
    let error = copy(&places[0], &places[1]).await.unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    assert_eq!(copy(&places[1], &places[2]).await.unwrap(), there);
    let (middle, last) = (PostgresStore::open(&url).await.unwrap(), SqliteStore::open(&last).await.unwrap());
    // PostgreSQL has no NUL.
    let expected = expected.replace("a\\0b", "a\u{fffd}b");
    assert_eq!(answers(&middle).await, expected);
    assert_eq!(answers(&last).await, expected);
    last.close().await.unwrap();
    // What nobody has taught it is not left behind silently.
    let mut odd = SqliteConnection::connect(&format!("sqlite://{}", first.display())).await.unwrap();
    sqlx::raw_sql("CREATE TABLE odd (n); INSERT INTO odd VALUES (1)").execute(&mut odd).await.unwrap();
    let error = copy(&places[0], &Place::Postgres(server.database().unwrap())).await.unwrap_err().to_string();
    assert!(error.contains("odd"), "{error}");
    // Numbers go on.
    let kept = middle.append(vec![suite::event("new", 1), suite::event("a", 1)]).await.unwrap();
    assert_eq!(kept, [Kept::At(2_503), Kept::At(2_504)]);
}
