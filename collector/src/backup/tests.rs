//! What erasure means for backups, of which nothing can be said from outside.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::domain::{NewEvent, Record, Sealed, SubjectTag};
use crate::evidence::{Evidence, Keeper};
use crate::vault::Place;

const NOW_MS: i64 = 1_790_000_000_000;
const TEXT: &[u8] = b"what was said";
const PLACE: Place<'static> = Place { column: "event", vm: "a", seq: 1 };

async fn opened(config: &Config) -> Evidence {
    let store = crate::open_store(config).await.unwrap();
    crate::evidence(config, Arc::clone(&store)).await.unwrap()
}

async fn backup(config: &Config, folder: &Path, now_ms: i64) -> Made {
    let (kind, keep_days) = (Kind::Database, 30);
    create(&Create { folder, kind, config, configuration: &[], options: None, logs: None, keep_days, now_ms })
        .await
        .unwrap()
}

async fn back(file: &Path, config: &Config) -> Config {
    let config = config_at(config, &file.with_extension("db"));
    restore(&Restore { file, config: &config, scratch: None, files_to: None, force: false, now_ms: NOW_MS })
        .await
        .unwrap();
    config
}

/// Puts in an event about somebody; gives it and the wrapped key that opens it.
async fn event_about(subject: SubjectTag, evidence: &Evidence) -> (Sealed, Vec<u8>) {
    let key = evidence.keeper.sealing_key(NOW_MS, Some(subject)).await.unwrap();
    let (sealed, _) = Keeper::seal(&key, &PLACE, TEXT, &mut crate::vault::System).unwrap();
    let (vm, verdict, action) = ("a".to_owned(), "clean".to_owned(), "allow".to_owned());
    let (sealed, leaf) = (sealed, b"{}".to_vec());
    let event = NewEvent {
        vm,
        seq: 1,
        subject: Some(subject),
        verdict,
        action,
        leaf,
        sealed: sealed.clone(),
        ..NewEvent::default()
    };
    evidence.store.append(vec![Record::Event(Box::new(event))]).await.unwrap();
    let row = evidence.store.data_key(sealed.key).await.unwrap().unwrap();
    (sealed, row.wrapped.unwrap())
}

fn occurs(needle: &[u8], file: &Path) -> bool {
    fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_after_an_erasure_has_no_key_and_one_made_before_has_it_still() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config::new(nowhere, folder.path().join("events.db"), Vec::new());
    let evidence = opened(&config).await;
    let subject = evidence.keeper.subject("somebody");
    let (sealed, wrapped) = event_about(subject, &evidence).await;
    let before = backup(&config, folder.path(), NOW_MS).await;
    assert_eq!(evidence.keeper.erase(subject, NOW_MS).await.unwrap(), 1);
    let after = backup(&config, folder.path(), NOW_MS + 1).await;

    for (made, opens) in [(&before, true), (&after, false)] {
        let there = back(&made.path, &config).await;
        assert_eq!(occurs(&wrapped, &there.database), opens);
        assert_eq!(occurs(&sealed.bytes, &there.database), opens);
        let restored = opened(&there).await;
        let content = restored.keeper.unseal(&PLACE, &sealed).await.unwrap();
        match opens {
            true => {
                assert!(matches!(content, crate::evidence::Content::Open(payload) if payload.body == TEXT))
            }
            false => assert!(matches!(content, crate::evidence::Content::Gone)),
        }
        restored.store.close().await.unwrap();
    }
    evidence.store.close().await.unwrap();
}
