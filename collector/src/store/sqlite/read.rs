//! Questions to the database, on the connections that only read.

use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{FromRow, QueryBuilder};

use crate::domain::{
    Counts, Cursor, Filter, FoundEvent, GapsPage, GapsQuery, Page, Sealed, SeqRange, VmGaps, vm_and_seq,
};
use crate::store::StoreError;

type Query = QueryBuilder<Sqlite>;

/// Two steps: which events are on the page and how large they are, then as many of them as fit into a page.
pub(super) async fn list(readers: &SqlitePool, filter: &Filter) -> Result<Page, StoreError> {
    let vm = match &filter.vm {
        Some(vm) => match Vm::find(readers, vm).await? {
            Some(vm) => Some(vm),
            None => return Ok(Page::default()),
        },
        None => None,
    };
    let mut keys = keys(filter, vm);
    let keys: Vec<(i64, i64, i64)> = keys.build_query_as().fetch_all(readers).await?;
    let n_on_page = n_on_page(filter.limit, keys.iter().map(|(_, _, bytes)| *bytes));
    let on_page = || keys.iter().take(n_on_page);
    if n_on_page == 0 {
        return Ok(Page::default());
    }
    let mut events = Query::new(FOUND);
    events.push("WHERE e.idx IN (");
    let mut ids = events.separated(", ");
    for (_, idx, _) in on_page() {
        ids.push_bind(*idx);
    }
    events.push(") ORDER BY e.time_ms DESC, e.idx DESC");
    let rows: Vec<Found> = events.build_query_as().fetch_all(readers).await?;
    let more = keys.len() > n_on_page;
    let next =
        on_page().next_back().filter(|_| more).map(|(time_ms, id, _)| Cursor { time_ms: *time_ms, id: *id });
    Ok(Page { events: rows.into_iter().map(FoundEvent::from).collect(), next })
}

/// A VM by its number, and how many events it has.
#[derive(FromRow)]
struct Vm {
    no: i64,
    n_events: i64,
}

impl Vm {
    async fn find(readers: &SqlitePool, name: &str) -> Result<Option<Self>, StoreError> {
        let query = sqlx::query_as("SELECT no, n_events FROM vms WHERE vm = ?");
        Ok(query.bind(name).fetch_optional(readers).await?)
    }
}

const FOUND: &str =
    "SELECT e.idx, v.vm, e.seq, e.key, e.payload FROM events AS e JOIN vms AS v ON v.no = e.vm_no ";

#[derive(FromRow)]
struct Found {
    idx: i64,
    vm: String,
    seq: i64,
    key: i64,
    payload: Option<Vec<u8>>,
}

impl From<Found> for FoundEvent {
    fn from(found: Found) -> Self {
        let Found { idx, vm, seq, key, payload } = found;
        Self { idx, vm, seq, sealed: payload.map(|bytes| Sealed { key, bytes }) }
    }
}

