//! One end of a copy: rows of tables that are known by name, out of a database and into it.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::Place;
use super::tables::{Kind, Table};
use crate::store::postgres::{Copying, plain};
use crate::store::{PostgresStore, SqliteStore, Store, StoreError};

#[derive(Debug)]
pub(super) enum End {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, Copying),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Real(Option<f64>),
}

/// The same words for both kinds of database, which number their parameters alike.
macro_rules! either {
    ($end:expr, $connection:ident => $work:expr) => {
        match $end {
            Self::Sqlite($connection) => $work,
            Self::Postgres($connection, _) => $work,
        }
    };
}

macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value.clone() {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Real(value) => query.bind(value),
            };
        }
        query
    }};
}

impl End {
    /// Brings the tables up to date first.
    pub(super) async fn open(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Sqlite(path) => SqliteStore::open(path).await?.close().await?,
            Place::Postgres(url) => PostgresStore::open(url).await?.close().await?,
        }
        Self::connect(place).await
    }

    pub(super) async fn connect(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).foreign_keys(true);
                Ok(Self::Sqlite(SqliteConnection::connect_with(&options).await?))
            }
            Place::Postgres(url) => Ok(Self::Postgres(PgConnection::connect(url).await?, Copying::default())),
        }
    }

    /// What is read from now on is of one moment.
    pub(super) async fn begin_reading(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql("BEGIN").execute(connection).await.map(drop)?,
            Self::Postgres(connection, _) => {
                let begin = sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                begin.execute(connection).await.map(drop)?;
            }
        }
        Ok(())
    }

    pub(super) async fn begin_writing(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => {
                Ok(sqlx::raw_sql("BEGIN IMMEDIATE").execute(connection).await.map(drop)?)
            }
            Self::Postgres(connection, _) => Copying::begin(connection).await,
        }
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(mut connection) => {
                sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
                Ok(connection.close().await?)
            }
            Self::Postgres(mut connection, _) => {
                Copying::commit(&mut connection).await?;
                Ok(connection.close().await?)
            }
        }
    }

    /// Tables that may hold something of a store.
    pub(super) async fn tables(&mut self) -> Result<Vec<String>, StoreError> {
        let names: Vec<String> = match self {
            Self::Sqlite(connection) => {
                let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
                sqlx::query_scalar(query).fetch_all(connection).await?
            }
            Self::Postgres(connection, _) => {
                let query =
                    "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
                    AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'leaves'::regclass)";
                sqlx::query_scalar(query).fetch_all(connection).await?
            }
        };
        Ok(names.into_iter().filter(|name| !OF_ITS_OWN.contains(&name.as_str())).collect())
    }

    pub(super) async fn count(&mut self, name: &str) -> Result<i64, StoreError> {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {} AS t", rows_of(name)));
        Ok(either!(self, connection => sqlx::query_scalar(query).fetch_one(connection).await?))
    }

    /// The portion behind a key.
    pub(super) async fn read(
        &mut self,
        table: &Table,
        after: Option<&[Value]>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let select = AssertSqlSafe(select(table, after.is_some()));
        let after = after.unwrap_or_default();
        either!(self, connection => {
            let rows = bound!(sqlx::query(select), after).fetch_all(connection).await?;
            let mut values = Vec::with_capacity(rows.len());
            for row in rows {
                let mut columns = Vec::with_capacity(table.columns.len());
                for (idx, (_, kind)) in table.columns.iter().enumerate() {
                    columns.push(match kind {
                        Kind::Int => Value::Int(row.try_get(idx)?),
                        Kind::Text => Value::Text(row.try_get(idx)?),
                        Kind::Bytes => Value::Bytes(row.try_get(idx)?),
                        Kind::Real => Value::Real(row.try_get(idx)?),
                    });
                }
                values.push(columns);
            }
            Ok(values)
        })
    }

    pub(super) async fn write(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        if let Self::Postgres(connection, copying) = self
            && let Some(column) = table.columns.iter().position(|(name, _)| *name == "received_ms")
        {
            let received_ms = rows.iter().filter_map(|row| match row.get(column) {
                Some(Value::Int(ms)) => *ms,
                _ => None,
            });
            copying.cover(connection, received_ms).await?;
        }
        for rows in rows.chunks(ROWS_MAX) {
            let insert = AssertSqlSafe(self.insert(table, rows.len()));
            let values: Vec<Value> = rows.iter().flatten().map(|value| self.taken(value)).collect();
            either!(&mut *self, connection => {
                bound!(sqlx::query(insert), &values).execute(connection).await.map(drop)?;
            });
        }
        Ok(())
    }

    /// As this kind of database takes it.
    fn taken(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Postgres(..), Value::Text(Some(text))) => Value::Text(Some(plain(text).into_owned())),
            _ => value.clone(),
        }
    }

    fn insert(&self, table: &Table, n_rows: usize) -> String {
        let n = table.columns.len();
        let rows: Vec<String> = (0..n_rows)
            .map(|row| {
                let values: Vec<String> = (0..n).map(|column| format!("${}", row * n + column + 1)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let (name, columns, rows) = (table.name, names(table), rows.join(", "));
        match self {
            // These say when the event was received, because their partitions go by that.
            Self::Postgres(..) if name == "event_rules" => format!(
                "INSERT INTO event_rules ({columns}, received_ms)
                 SELECT row.*, events.received_ms
                 FROM (VALUES {rows}) AS row ({columns}) JOIN events ON events.idx = row.idx::bigint"
            ),
            _ => format!("INSERT INTO {name} ({columns}) VALUES {rows}"),
        }
    }
}

fn select(table: &Table, goes_on: bool) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|(name, kind)| match kind {
            Kind::Int => format!("CAST({name} AS bigint) AS {name}"),
            Kind::Text | Kind::Bytes | Kind::Real => (*name).to_owned(),
        })
        .collect();
    let keys: Vec<&str> = table.columns.iter().take(table.n_keys).map(|(name, _)| *name).collect();
    let (columns, keys, from) = (columns.join(", "), keys.join(", t."), rows_of(table.name));
    let places: Vec<String> = (1..=table.n_keys).map(|n| format!("${n}")).collect();
    let behind = if goes_on { format!("WHERE (t.{keys}) > ({})", places.join(", ")) } else { String::new() };
    format!("SELECT {columns} FROM {from} AS t {behind} ORDER BY t.{keys} LIMIT {}", table.portion)
}

/// A rule that fired for an event which is gone finds nothing, and is not copied.
fn rows_of(name: &str) -> &str {
    match name {
        "event_rules" => "(SELECT * FROM event_rules WHERE idx IN (SELECT idx FROM events))",
        name => name,
    }
}

fn names(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// With 16 columns each, below what a statement of either database takes.
const ROWS_MAX: usize = 100;

/// What every database has for itself. The token for a first admin and answered challenges are no use elsewhere.
const OF_ITS_OWN: [&str; 4] = ["_sqlx_migrations", "write_probe", "bootstrap", "used_nonces"];
