//! Questions to the database, on the connections that only read.

use sqlx::postgres::{PgPool, Postgres};
use sqlx::{FromRow, QueryBuilder};

use super::text::plain;
use crate::domain::{
    Counts, Cursor, Filter, FoundEvent, GapsPage, GapsQuery, Page, Sealed, SeqRange, VmGaps, vm_and_seq,
};
use crate::store::StoreError;

type Query = QueryBuilder<Postgres>;

/// Two steps: which events are on the page and how large they are, then as many of them as fit into a page.
pub(super) async fn list(readers: &PgPool, filter: &Filter) -> Result<Page, StoreError> {
    let Some(names) = Names::of(readers, filter).await? else { return Ok(Page::default()) };
    let mut places = places(filter, names);
    let places: Vec<Place> = places.build_query_as().persistent(false).fetch_all(readers).await?;
    let n_on_page = n_on_page(filter.limit, places.iter().map(|place| place.n_bytes));
    let on_page = || places.iter().take(n_on_page);
    if n_on_page == 0 {
        return Ok(Page::default());
    }
    let mut events = Query::new(FOUND);
    events.push("JOIN unnest(").push_bind(on_page().map(|place| place.idx).collect::<Vec<_>>());
    events.push(", ").push_bind(on_page().map(|place| place.received_ms).collect::<Vec<_>>());
    events.push(") AS place (idx, received_ms) ON e.idx = place.idx AND e.received_ms = place.received_ms ");
    events.push("ORDER BY e.time_ms DESC, e.idx DESC");
    let rows: Vec<Found> = events.build_query_as().fetch_all(readers).await?;
    let more = places.len() > n_on_page;
    let next = on_page().next_back().filter(|_| more);
    let next = next.map(|place| Cursor { time_ms: place.time_ms, id: place.idx });
    Ok(Page { events: rows.into_iter().map(FoundEvent::from).collect(), next })
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

/// Where an event is, and how large.
#[derive(FromRow)]
struct Place {
    time_ms: i64,
    idx: i64,
    received_ms: i64,
    n_bytes: i64,
}

/// The numbers of the names in a filter, so that the planner knows how often each is there.
struct Names {
    vm_no: Option<i64>,
    rule_no: Option<i64>,
}

impl Names {
    /// `None` if one of them was never seen.
    async fn of(readers: &PgPool, filter: &Filter) -> Result<Option<Self>, StoreError> {
        let vm_no = no(readers, "SELECT no FROM vms WHERE vm = $1", filter.vm.as_deref()).await?;
        let rule_no = no(readers, "SELECT no FROM rules WHERE rule = $1", filter.rule.as_deref()).await?;
        let all = vm_no.is_some() == filter.vm.is_some() && rule_no.is_some() == filter.rule.is_some();
        Ok(all.then_some(Self { vm_no, rule_no }))
    }
}

async fn no(readers: &PgPool, query: &'static str, name: Option<&str>) -> Result<Option<i64>, StoreError> {
    let Some(name) = name else { return Ok(None) };
    Ok(sqlx::query_scalar(query).bind(plain(name)).fetch_optional(readers).await?)
}

/// The page's events and one more, if there is one.
fn places(filter: &Filter, names: Names) -> Query {
    let mut query = Query::new(
        "SELECT e.time_ms, e.idx, e.received_ms, coalesce(octet_length(e.payload), 0)::bigint AS n_bytes FROM ",
    );
    // A rule's own table has the order of a page; its columns then carry the conditions on place.
    let (time_ms, idx) = match names.rule_no {
        Some(no) => {
            query.push(
                "event_rules AS f JOIN events AS e ON e.idx = f.idx AND e.received_ms = f.received_ms ",
            );
            query.push("WHERE f.rule_no = ").push_bind(no);
            ("f.time_ms", "f.idx")
        }
        None => {
            query.push("events AS e WHERE true");
            ("e.time_ms", "e.idx")
        }
    };
    // Said in so many words where an index leaves something out.
    for (column, wanted, left_out) in [
        ("e.verdict", &filter.verdict, Some("clean")),
        ("e.action", &filter.action, Some("allow")),
        ("e.route", &filter.route, None),
    ] {
        let Some(wanted) = wanted else { continue };
        query.push(format_args!(" AND {column} = ")).push_bind(plain(wanted).into_owned());
        if let Some(left_out) = left_out.filter(|left_out| wanted != left_out) {
            query.push(format_args!(" AND {column} <> '{left_out}'"));
        }
    }
    for (column, wanted) in
        [("e.vm_no", names.vm_no), ("e.request", filter.request), ("e.session", filter.session)]
    {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {column} = ")).push_bind(wanted);
        }
    }
    if let Some(subject) = filter.subject {
        query.push(" AND e.subject = ").push_bind(subject.to_vec());
    }
    if !filter.words.is_empty() {
        // Of an event that was copied from a store that keeps no words, they are not known.
        query.push(" AND (e.words @> ").push_bind(filter.words.clone()).push(" OR e.words IS NULL)");
    }
    for (place, than, wanted) in [("e.score", ">=", filter.score_min), ("e.score", "<=", filter.score_max)] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {place} {than} ")).push_bind(wanted);
        }
    }
    for (than, wanted) in [(">=", filter.since_ms), ("<", filter.until_ms)] {
        if let Some(wanted) = wanted {
            query.push(format_args!(" AND {time_ms} {than} ")).push_bind(wanted);
        }
    }
    if let Some(before) = filter.before {
        query.push(format_args!(" AND ({time_ms}, {idx}) < (")).push_bind(before.time_ms);
        query.push(", ").push_bind(before.id).push(")");
    }
    query.push(format_args!(" ORDER BY {time_ms} DESC, {idx} DESC LIMIT ")).push_bind(plus_one(filter.limit));
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

