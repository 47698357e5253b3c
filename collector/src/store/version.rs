//! Whether the tables of a database are those of this program, found out without touching them.
//!
//! Whoever only looks at a database, or adds a line beside a collector that runs, must not bring its tables up to date:
//! that collector may be of an older version, and would not know them any more.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Place, StoreError};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

pub(crate) async fn is_current(place: &Place) -> Result<bool, StoreError> {
    let (newest, ours): (i64, _) = match place {
        Place::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
            let mut connection = options.busy_timeout(BUSY_WAIT).connect().await?;
            let newest = sqlx::query_scalar(NEWEST).fetch_one(&mut connection).await?;
            connection.close().await?;
            (newest, &SQLITE)
        }
        Place::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await?;
            let newest = sqlx::query_scalar(NEWEST).fetch_one(&mut connection).await?;
            connection.close().await?;
            (newest, &POSTGRES)
        }
    };
    Ok(ours.iter().map(|migration| migration.version).max() == Some(newest))
}

const BUSY_WAIT: Duration = Duration::from_secs(5);
const NEWEST: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations";
