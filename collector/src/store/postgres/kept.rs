//! Questions about bundles, deployments and feedback, on the connections that only read.

use sqlx::FromRow;
use sqlx::postgres::PgPool;

use super::text::plain;
use crate::domain::{BundleInfo, Deployment, Entry, Label, Plan, Pushed, Words};
use crate::store::StoreError;

#[derive(FromRow)]
struct BundleRow {
    id: String,
    name: String,
    version: i64,
    size: i64,
    pushed_ms: i64,
    pushed_by: String,
}

#[derive(FromRow)]
struct DeploymentRow {
    number: i64,
    candidate: String,
    active: Option<String>,
    mode: String,
    percent: i64,
    salt: String,
    hash_key: Option<String>,
    labels: String,
    rules: String,
    state: String,
    started_ms: i64,
    tally: Option<String>,
}

#[derive(FromRow)]
struct EntryRow {
    at_ms: i64,
    what: String,
    who: String,
    why: String,
    figures: Option<String>,
}

pub(super) async fn bundles(readers: &PgPool) -> Result<Vec<BundleInfo>, StoreError> {
    let rows: Vec<BundleRow> = sqlx::query_as(
        "SELECT id, name, version, length(bytes)::bigint AS size, pushed_ms, pushed_by FROM bundles
         ORDER BY pushed_ms DESC, version DESC, id LIMIT $1",
    )
    .bind(BUNDLES_MAX)
    .fetch_all(readers)
    .await?;
    Ok(rows.into_iter().map(BundleInfo::from).collect())
}

pub(super) async fn bundle(readers: &PgPool, id: &str) -> Result<Option<Pushed>, StoreError> {
    let Some(info) = info(readers, id).await? else { return Ok(None) };
    let bytes = sqlx::query_scalar("SELECT bytes FROM bundles WHERE id = $1")
        .bind(plain(id))
        .fetch_one(readers)
        .await?;
    Ok(Some(Pushed { info, bytes }))
}

pub(super) async fn active_bundle(readers: &PgPool) -> Result<Option<BundleInfo>, StoreError> {
    let id: Option<String> = sqlx::query_scalar(
        "SELECT candidate FROM deployments WHERE state = 'promoted' ORDER BY number DESC LIMIT 1",
    )
    .fetch_optional(readers)
    .await?;
    match id {
        Some(id) => Ok(Some(known(readers, &id).await?)),
        None => Ok(None),
    }
}

pub(super) async fn deployments(
    readers: &PgPool,
    limit: usize,
    before: Option<i64>,
) -> Result<Vec<Deployment>, StoreError> {
    let rows: Vec<DeploymentRow> =
        sqlx::query_as("SELECT * FROM deployments WHERE number < $1 ORDER BY number DESC LIMIT $2")
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(readers)
            .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(deployment(readers, row).await?);
    }
    Ok(found)
}

pub(super) async fn label(readers: &PgPool, event: &str) -> Result<Option<Label>, StoreError> {
    let word: Option<String> = sqlx::query_scalar("SELECT label FROM feedback WHERE event_id = $1")
        .bind(plain(event))
        .fetch_optional(readers)
        .await?;
    word.map(|word| read(&word)).transpose()
}

async fn info(readers: &PgPool, id: &str) -> Result<Option<BundleInfo>, StoreError> {
    let row: Option<BundleRow> = sqlx::query_as(
        "SELECT id, name, version, length(bytes)::bigint AS size, pushed_ms, pushed_by FROM bundles WHERE id = $1",
    )
    .bind(plain(id))
    .fetch_optional(readers)
    .await?;
    Ok(row.map(BundleInfo::from))
}

/// Foreign keys say that it is there.
async fn known(readers: &PgPool, id: &str) -> Result<BundleInfo, StoreError> {
    info(readers, id).await?.ok_or_else(|| StoreError(format!("bundle {id} is not in the database")))
}

async fn deployment(readers: &PgPool, row: DeploymentRow) -> Result<Deployment, StoreError> {
    let active = match &row.active {
        Some(id) => Some(known(readers, id).await?),
        None => None,
    };
    let plan = Plan {
        candidate: known(readers, &row.candidate).await?,
        active,
        mode: read(&row.mode)?,
        percent: u8::try_from(row.percent).map_err(|error| StoreError(error.to_string()))?,
        salt: row.salt,
        key: row.hash_key,
        labels: serde_json::from_str(&row.labels).map_err(|error| StoreError(error.to_string()))?,
        rules: row.rules,
        started_ms: row.started_ms,
    };
    let entries: Vec<EntryRow> = sqlx::query_as(
        "SELECT at_ms, what, who, why, figures FROM deployment_history WHERE deployment = $1 ORDER BY id",
    )
    .bind(row.number)
    .fetch_all(readers)
    .await?;
    let history = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Deployment { number: row.number, plan, state: read(&row.state)?, history, tally: row.tally })
}

fn entry(row: EntryRow) -> Result<Entry, StoreError> {
    let EntryRow { at_ms, what, who, why, figures } = row;
    Ok(Entry { at_ms, what: read(&what)?, who, why, figures })
}

fn read<T: Words>(word: &str) -> Result<T, StoreError> {
    T::read(word).ok_or_else(|| StoreError(format!("the database has a word that is not known: {word}")))
}

impl From<BundleRow> for BundleInfo {
    fn from(row: BundleRow) -> Self {
        let BundleRow { id, name, version, size, pushed_ms, pushed_by } = row;
        Self { id, name, version, bytes: usize::try_from(size).unwrap_or(0), pushed_ms, pushed_by }
    }
}

const BUNDLES_MAX: i64 = 1_000;