pub(super) async fn event(readers: &PgPool, id: &str) -> Result<Option<FoundEvent>, StoreError> {
    // An id of its own is rare; any other is the VM's name and number, of which the name may have hyphens, too.
    let mut query = Query::new(FOUND);
    query.push("WHERE e.event_id = ").push_bind(plain(id).into_owned());
    if let Some((vm, seq)) = vm_and_seq(id) {
        query.push(" UNION ALL ").push(FOUND).push("WHERE e.event_id IS NULL AND e.seq = ").push_bind(seq);
        query.push(" AND e.vm_no = (SELECT no FROM vms WHERE vm = ").push_bind(vm.to_owned()).push(")");
    }
    query.push(" ORDER BY 1 LIMIT 1");
    let found: Option<Found> = query.build_query_as().fetch_optional(readers).await?;
    Ok(found.map(FoundEvent::from))
}

pub(super) async fn events_at(
    readers: &PgPool,
    from: i64,
    n_max: usize,
) -> Result<Vec<FoundEvent>, StoreError> {
    let mut query = Query::new(FOUND);
    query.push("WHERE e.idx >= ").push_bind(from);
    query.push(" AND e.idx < ").push_bind(from.saturating_add(count_of(n_max))).push(" ORDER BY e.idx");
    let found: Vec<Found> = query.build_query_as().fetch_all(readers).await?;
    Ok(found.into_iter().map(FoundEvent::from).collect())
}

pub(super) async fn oldest(readers: &PgPool, limit: usize) -> Result<Vec<(i64, i64)>, StoreError> {
    let query = sqlx::query_as("SELECT idx, received_ms FROM events ORDER BY idx LIMIT $1");
    Ok(query.bind(count_of(limit)).fetch_all(readers).await?)
}

#[derive(FromRow)]
struct AccountRow {
    vm: String,
    first_seq: i64,
    last_seq: i64,
    n_events: i64,
    n_gaps: i64,
    missing: i64,
    firsts: Vec<i64>,
    lasts: Vec<i64>,
}

/// In one statement, so that a VM's account and its gaps are of the same moment.
pub(super) async fn gaps(readers: &PgPool, query: &GapsQuery) -> Result<GapsPage, StoreError> {
    let mut rows: Vec<AccountRow> = sqlx::query_as(
        "SELECT v.vm, v.first_seq, v.last_seq, v.n_events, n.n_gaps, n.missing,
                coalesce(r.firsts, '{}') AS firsts, coalesce(r.lasts, '{}') AS lasts
         FROM (SELECT * FROM vms WHERE ($1::text IS NULL OR vm = $1) AND ($2::text IS NULL OR vm > $2)
               ORDER BY vm LIMIT $3) AS v
         CROSS JOIN LATERAL (
             SELECT count(*) AS n_gaps,
                    least(coalesce(sum(last_seq - first_seq + 1), 0), 9223372036854775807)::bigint AS missing
             FROM vm_gaps WHERE vm_no = v.no) AS n
         CROSS JOIN LATERAL (
             SELECT array_agg(first_seq ORDER BY first_seq) AS firsts, array_agg(last_seq ORDER BY first_seq) AS lasts
             FROM (SELECT * FROM vm_gaps WHERE vm_no = v.no ORDER BY first_seq LIMIT $4) AS first) AS r
         ORDER BY v.vm",
    )
    .bind(query.vm.as_deref().map(plain))
    .bind(query.after.as_deref().map(plain))
    .bind(plus_one(query.limit))
    .bind(count_of(VmGaps::RANGES_MAX))
    .fetch_all(readers)
    .await?;
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let vms: Vec<VmGaps> = rows.into_iter().map(VmGaps::from).collect();
    let next = vms.last().filter(|_| more).map(|last| last.vm.clone());
    Ok(GapsPage { vms, next })
}

impl From<AccountRow> for VmGaps {
    fn from(row: AccountRow) -> Self {
        let AccountRow { vm, first_seq, last_seq, n_events: count, n_gaps, missing, firsts, lasts } = row;
        let ranges: Vec<SeqRange> =
            firsts.into_iter().zip(lasts).map(|(first, last)| SeqRange { first, last }).collect();
        let ranges_left_out = usize::try_from(n_gaps).unwrap_or(usize::MAX).saturating_sub(ranges.len());
        Self { vm, first_seq, last_seq, count, missing, ranges, ranges_left_out }
    }
}

/// Sums over the accounts, so that asking stays cheap however many events there are.
pub(super) async fn counts(readers: &PgPool) -> Result<Counts, StoreError> {
    let (events, vms, quarantined, gaps, missing) = sqlx::query_as(
        "SELECT (SELECT least(coalesce(sum(n_events), 0), 9223372036854775807)::bigint FROM vms),
                (SELECT count(*) FROM vms),
                (SELECT count(*) FROM quarantine),
                (SELECT count(*) FROM vm_gaps),
                (SELECT least(coalesce(sum(last_seq - first_seq + 1), 0), 9223372036854775807)::bigint FROM vm_gaps)",
    )
    .fetch_one(readers)
    .await?;
    Ok(Counts { events, quarantined, vms, gaps, missing })
}

/// Reads a row of a table, not just a constant.
pub(super) async fn ping(readers: &PgPool) -> Result<(), StoreError> {
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

/// Two full ingest bodies.
const PAGE_BYTES_MAX: i64 = 8 << 20;
