//! Changes of bundles, deployments and feedback: each in a transaction of its own, on the connection that writes.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::locks::Lock;
use super::text::plain;
use super::write::Answered;
use crate::domain::{Entry, Plan, Pushed, State, Words};
use crate::store::{Change, Feedback, StoreError};

pub(super) async fn apply(
    connection: &mut PgConnection,
    changes: Vec<Change>,
) -> Result<Vec<Answered<bool>>, StoreError> {
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(Ok(one(connection, &change).await?));
    }
    Ok(done)
}

async fn one(connection: &mut PgConnection, change: &Change) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await?;
    Lock::Deployments.take(&mut tx).await?;
    let done = match change {
        Change::PutBundle(pushed) => put_bundle(&mut tx, pushed).await?,
        Change::Begin { number, plan, state, entry } => begin(&mut tx, *number, plan, *state, entry).await?,
        Change::Enter { number, state, entry, tally } => {
            enter(&mut tx, *number, *state, tally.as_deref()).await? && add(&mut tx, *number, entry).await?
        }
        Change::Tally { number, tally } => put_tally(&mut tx, *number, tally).await?,
        Change::PutFeedback(feedback) => put_feedback(&mut tx, feedback).await?,
    };
    if done {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(done)
}

async fn put_bundle(tx: &mut PgConnection, pushed: &Pushed) -> Result<bool, StoreError> {
    let info = &pushed.info;
    let there: Option<String> = sqlx::query_scalar("SELECT id FROM bundles WHERE name = $1 AND version = $2")
        .bind(plain(&info.name))
        .bind(info.version)
        .fetch_optional(&mut *tx)
        .await?;
    if there.is_some_and(|id| id != info.id) {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO bundles (id, name, version, bytes, pushed_ms, pushed_by) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, pushed_ms = excluded.pushed_ms,
                                        pushed_by = excluded.pushed_by",
    )
    .bind(&info.id)
    .bind(plain(&info.name))
    .bind(info.version)
    .bind(&pushed.bytes)
    .bind(info.pushed_ms)
    .bind(plain(&info.pushed_by))
    .execute(&mut *tx)
    .await?;
    Ok(true)
}

async fn begin(
    tx: &mut PgConnection,
    number: i64,
    plan: &Plan,
    state: State,
    entry: &Entry,
) -> Result<bool, StoreError> {
    let labels = serde_json::to_string(&plan.labels).map_err(|error| StoreError(error.to_string()))?;
    let result = sqlx::query(
        "INSERT INTO deployments (number, candidate, active, mode, percent, salt, hash_key, labels, rules, state,
                                  started_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
    )
    .bind(number)
    .bind(&plan.candidate.id)
    .bind(plan.active.as_ref().map(|active| active.id.as_str()))
    .bind(plan.mode.word())
    .bind(i64::from(plan.percent))
    .bind(plain(&plan.salt))
    .bind(plan.key.as_deref().map(plain))
    // JSON, which writes a NUL in other characters.
    .bind(labels)
    .bind(&plan.rules)
    .bind(state.word())
    .bind(plan.started_ms)
    .execute(&mut *tx)
    .await?;
    Ok(result.rows_affected() == 1 && add(tx, number, entry).await?)
}

async fn enter(
    tx: &mut PgConnection,
    number: i64,
    state: State,
    tally: Option<&str>,
) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "UPDATE deployments SET state = $1, tally = coalesce($2, tally)
         WHERE number = $3 AND state IN ('running', 'frozen')",
    )
    .bind(state.word())
    .bind(tally)
    .bind(number)
    .execute(&mut *tx)
    .await?;
    Ok(result.rows_affected() == 1)
}

async fn add(tx: &mut PgConnection, number: i64, entry: &Entry) -> Result<bool, StoreError> {
    sqlx::query(
        "INSERT INTO deployment_history (deployment, at_ms, what, who, why, figures)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(number)
    .bind(entry.at_ms)
    .bind(entry.what.word())
    .bind(plain(&entry.who))
    .bind(plain(&entry.why))
    .bind(entry.figures.as_deref())
    .execute(tx)
    .await?;
    Ok(true)
}

async fn put_tally(tx: &mut PgConnection, number: i64, tally: &str) -> Result<bool, StoreError> {
    let result =
        sqlx::query("UPDATE deployments SET tally = $1 WHERE number = $2 AND state IN ('running', 'frozen')")
            .bind(tally)
            .bind(number)
            .execute(tx)
            .await?;
    Ok(result.rows_affected() == 1)
}

async fn put_feedback(tx: &mut PgConnection, feedback: &Feedback) -> Result<bool, StoreError> {
    sqlx::query(
        "INSERT INTO feedback (event_id, label, at_ms, who) VALUES ($1, $2, $3, $4)
         ON CONFLICT (event_id) DO UPDATE SET label = excluded.label, at_ms = excluded.at_ms, who = excluded.who",
    )
    .bind(plain(&feedback.event))
    .bind(feedback.label.word())
    .bind(feedback.at_ms)
    .bind(plain(&feedback.who))
    .execute(tx)
    .await?;
    Ok(true)
}
