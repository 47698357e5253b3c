//! Keys of programs, holders of roles, the first token, answered challenges.

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgExecutor, PgPool};

use super::locks::Lock;
use super::write::Answered;
use crate::access::api_key::{ApiKey, KeyId};
use crate::access::bootstrap::Bootstrap;
use crate::access::secret::SecretHash;
use crate::domain::{Holder, HolderKind};
use crate::store::people::rows::{BootstrapRow, HolderRow, KeyRow, bootstrap_of, holder_of};
use crate::store::{Admin, PeopleChange, StoreError, Ways};

pub(super) async fn api_key(readers: &PgPool, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
    let query = sqlx::query_as("SELECT * FROM api_keys WHERE id = $1").bind(id.as_str());
    let row: Option<KeyRow> = query.fetch_optional(readers).await?;
    row.map(ApiKey::try_from).transpose()
}

pub(super) async fn api_keys(
    readers: &PgPool,
    after: Option<KeyId>,
    limit: usize,
) -> Result<Vec<ApiKey>, StoreError> {
    let rows: Vec<KeyRow> = sqlx::query_as("SELECT * FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after.as_ref().map_or("", KeyId::as_str))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(readers)
        .await?;
    rows.into_iter().map(ApiKey::try_from).collect()
}

pub(super) async fn holder(
    readers: &PgPool,
    kind: HolderKind,
    name: &str,
) -> Result<Option<Holder>, StoreError> {
    let query = sqlx::query_as("SELECT name, roles, at_ms FROM role_holders WHERE kind = $1 AND name = $2");
    let row: Option<HolderRow> = query.bind(kind.word()).bind(name).fetch_optional(readers).await?;
    row.map(|row| holder_of(kind, row)).transpose()
}

pub(super) async fn holders(
    readers: &PgPool,
    kind: HolderKind,
    after: Option<String>,
    limit: usize,
) -> Result<Vec<Holder>, StoreError> {
    let rows: Vec<HolderRow> = sqlx::query_as(
        "SELECT name, roles, at_ms FROM role_holders WHERE kind = $1 AND name > $2 ORDER BY name LIMIT $3",
    )
    .bind(kind.word())
    .bind(after.unwrap_or_default())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    rows.into_iter().map(|row| holder_of(kind, row)).collect()
}

pub(super) async fn has_admin(database: impl PgExecutor<'_>, now_ms: i64) -> Result<bool, StoreError> {
    has_admin_by(database, Ways::ALL, false, now_ms).await
}

/// A key that was replaced is none to stay.
async fn has_admin_by(
    database: impl PgExecutor<'_>,
    ways: Ways,
    to_stay: bool,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (
            SELECT 1 FROM role_holders
            WHERE ',' || roles || ',' LIKE '%,admin,%'
              AND ((kind = 'wallet' AND $2::boolean) OR (kind = 'claim' AND $3::boolean))
            UNION ALL
            SELECT 1 FROM api_keys
            WHERE ',' || roles || ',' LIKE '%,admin,%'
              AND (scope IS NULL OR ',' || scope || ',' LIKE '%,manage_keys,%')
              AND revoked_ms IS NULL
              AND (not_after_ms IS NULL OR not_after_ms > $1)
              AND (replaced_until_ms IS NULL OR (replaced_until_ms > $1 AND NOT $4::boolean))
        )",
    );
    Ok(query.bind(now_ms).bind(ways.wallets).bind(ways.claims).bind(to_stay).fetch_one(database).await?)
}

/// Whether there is one at all, and one to stay.
async fn admins(tx: &mut PgConnection, ways: Ways, now_ms: i64) -> Result<[bool; 2], StoreError> {
    let any = has_admin_by(&mut *tx, ways, false, now_ms).await?;
    Ok([any, has_admin_by(tx, ways, true, now_ms).await?])
}

pub(super) async fn bootstrap(readers: &PgPool) -> Result<Option<Bootstrap>, StoreError> {
    let row: Option<BootstrapRow> =
        sqlx::query_as("SELECT hash, expires_ms, spent FROM bootstrap").fetch_optional(readers).await?;
    row.map(bootstrap_of).transpose()
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    changes: Vec<PeopleChange>,
) -> Result<Vec<Answered<bool>>, StoreError> {
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(Ok(one(connection, change).await?));
    }
    Ok(done)
}

