//! Locks between the collectors of one database. They belong to its table of leaves, so that collectors of two schemas
//! do not wait for each other.
//!
//! A transaction that takes several takes them in the order in which they are declared, and before any row.

use sqlx::postgres::PgConnection;

use crate::store::StoreError;

#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    /// Who has it writes the next leaves. It is released after the commit can be seen, so leaves come into sight in the
    /// order of their indexes.
    Leaves = 1,
    Keys = 2,
    Deployments = 3,
    Checkpoints = 4,
    /// Held by a session, not by a transaction.
    Leader = 5,
    People = 6,
    Alerts = 7,
}

impl Lock {
    /// Until the end of the transaction.
    pub(super) async fn take(self, tx: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query("SELECT pg_advisory_xact_lock('leaves'::regclass::oid::int4, $1)")
            .bind(self as i32)
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Until the end of the session. Whether it got it.
    pub(super) async fn keep(self, session: &mut PgConnection) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT pg_try_advisory_lock('leaves'::regclass::oid::int4, $1)")
            .bind(self as i32)
            .fetch_one(session)
            .await?)
    }
}
