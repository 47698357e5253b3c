//! What older collectors kept in the clear, until it is taken over: events, and what was set aside.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::domain::Received;
use crate::store::{LeftOver, StoreError};

/// The oldest events first, and then what was set aside.
pub(super) async fn list(readers: &SqlitePool, limit: usize) -> Result<Vec<LeftOver>, StoreError> {
    let limit = super::read::count_of(limit);
    let events: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT id, received_ms, body FROM plain_events ORDER BY id LIMIT ?")
            .bind(limit)
            .fetch_all(readers)
            .await?;
    if !events.is_empty() {
        let one = |(id, received_ms, body): (i64, i64, String)| LeftOver {
            id,
            is_event: true,
            received_ms,
            element: Received::read(&body),
        };
        return Ok(events.into_iter().map(one).collect());
    }
    let aside: Vec<(i64, i64, String, String)> =
        sqlx::query_as("SELECT id, first_ms, reason, body FROM plain_quarantine ORDER BY id LIMIT ?")
            .bind(limit)
            .fetch_all(readers)
            .await?;
    let one = |(id, received_ms, reason, body)| LeftOver {
        id,
        is_event: false,
        received_ms,
        element: Received::Problem { reason, body },
    };
    Ok(aside.into_iter().map(one).collect())
}

/// The pages are overwritten (`secure_delete`).
pub(super) async fn forget(connection: &mut SqliteConnection, last: &LeftOver) -> Result<u64, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let query = match last.is_event {
        true => sqlx::query("DELETE FROM plain_events WHERE id <= ?"),
        false => sqlx::query("DELETE FROM plain_quarantine WHERE id <= ?"),
    };
    let result = query.bind(last.id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(result.rows_affected())
}