/// One after another over all collectors, so that nobody becomes the first admin beside another.
async fn one(connection: &mut PgConnection, change: PeopleChange) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await?;
    Lock::People.take(&mut tx).await?;
    let (change, guard) = match change {
        PeopleChange::UnlessLastAdmin { change, ways, now_ms } => {
            let before = admins(&mut tx, ways, now_ms).await?;
            (*change, Some((before, ways, now_ms)))
        }
        change => (change, None),
    };
    let mut done = match change {
        PeopleChange::PutKey(key) => put_key(&mut tx, &key).await?,
        PeopleChange::Rotate { old, until_ms, new } => {
            replace(&mut tx, old, until_ms, new.id).await? && put_key(&mut tx, &new).await?
        }
        PeopleChange::Revoke { id, at_ms } => revoke(&mut tx, id, at_ms).await?,
        PeopleChange::Give(holder) => give(&mut tx, &holder).await?,
        PeopleChange::TakeAway { kind, name } => take_away(&mut tx, kind, &name).await?,
        PeopleChange::PutBootstrap(bootstrap) => put_bootstrap(&mut tx, &bootstrap).await?,
        PeopleChange::FirstAdmin { token, admin, now_ms } => {
            !has_admin(&mut *tx, now_ms).await?
                && spend(&mut tx, &token, now_ms).await?
                && match *admin {
                    Admin::Key(key) => put_key(&mut tx, &key).await?,
                    Admin::Holder(holder) => give(&mut tx, &holder).await?,
                }
        }
        PeopleChange::UseNonce { nonce, until_ms, now_ms } => {
            use_nonce(&mut tx, &nonce, until_ms, now_ms).await?
        }
        // One within another is nothing that anybody asks for.
        PeopleChange::UnlessLastAdmin { .. } => false,
    };
    if let Some((before, ways, now_ms)) = guard {
        let after = admins(&mut tx, ways, now_ms).await?;
        done &= before.iter().zip(after).all(|(before, after)| after || !before);
    }
    if done {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(done)
}

async fn put_key(tx: &mut PgConnection, key: &ApiKey) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "INSERT INTO api_keys (id, hash, label, roles, scope, created_ms, not_after_ms, revoked_ms, replaced_by,
                               replaced_until_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(key.id.as_str())
    .bind(key.hash.as_bytes().as_slice())
    .bind(&key.grant.label)
    .bind(key.grant.roles.to_string())
    .bind(key.grant.scope.map(|scope| scope.to_string()))
    .bind(key.created_ms)
    .bind(key.grant.not_after_ms)
    .bind(key.revoked_ms)
    .bind(key.replaced.map(|replaced| replaced.by.to_string()))
    .bind(key.replaced.map(|replaced| replaced.until_ms))
    .execute(tx)
    .await?;
    Ok(result.rows_affected() == 1)
}

async fn replace(tx: &mut PgConnection, old: KeyId, until_ms: i64, by: KeyId) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "UPDATE api_keys SET replaced_by = $1, replaced_until_ms = $2
         WHERE id = $3 AND replaced_by IS NULL AND revoked_ms IS NULL",
    )
    .bind(by.as_str())
    .bind(until_ms)
    .bind(old.as_str())
    .execute(tx)
    .await?;
    Ok(result.rows_affected() == 1)
}

async fn revoke(tx: &mut PgConnection, id: KeyId, at_ms: i64) -> Result<bool, StoreError> {
    let query = sqlx::query("UPDATE api_keys SET revoked_ms = coalesce(revoked_ms, $1) WHERE id = $2");
    Ok(query.bind(at_ms).bind(id.as_str()).execute(tx).await?.rows_affected() == 1)
}

async fn give(tx: &mut PgConnection, holder: &Holder) -> Result<bool, StoreError> {
    let result = sqlx::query(
        "INSERT INTO role_holders (kind, name, roles, at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, name) DO UPDATE SET roles = excluded.roles, at_ms = excluded.at_ms",
    )
    .bind(holder.kind.word())
    .bind(&holder.name)
    .bind(holder.roles.to_string())
    .bind(holder.at_ms)
    .execute(tx)
    .await?;
    Ok(result.rows_affected() == 1)
}

async fn take_away(tx: &mut PgConnection, kind: HolderKind, name: &str) -> Result<bool, StoreError> {
    let query = sqlx::query("DELETE FROM role_holders WHERE kind = $1 AND name = $2");
    Ok(query.bind(kind.word()).bind(name).execute(tx).await?.rows_affected() == 1)
}

async fn put_bootstrap(tx: &mut PgConnection, bootstrap: &Bootstrap) -> Result<bool, StoreError> {
    let query =
        sqlx::query("INSERT INTO bootstrap (one, hash, expires_ms, spent) VALUES (1, $1, $2, $3)
         ON CONFLICT (one) DO UPDATE SET hash = excluded.hash, expires_ms = excluded.expires_ms, spent = excluded.spent");
    let hash = bootstrap.hash.as_bytes().as_slice();
    query.bind(hash).bind(bootstrap.expires_ms).bind(bootstrap.spent).execute(tx).await?;
    Ok(true)
}

async fn spend(tx: &mut PgConnection, token: &SecretHash, now_ms: i64) -> Result<bool, StoreError> {
    let query =
        sqlx::query("UPDATE bootstrap SET spent = true WHERE hash = $1 AND NOT spent AND expires_ms > $2");
    let hash = token.as_bytes().as_slice();
    Ok(query.bind(hash).bind(now_ms).execute(tx).await?.rows_affected() == 1)
}

async fn use_nonce(
    tx: &mut PgConnection,
    nonce: &str,
    until_ms: i64,
    now_ms: i64,
) -> Result<bool, StoreError> {
    sqlx::query("DELETE FROM used_nonces WHERE until_ms <= $1").bind(now_ms).execute(&mut *tx).await?;
    let query =
        sqlx::query("INSERT INTO used_nonces (nonce, until_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING");
    Ok(query.bind(nonce).bind(until_ms).execute(tx).await?.rows_affected() == 1)
}
