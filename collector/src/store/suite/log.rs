//! The log and the keys of a store.

use super::{access, event, new_event};
use crate::domain::{CheckpointRow, DataKeyRow, Filter, NewEvent, Record, Sealed, TileRow};
use crate::store::{KeyChange, Publication, Store};

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    leaves_stand_in_the_order_of_their_records(&fresh().await).await;
    checkpoints_grow_each_from_the_one_before(&fresh().await).await;
    keys_are_kept_once(&fresh().await).await;
    an_erased_subject_has_neither_keys_nor_payloads(&fresh().await).await;
}

async fn leaves_stand_in_the_order_of_their_records(store: &dyn Store) {
    assert_eq!(store.log_size().await.unwrap(), 0);
    // More than a statement takes, and accesses between events.
    let records: Vec<Record> = (1..=300)
        .map(|seq| if seq % 50 == 0 { access(&format!("read {seq}")) } else { event("a", seq) })
        .collect();
    store.append(records).await.unwrap();
    store.append(vec![access("last")]).await.unwrap();
    assert_eq!(store.log_size().await.unwrap(), 301);
    let all = store.leaves(0, 1_000).await.unwrap();
    let text = |idx: usize| String::from_utf8(all[idx].clone()).unwrap();
    assert_eq!((all.len(), text(0), text(49)), (301, "leaf of a 1".to_owned(), "leaf of read 50".to_owned()));
    assert_eq!((text(298), text(300)), ("leaf of a 299".to_owned(), "leaf of last".to_owned()));
    assert_eq!(store.leaves(299, 1).await.unwrap(), all[299..300]);
    assert!(store.leaves(301, 5).await.unwrap().is_empty());

    let around = store.events_at(48, 4).await.unwrap();
    assert_eq!(
        around.iter().map(|event| (event.idx, event.seq)).collect::<Vec<_>>(),
        [(48, 49), (50, 51), (51, 52)]
    );
    assert_eq!(around[0].sealed, Some(super::sealed("a", 49)));

    let newest = store.journal(2, None).await.unwrap();
    assert_eq!(newest.iter().map(|(idx, _)| *idx).collect::<Vec<_>>(), [300, 299]);
    assert_eq!((newest[0].1.what.as_str(), newest[0].1.leaf.as_slice()), ("last", &all[300][..]));
    let older = store.journal(10, Some(299)).await.unwrap();
    assert_eq!(older.iter().map(|(idx, _)| *idx).collect::<Vec<_>>(), [249, 199, 149, 99, 49]);
}

async fn checkpoints_grow_each_from_the_one_before(store: &dyn Store) {
    let publication = |after: Option<i64>, size: i64| Publication {
        after,
        tiles: vec![TileRow { level: 0, idx: 0, hashes: vec![7; 32 * size as usize] }],
        checkpoint: CheckpointRow { size, at_ms: size * 10, note: format!("note of {size}\n") },
    };
    assert!(store.lead().await.unwrap());
    assert_eq!(store.newest_checkpoint().await.unwrap(), None);
    assert_eq!(store.tile(0, 0).await.unwrap(), None);
    assert!(!store.publish(publication(Some(1), 2)).await.unwrap(), "there is none to follow");
    assert!(store.publish(publication(None, 2)).await.unwrap());
    assert!(!store.publish(publication(None, 3)).await.unwrap());
    assert!(!store.publish(publication(Some(1), 3)).await.unwrap());
    assert!(!store.publish(publication(Some(2), 2)).await.unwrap());
    assert_eq!(store.tile(0, 0).await.unwrap().unwrap().hashes.len(), 64, "what was refused changed nothing");
    assert!(store.publish(publication(Some(2), 5)).await.unwrap());
    assert_eq!(store.tile(0, 0).await.unwrap().unwrap().hashes.len(), 160);
    assert_eq!(store.newest_checkpoint().await.unwrap(), Some(publication(None, 5).checkpoint));
}

