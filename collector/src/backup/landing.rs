//! Where a restored database goes: into a file that was not there, or into an empty database of PostgreSQL.
//!
//! Invariant: either way it is there as a whole or not at all, and what was there before is never written into.

use std::path::{Path, PathBuf};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::disk;
use super::failure::Failure;
use super::place::{self, Moved};
use crate::config::Config;
use crate::operator;
use crate::store::{Place, copy};

#[derive(Debug)]
pub(super) struct Landing(Place);

impl Landing {
    pub(super) fn of(config: &Config) -> Self {
        Self(operator::place(config))
    }

    /// Not the address of a server: it has a password.
    pub(super) fn name(&self) -> String {
        match &self.0 {
            Place::Sqlite(path) => path.display().to_string(),
            Place::Postgres(_) => "PostgreSQL".to_owned(),
        }
    }

    /// A folder for what is not finished; a file can be renamed from there. `None` if it may be anywhere.
    pub(super) fn beside(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(disk::parent(path)),
            Place::Postgres(_) => None,
        }
    }

    pub(super) async fn refuse_what_is_there(&self, force: bool) -> Result<(), Failure> {
        match &self.0 {
            Place::Sqlite(_) if force => Ok(()),
            Place::Sqlite(path) => match place::there(path).first() {
                Some(there) => {
                    Err(Failure::input(there, &"it is there already; with force it is moved aside"))
                }
                None => Ok(()),
            },
            Place::Postgres(url) => match is_taken(url).await {
                Ok(false) => Ok(()),
                Ok(true) => Err(Failure::Input(
                    "the PostgreSQL database is not empty, and is never moved aside: make a new one and name that"
                        .to_owned(),
                )),
                Err(error) => Err(Failure::Machine(format!("PostgreSQL: {error}"))),
            },
        }
    }

    /// `before` is what files that are moved aside are called by. The draft is a settled file.
    pub(super) async fn land(
        &self,
        draft: &Path,
        force: bool,
        before: &str,
    ) -> Result<Vec<PathBuf>, Failure> {
        match &self.0 {
            Place::Sqlite(path) => {
                let moved = match force || place::there(path).is_empty() {
                    true => place::clear(path, before).await?,
                    false => Moved::default(),
                };
                disk::publish_among_others(draft, path)?;
                Ok(moved.keep())
            }
            Place::Postgres(_) => {
                let copied = copy(&Place::Sqlite(draft.to_owned()), &self.0).await;
                copied.map_err(|error| Failure::Machine(format!("PostgreSQL: {error}")))?;
                Ok(Vec::new())
            }
        }
    }
}

/// Whether a collector has ever used it.
async fn is_taken(url: &str) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let mut taken = false;
    for table in ["leaves", "secrets"] {
        let there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(table)
            .fetch_one(&mut connection)
            .await?;
        if there {
            let rows = sqlx::AssertSqlSafe(format!("SELECT EXISTS (SELECT FROM {table})"));
            taken |= sqlx::query_scalar::<_, bool>(rows).fetch_one(&mut connection).await?;
        }
    }
    connection.close().await?;
    Ok(taken)
}
