//! Questions to the database, on the connections that only read.

use sqlx::QueryBuilder;
use sqlx::sqlite::{Sqlite, SqlitePool};

use crate::domain::{Counts, Cursor, Filter, GapsPage, GapsQuery, Page, SeqRange, VmGaps};
use crate::store::StoreError;

type Query = QueryBuilder<Sqlite>;

/// Two steps: which events are on the page and how large they are, then as many bodies as fit into a page.
pub(super) async fn list(readers: &SqlitePool, filter: &Filter) -> Result<Page, StoreError> {
    let mut keys = keys(filter);
    let keys: Vec<(i64, i64, i64)> = keys.build_query_as().fetch_all(readers).await?;
    let n_on_page = n_on_page(filter.limit, keys.iter().map(|(_, _, bytes)| *bytes));
    let on_page = || keys.iter().take(n_on_page);
    if n_on_page == 0 {
        return Ok(Page::default());
    }
    let mut bodies = Query::new("SELECT body FROM events WHERE id IN (");
    let mut ids = bodies.separated(", ");
    for (_, id, _) in on_page() {
        ids.push_bind(*id);
    }
    bodies.push(") ORDER BY time_ms DESC, id DESC");
    let bodies = bodies.build_query_scalar().fetch_all(readers).await?;
    let more = keys.len() > n_on_page;
    let next =
        on_page().next_back().filter(|_| more).map(|(time_ms, id, _)| Cursor { time_ms: *time_ms, id: *id });
    Ok(Page { bodies, next })
}

/// (time_ms, id, bytes) of the page's events and of one more, if there is one.
fn keys(filter: &Filter) -> Query {
    let mut query = Query::new("SELECT e.time_ms, e.id, octet_length(e.body) FROM ");
    // A rule's own table has the order of a page, so it leads; its columns then carry the conditions on place.
    let place = match &filter.rule {
        Some(rule) => {
            query.push("finding_rules AS f CROSS JOIN events AS e ON e.id = f.event WHERE f.rule = ");
            query.push_bind(rule.clone());
            ("f.time_ms", "f.event")
        }
        None => {
            query.push("events AS e WHERE 1");
            ("e.time_ms", "e.id")
        }
    };
    let (time_ms, id) = place;
    for (column, wanted) in [
        ("e.verdict", &filter.verdict),
        ("e.action", &filter.action),
        ("e.route", &filter.route),
        ("e.vm", &filter.vm),
        ("e.request_id", &filter.request_id),
    ] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = ")).push_bind(wanted.clone());
        }
    }
    if let Some(since_ms) = filter.since_ms {
        query.push(format_args!(" AND {time_ms} >= ")).push_bind(since_ms);
    }
    if let Some(until_ms) = filter.until_ms {
        query.push(format_args!(" AND {time_ms} < ")).push_bind(until_ms);
    }
    if let Some(before) = filter.before {
        query.push(format_args!(" AND ({time_ms}, {id}) < (")).push_bind(before.time_ms);
        query.push(", ").push_bind(before.id).push(")");
    }
    query.push(format_args!(" ORDER BY {time_ms} DESC, {id} DESC LIMIT ")).push_bind(plus_one(filter.limit));
    query
}

/// As many as the limit and the page's bytes allow, but always one, or a large event could never be read.
fn n_on_page(limit: usize, sizes: impl Iterator<Item = i64>) -> usize {
    let mut bytes: i64 = 0;
    sizes
        .take(limit)
        .enumerate()
        .take_while(|(idx, size)| {
            bytes = bytes.saturating_add(*size);
            *idx == 0 || bytes <= PAGE_BYTES_MAX
        })
        .count()
}

pub(super) async fn event(readers: &SqlitePool, id: &str) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT body FROM events WHERE event_id = ? ORDER BY id LIMIT 1");
    Ok(query.bind(id).fetch_optional(readers).await?)
}

pub(super) async fn gaps(readers: &SqlitePool, query: &GapsQuery) -> Result<GapsPage, StoreError> {
    let mut select = Query::new("SELECT vm, first_seq, last_seq, n_events FROM vms WHERE 1");
    if let Some(vm) = &query.vm {
        select.push(" AND vm = ").push_bind(vm.clone());
    }
    if let Some(after) = &query.after {
        select.push(" AND vm > ").push_bind(after.clone());
    }
    select.push(" ORDER BY vm LIMIT ").push_bind(plus_one(query.limit));
    // One transaction, so that a VM's account and its gaps are of the same moment.
    let mut tx = readers.begin().await?;
    let rows: Vec<(String, i64, i64, i64)> = select.build_query_as().fetch_all(&mut *tx).await?;
    let more = rows.len() > query.limit;
    let mut vms = Vec::new();
    for (vm, first_seq, last_seq, count) in rows.into_iter().take(query.limit) {
        let (n_ranges, missing): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(last_seq - first_seq + 1), 0) FROM vm_gaps WHERE vm = ?",
        )
        .bind(&vm)
        .fetch_one(&mut *tx)
        .await?;
        let ranges = match n_ranges {
            0 => Vec::new(),
            _ => {
                sqlx::query_as(
                    "SELECT first_seq, last_seq FROM vm_gaps WHERE vm = ? ORDER BY first_seq LIMIT ?",
                )
                .bind(&vm)
                .bind(count_of(VmGaps::RANGES_MAX))
                .fetch_all(&mut *tx)
                .await?
            }
        };
        let ranges: Vec<SeqRange> =
            ranges.into_iter().map(|(first, last): (i64, i64)| SeqRange { first, last }).collect();
        let ranges_left_out = usize::try_from(n_ranges).unwrap_or(usize::MAX) - ranges.len();
        vms.push(VmGaps { vm, first_seq, last_seq, count, missing, ranges, ranges_left_out });
    }
    tx.commit().await?;
    let next = vms.last().filter(|_| more).map(|last| last.vm.clone());
    Ok(GapsPage { vms, next })
}

/// Sums over the accounts, so that asking stays cheap however many events there are. `total` cannot overflow.
pub(super) async fn counts(readers: &SqlitePool) -> Result<Counts, StoreError> {
    let (events, vms, quarantined, gaps, missing) = sqlx::query_as(
        "SELECT (SELECT CAST(total(n_events) AS INTEGER) FROM vms),
                (SELECT count(*) FROM vms),
                (SELECT count(*) FROM quarantine),
                (SELECT count(*) FROM vm_gaps),
                (SELECT CAST(total(last_seq - first_seq + 1) AS INTEGER) FROM vm_gaps)",
    )
    .fetch_one(readers)
    .await?;
    Ok(Counts { events, quarantined, vms, gaps, missing })
}

/// Reads a page of the table, not just a constant, so that a damaged file is noticed.
pub(super) async fn ping(readers: &SqlitePool) -> Result<(), StoreError> {
    let _: Option<i64> =
        sqlx::query_scalar("SELECT id FROM events ORDER BY id DESC LIMIT 1").fetch_optional(readers).await?;
    Ok(())
}

fn plus_one(limit: usize) -> i64 {
    count_of(limit).saturating_add(1)
}

fn count_of(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Two full ingest bodies.
const PAGE_BYTES_MAX: i64 = 8 << 20;
