//! What a copy into these tables has to know about them.

use sqlx::postgres::PgConnection;

use super::locks::Lock;
use super::months::Months;
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(in crate::store) struct Copying(Months);

impl Copying {
    /// Nobody appends until the transaction ends.
    pub(in crate::store) async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::raw_sql("BEGIN; SET LOCAL synchronous_commit = on").execute(&mut *connection).await?;
        Lock::Leaves.take(connection).await
    }

    /// There is a place for events that were received then.
    pub(in crate::store) async fn cover(
        &mut self,
        connection: &mut PgConnection,
        received_ms: impl Iterator<Item = i64>,
    ) -> Result<(), StoreError> {
        self.0.cover(connection, received_ms).await
    }

    /// Numbers that are given out go on behind those that came with the rows.
    pub(in crate::store) async fn commit(connection: &mut PgConnection) -> Result<(), StoreError> {
        for query in [
            "SELECT setval(pg_get_serial_sequence('vms', 'no'), coalesce(max(no), 0) + 1, false) FROM vms",
            "SELECT setval(pg_get_serial_sequence('rules', 'no'), coalesce(max(no), 0) + 1, false) FROM rules",
            "SELECT setval(pg_get_serial_sequence('deployment_history', 'id'), coalesce(max(id), 0) + 1, false)
             FROM deployment_history",
        ] {
            sqlx::query(query).execute(&mut *connection).await?;
        }
        sqlx::raw_sql("COMMIT; ANALYZE").execute(connection).await?;
        Ok(())
    }
}