async fn keys_are_kept_once(store: &dyn Store) {
    let key = |id: i64, subject| DataKeyRow {
        id,
        period: 20_000,
        subject,
        wrapped: Some(vec![id as u8; 60]),
        created_ms: 1,
        destroyed_ms: None,
    };
    assert_eq!(store.change_keys(KeyChange::Put(key(i64::MAX, None))).await.unwrap(), 1);
    // Another collector was faster: its key stays, for nobody as for somebody.
    assert_eq!(store.change_keys(KeyChange::Put(key(2, None))).await.unwrap(), 0);
    assert_eq!(store.change_keys(KeyChange::Put(key(3, Some([1; 16])))).await.unwrap(), 1);
    assert_eq!(store.change_keys(KeyChange::Put(key(4, Some([1; 16])))).await.unwrap(), 0);
    assert_eq!(store.data_key_of(20_000, None).await.unwrap(), Some(key(i64::MAX, None)));
    assert_eq!(store.data_key_of(20_000, Some([1; 16])).await.unwrap(), Some(key(3, Some([1; 16]))));
    assert_eq!(store.data_key_of(20_001, None).await.unwrap(), None);
    assert_eq!(store.data_key(3).await.unwrap().unwrap().subject, Some([1; 16]));
    let rewrapped = KeyChange::Rewrap { id: 3, wrapped: vec![9] };
    assert_eq!(store.change_keys(rewrapped).await.unwrap(), 1);
    assert_eq!(store.data_key(3).await.unwrap().unwrap().wrapped, Some(vec![9]));
    let ids = |keys: Vec<DataKeyRow>| keys.iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(store.data_keys(0, 10).await.unwrap()), [3, i64::MAX]);
    assert_eq!(ids(store.data_keys(3, 10).await.unwrap()), [i64::MAX]);

    let secret = |name: &str, byte| KeyChange::PutSecret { name: name.to_owned(), wrapped: vec![byte] };
    assert_eq!(store.change_keys(secret("root", 1)).await.unwrap(), 1);
    assert_eq!(store.change_keys(secret("root", 2)).await.unwrap(), 0);
    assert_eq!(store.secret("root".to_owned()).await.unwrap(), Some(vec![1]));
    let replaced = KeyChange::ReplaceSecret { name: "root".to_owned(), wrapped: vec![3] };
    assert_eq!(store.change_keys(replaced).await.unwrap(), 1);
    assert_eq!(store.secret("root".to_owned()).await.unwrap(), Some(vec![3]));
    assert_eq!(store.secret("other".to_owned()).await.unwrap(), None);
}

async fn an_erased_subject_has_neither_keys_nor_payloads(store: &dyn Store) {
    let (gone, stays) = ([1; 16], [2; 16]);
    for (id, period, subject) in [(1, 1, gone), (2, 2, gone), (3, 1, stays)] {
        let wrapped = Some(vec![id as u8; 60]);
        let key =
            DataKeyRow { id, period, subject: Some(subject), wrapped, created_ms: 1, destroyed_ms: None };
        store.change_keys(KeyChange::Put(key)).await.unwrap();
    }
    let of = |subject, seq| {
        let event = NewEvent { subject: Some(subject), session: Some(5), ..new_event("a", seq) };
        Record::Event(Box::new(event))
    };
    store.append(vec![of(gone, 1), of(stays, 2), of(gone, 3)]).await.unwrap();
    assert_eq!(store.change_keys(KeyChange::Erase { subject: gone, at_ms: 99 }).await.unwrap(), 2);
    assert_eq!(store.change_keys(KeyChange::Erase { subject: gone, at_ms: 100 }).await.unwrap(), 0);
    assert_eq!(store.erasures().await.unwrap(), 2);
    assert_eq!(store.data_key_of(1, Some(gone)).await.unwrap(), None, "it lives no more");
    let again = DataKeyRow {
        id: 9,
        period: 1,
        subject: Some(gone),
        wrapped: Some(vec![9]),
        created_ms: 1,
        destroyed_ms: None,
    };
    assert_eq!(
        store.change_keys(KeyChange::Put(again)).await.unwrap(),
        1,
        "whoever was erased may come again"
    );
    for id in [1, 2] {
        let key = store.data_key(id).await.unwrap().unwrap();
        assert_eq!((key.wrapped, key.destroyed_ms), (None, Some(99)));
        assert_eq!(store.change_keys(KeyChange::Rewrap { id, wrapped: vec![1] }).await.unwrap(), 0);
    }
    assert!(store.data_key(3).await.unwrap().unwrap().wrapped.is_some());
    let page = store.list(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    let sealed: Vec<bool> = page.events.iter().map(|event| event.sealed.is_some()).collect();
    assert_eq!(sealed, [false, true, false]);
    let page = store.list(Filter { limit: 9, session: Some(5), ..Filter::default() }).await.unwrap();
    assert_eq!(page.events.len(), 1, "an erased event is not found by what it was about");
    assert_eq!(store.leaves(0, 9).await.unwrap().len(), 3, "the log stays whole");
    let late = NewEvent { sealed: Sealed { key: 2, bytes: vec![1] }, ..new_event("a", 4) };
    let late = Record::Event(Box::new(late));
    assert!(store.append(vec![late]).await.is_err(), "nothing is kept that nobody can read");
    assert_eq!(store.append(vec![of(gone, 3)]).await.unwrap(), [crate::domain::Kept::Taken(None)]);
}