/// (time_ms, index, bytes) of the page's events and of one more, if there is one.
fn keys(filter: &Filter, vm: Option<Vm>) -> Query {
    let mut query = Query::new("SELECT e.time_ms, e.idx, coalesce(octet_length(e.payload), 0) FROM ");
    // A rule's own table has the order of a page, so it leads; its columns then carry the conditions on place.
    let (time_ms, id) = match &filter.rule {
        Some(rule) => {
            query.push("event_rules AS f CROSS JOIN events AS e ON e.idx = f.idx ");
            query
                .push("WHERE f.rule_no = (SELECT no FROM rules WHERE rule = ")
                .push_bind(rule.clone())
                .push(")");
            ("f.time_ms", "f.idx")
        }
        None => {
            query.push("events AS e WHERE 1");
            ("e.time_ms", "e.idx")
        }
    };
    // Said in so many words where an index leaves it out: a bound value tells the planner nothing.
    for (column, wanted, left_out) in [
        ("e.verdict", &filter.verdict, "clean"),
        ("e.action", &filter.action, "allow"),
        ("e.route", &filter.route, ""),
    ] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = ")).push_bind(wanted.clone());
            if !left_out.is_empty() && wanted != left_out {
                query.push(format_args!(" AND {column} <> '{left_out}'"));
            }
        }
    }
    if let Some(Vm { no, n_events }) = vm {
        // The events of a small VM are sorted; those of a large one are met soon enough in the order of time, where the
        // plus keeps the planner from sorting them all.
        let plus = if n_events > SORTED_MAX { "+" } else { "" };
        query.push(format_args!(" AND {plus}e.vm_no = ")).push_bind(no);
    }
    for (column, wanted) in [("e.request", filter.request), ("e.session", filter.session)] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = ")).push_bind(wanted);
        }
    }
    if let Some(subject) = filter.subject {
        query.push(" AND e.subject = ").push_bind(subject.to_vec());
    }
    if let Some(score) = filter.score_min {
        query.push(" AND e.score >= ").push_bind(score);
    }
    if let Some(score) = filter.score_max {
        query.push(" AND e.score <= ").push_bind(score);
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

pub(super) async fn event(readers: &SqlitePool, id: &str) -> Result<Option<FoundEvent>, StoreError> {
    // An id of its own is rare; any other is the VM's name and number, of which the name may have hyphens, too.
    let mut query = Query::new(FOUND);
    query.push("WHERE e.event_id = ").push_bind(id.to_owned());
    if let Some((vm, seq)) = vm_and_seq(id) {
        query.push(" UNION ALL ").push(FOUND).push("WHERE e.event_id IS NULL AND e.seq = ").push_bind(seq);
        query.push(" AND e.vm_no = (SELECT no FROM vms WHERE vm = ").push_bind(vm.to_owned()).push(")");
    }
    query.push(" ORDER BY 1 LIMIT 1");
    let found: Option<Found> = query.build_query_as().fetch_optional(readers).await?;
    Ok(found.map(FoundEvent::from))
}

pub(super) async fn events_at(
    readers: &SqlitePool,
    from: i64,
    n_max: usize,
) -> Result<Vec<FoundEvent>, StoreError> {
    let mut query = Query::new(FOUND);
    query.push("WHERE e.idx >= ").push_bind(from);
    query.push(" AND e.idx < ").push_bind(from.saturating_add(count_of(n_max))).push(" ORDER BY e.idx");
    let found: Vec<Found> = query.build_query_as().fetch_all(readers).await?;
    Ok(found.into_iter().map(FoundEvent::from).collect())
}

pub(super) async fn oldest(readers: &SqlitePool, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
    let query = sqlx::query_as("SELECT idx, received_ms FROM events ORDER BY idx LIMIT ?");
    Ok(query.bind(count_of(limit)).fetch_all(readers).await?)
}

pub(super) async fn gaps(readers: &SqlitePool, query: &GapsQuery) -> Result<GapsPage, StoreError> {
    let mut select = Query::new("SELECT no, vm, first_seq, last_seq, n_events FROM vms WHERE 1");
    if let Some(vm) = &query.vm {
        select.push(" AND vm = ").push_bind(vm.clone());
    }
    if let Some(after) = &query.after {
        select.push(" AND vm > ").push_bind(after.clone());
    }
    select.push(" ORDER BY vm LIMIT ").push_bind(plus_one(query.limit));
    // One transaction, so that a VM's account and its gaps are of the same moment.
    let mut tx = readers.begin().await?;
    let rows: Vec<(i64, String, i64, i64, i64)> = select.build_query_as().fetch_all(&mut *tx).await?;
    let more = rows.len() > query.limit;
    let mut vms = Vec::new();
    for (no, vm, first_seq, last_seq, count) in rows.into_iter().take(query.limit) {
        let (n_ranges, missing): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(last_seq - first_seq + 1), 0) FROM vm_gaps WHERE vm_no = ?",
        )
        .bind(no)
        .fetch_one(&mut *tx)
        .await?;
        let ranges = match n_ranges {
            0 => Vec::new(),
            _ => {
                sqlx::query_as(
                    "SELECT first_seq, last_seq FROM vm_gaps WHERE vm_no = ? ORDER BY first_seq LIMIT ?",
                )
                .bind(no)
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
    let _: Option<i64> = sqlx::query_scalar("SELECT idx FROM leaves ORDER BY idx DESC LIMIT 1")
        .fetch_optional(readers)
        .await?;
    Ok(())
}

fn plus_one(limit: usize) -> i64 {
    count_of(limit).saturating_add(1)
}

pub(super) fn count_of(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Sorting so many takes some hundredths of a second.
const SORTED_MAX: i64 = 5_000;
/// Two full ingest bodies.
const PAGE_BYTES_MAX: i64 = 8 << 20;
