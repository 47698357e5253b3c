//! What is done to a database by whoever has the machine, without asking a collector: backups, drills, other keys. Each
//! leaves a line in the journal, as what people do through a collector does.
//!
//! It is the word of an honest operator: who may read the files needs no command to copy them. A line says what was done
//! and no path, because it stays for ever.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::{Access, Record};
use crate::evidence::access_leaf;
use crate::store::{Place, PostgresStore, SqliteStore, Store, StoreError, is_current};

#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) what: &'static str,
    pub(crate) target: String,
    pub(crate) is_good: bool,
    pub(crate) at_ms: i64,
}

pub(crate) async fn note(store: &dyn Store, deed: Deed) -> Result<(), StoreError> {
    let Deed { what, target, is_good, at_ms } = deed;
    let outcome = if is_good { DONE } else { FAILED };
    let leaf = access_leaf(at_ms, WHO, what, &target, outcome);
    let access = Access { at_ms, who: WHO.to_owned(), what: what.to_owned(), target, outcome, leaf };
    store.append(vec![Record::Access(access)]).await.map(drop)
}

/// In the database of a configuration, beside the collector that may run on it. Whether there is one; tables of another
/// version get no line.
pub(crate) async fn note_at(config: &Config, deed: Deed) -> Result<bool, StoreError> {
    let place = place(config);
    match &place {
        Place::Sqlite(path) if !path.is_file() => return Ok(false),
        _ if !is_current(&place).await? => {
            return Err(StoreError("its tables are not those of this version".to_owned()));
        }
        _ => {}
    }
    let store = open(&place).await?;
    let noted = note(&*store, deed).await;
    store.close().await?;
    noted.map(|()| true)
}

pub(crate) fn place(config: &Config) -> Place {
    match &config.postgres {
        Some(url) => Place::Postgres(url.clone()),
        None => Place::Sqlite(config.database.clone()),
    }
}

async fn open(place: &Place) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match place {
        Place::Postgres(url) => Arc::new(PostgresStore::open(url).await?),
        Place::Sqlite(path) => Arc::new(SqliteStore::open(path).await?),
    })
}

const WHO: &str = "operator";
const DONE: i64 = 200;
const FAILED: i64 = 500;
