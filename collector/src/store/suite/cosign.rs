//! Cosignatures of checkpoints.

use sentinel_ledger::{Checkpoint, CosignerKey, EMPTY_ROOT, Note, SignerKey};

use crate::domain::CheckpointRow;
use crate::store::{Publication, Store};

pub(super) async fn run<S: Store + 'static>(fresh: &mut impl AsyncFnMut() -> S) {
    signatures_are_added_and_nothing_else_changes(&fresh().await).await;
    the_newest_with_enough_signatures_is_found(&fresh().await).await;
}

fn checkpoint(size: i64) -> Checkpoint {
    Checkpoint::new("log", size as u64, EMPTY_ROOT, Vec::new()).unwrap()
}

fn note(size: i64) -> Note {
    checkpoint(size).sign(&SignerKey::from_seed("log", &[1; 32]).unwrap()).unwrap()
}

fn cosigned(mut note: Note, witness: u8) -> Note {
    let key = CosignerKey::from_seed(&format!("witness-{witness}"), &[witness; 32]).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    note.add(key.cosign(&checkpoint, 1_790_000_000).unwrap()).unwrap();
    note
}

async fn publish(store: &dyn Store, after: Option<i64>, size: i64) {
    let checkpoint = CheckpointRow { size, at_ms: size * 10, note: note(size).to_string() };
    assert!(store.publish(Publication { after, tiles: Vec::new(), checkpoint }).await.unwrap());
}

async fn signatures_are_added_and_nothing_else_changes(store: &dyn Store) {
    let add = async |size, note: &Note| store.add_signatures(size, note.to_string()).await.unwrap();
    assert!(!add(5, &cosigned(note(5), 7)).await, "there is no such checkpoint");
    publish(store, None, 5).await;
    assert!(!add(5, &note(5)).await, "nothing more");
    assert!(!add(5, &cosigned(note(6), 7)).await, "another text");
    assert!(!store.add_signatures(5, "nothing".to_owned()).await.unwrap());
    let first = cosigned(note(5), 7);
    assert!(add(5, &first).await);
    assert!(!add(5, &first).await, "it is there");
    assert!(!add(5, &cosigned(note(5), 8)).await, "it would take the first away");
    let both = cosigned(first, 8);
    assert!(add(5, &both).await);
    let expected = CheckpointRow { size: 5, at_ms: 50, note: both.to_string() };
    assert_eq!(store.checkpoint(5).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.newest_checkpoint().await.unwrap(), Some(expected));
    assert_eq!(store.checkpoint(4).await.unwrap(), None);
    publish(store, Some(5), 9).await;
    assert_eq!(store.checkpoint(9).await.unwrap().unwrap().note, note(9).to_string());
}

async fn the_newest_with_enough_signatures_is_found(store: &dyn Store) {
    assert_eq!(store.cosigned_checkpoint(0).await.unwrap(), None);
    let mut after = None;
    for (size, witnesses) in [(1, vec![1, 2, 3]), (2, vec![1]), (3, vec![1, 2]), (4, vec![2]), (5, vec![])] {
        publish(store, after, size).await;
        after = Some(size);
        let note = witnesses.iter().fold(note(size), |note, witness| cosigned(note, *witness));
        assert_eq!(store.add_signatures(size, note.to_string()).await.unwrap(), !witnesses.is_empty());
    }
    for (n_min, expected) in [(1, Some(4)), (2, Some(3)), (3, Some(1)), (4, None), (1_000, None)] {
        let found = store.cosigned_checkpoint(n_min).await.unwrap();
        assert_eq!(found.map(|row| row.size), expected, "{n_min}");
    }
}
