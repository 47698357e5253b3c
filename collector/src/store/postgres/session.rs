//! Connections, and what each kind of them is set to.
//!
//! Several collectors wait for each other's locks. So a session whose collector is gone must end by itself, soon and
//! whatever happened to the network, and no collector waits for an answer for ever.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::within;
use crate::store::StoreError;

#[derive(Clone, Debug)]
pub(super) struct Sessions(PgConnectOptions);

impl Sessions {
    pub(super) fn to(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse()?;
        Ok(Self(options.application_name("sentinel-collector").options(ALL)))
    }

    /// A commit is on disk when it returns, whatever the server's default is.
    pub(super) async fn writer(&self) -> Result<PgConnection, StoreError> {
        connect(&self.0.clone().options([
            ("synchronous_commit", "on"),
            ("gin_pending_list_limit", WORDS_PENDING),
            ("lock_timeout", "20s"),
            ("statement_timeout", "25s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]))
        .await
    }

    /// For what may take its time: tables that are made, files that are rewritten.
    pub(super) async fn patient(&self) -> Result<PgConnection, StoreError> {
        connect(&self.0.clone().options([("synchronous_commit", "on")])).await
    }

    /// A patient one, in a pool: the form that migrations can be given across threads.
    pub(super) fn one(&self) -> PgPool {
        let options = self.0.clone().options([("synchronous_commit", "on")]);
        PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_WAIT).connect_lazy_with(options)
    }

    /// Plans are made anew for each question: a plan for any value cannot use an index that leaves some values out.
    pub(super) fn readers(&self, n_max: u32, wait: Duration) -> PgPool {
        let options = self.0.clone().options([
            ("default_transaction_read_only", "on"),
            ("plan_cache_mode", "force_custom_plan"),
            ("jit", "off"),
            ("statement_timeout", "15s"),
        ]);
        PgPoolOptions::new().max_connections(n_max).acquire_timeout(wait).connect_lazy_with(options)
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    within(CONNECT_WAIT, async { Ok(options.connect().await?) }).await
}

/// Refuses a database that cannot hold every text, and says so if its server may lose what it has confirmed.
pub(super) async fn examine(connection: &mut PgConnection) -> Result<(), StoreError> {
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await?;
    if encoding != "UTF8" {
        return Err(StoreError(format!("the database's encoding is {encoding}, and has to be UTF8")));
    }
    for (name, query) in [("fsync", "SHOW fsync"), ("full_page_writes", "SHOW full_page_writes")] {
        let value: String = sqlx::query_scalar(query).fetch_one(&mut *connection).await?;
        if value != "on" {
            tracing::warn!(
                "the database server runs with {name}={value}: a crash of its machine can lose events"
            );
        }
    }
    Ok(())
}

pub(super) async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection did not close cleanly");
    }
}

/// So much of the index of words is put off, and then done by whoever adds the next row. With the server's 4 MB one batch in
/// ninety would wait 55 ms for it.
const WORDS_PENDING: &str = "512kB";

/// A peer that vanished is noticed in 20 seconds.
const ALL: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];
const CONNECT_WAIT: Duration = Duration::from_secs(5);
