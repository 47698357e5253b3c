//! One transaction over any number of records: what is new gets the next indexes of the log, and everything else an
//! answer.
//!
//! All collectors of a database append under one lock, so the next index and the accounts of VMs stand still while a
//! transaction works with them. What can be done before is done before, and each table gets its rows in one statement.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::accounts::Accounts;
use super::locks::Lock;
use super::months::Months;
use super::rows;
use super::sums;
use super::write::Answered;
use crate::domain::{Access, Hourly, Kept, NewEvent, Quarantined, Record, Sealed};
use crate::store::StoreError;

/// What a connection has learned of the database; it is forgotten with the connection.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) months: Months,
    pub(super) rules: BTreeMap<String, i64>,
}

pub(super) async fn commit(
    connection: &mut PgConnection,
    memory: &mut Memory,
    batches: Vec<Vec<Record>>,
) -> Result<Vec<Answered<Vec<Kept>>>, StoreError> {
    memory.months.cover(connection, events(&batches).map(|event| event.received_ms)).await?;
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    // A statement of its own: the next one has to see what whoever had the lock before has committed.
    Lock::Leaves.take(&mut tx).await?;
    let mut accounts = Accounts::read(&mut tx, events(&batches)).await?;
    let next =
        sqlx::query_scalar("SELECT coalesce(max(idx), -1) + 1 FROM leaves").fetch_one(&mut *tx).await?;
    let destroyed = destroyed(&mut tx, &batches).await?;
    let group = Group::of(&batches, &destroyed, &mut accounts, next);
    if !group.taken.is_empty() || !group.events.is_empty() {
        accounts.write(&mut tx).await?;
    }
    let there = there(&mut tx, &accounts, &group.taken).await?;
    rows::leaves(&mut tx, next, &group.leaves).await?;
    rows::events(&mut tx, &accounts, &group.events).await?;
    rows::rules(&mut tx, &mut memory.rules, &group.events).await?;
    rows::journal(&mut tx, &group.accesses).await?;
    sums::add(&mut tx, group.hourly.into_rows()).await?;
    rows::quarantine(&mut tx, group.aside.into_values().collect()).await?;
    if batches.iter().all(Vec::is_empty) {
        sqlx::query("UPDATE write_probe SET probed_ms = probed_ms + 1").execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let kept = |fate: Fate<'_>| match fate {
        Fate::At(idx) => Kept::At(idx),
        Fate::Taken(place) => Kept::Taken(there.get(&place).cloned().flatten()),
        Fate::Resent(first) => Kept::Taken(Some(first.sealed.clone())),
        Fate::Aside => Kept::Aside,
    };
    Ok(group.fates.into_iter().map(|fates| Ok(fates?.into_iter().map(kept).collect())).collect())
}

fn events(batches: &[Vec<Record>]) -> impl Iterator<Item = &NewEvent> + Clone {
    batches.iter().flatten().filter_map(|record| match record {
        Record::Event(event) => Some(&**event),
        Record::Quarantine(_) | Record::Access(_) => None,
    })
}

type Place<'r> = (&'r str, i64);

enum Fate<'r> {
    At(i64),
    /// By what is in the database.
    Taken(Place<'r>),
    /// By an event of this transaction.
    Resent(&'r NewEvent),
    Aside,
}

/// All that is to be written, by table.
#[derive(Default)]
struct Group<'r> {
    fates: Vec<Answered<Vec<Fate<'r>>>>,
    leaves: Vec<&'r [u8]>,
    events: Vec<(i64, &'r NewEvent)>,
    accesses: Vec<(i64, &'r Access)>,
    taken: BTreeSet<Place<'r>>,
    aside: BTreeMap<&'r [u8], rows::Aside<'r>>,
    new: BTreeMap<Place<'r>, &'r NewEvent>,
    hourly: Hourly,
}

impl<'r> Group<'r> {
    fn of(batches: &'r [Vec<Record>], destroyed: &BTreeSet<i64>, accounts: &mut Accounts, next: i64) -> Self {
        let mut group = Self::default();
        for records in batches {
            // Nobody would ever read what such a key has sealed.
            let lost = |event: &NewEvent| {
                destroyed.contains(&event.sealed.key) && accounts.is_new(&event.vm, event.seq)
            };
            let fates = match events(std::slice::from_ref(records)).any(lost) {
                true => Err(StoreError("an event was sealed with a key that is destroyed".to_owned())),
                false => Ok(records.iter().map(|record| group.enter(record, accounts, next)).collect()),
            };
            group.fates.push(fates);
        }
        group
    }

    fn enter(&mut self, record: &'r Record, accounts: &mut Accounts, next: i64) -> Fate<'r> {
        match record {
            Record::Event(event) => self.event(event, accounts, next),
            Record::Access(access) => {
                let idx = self.leaf(&access.leaf, next);
                self.accesses.push((idx, access));
                Fate::At(idx)
            }
            Record::Quarantine(aside) => self.aside(aside),
        }
    }

    fn event(&mut self, event: &'r NewEvent, accounts: &mut Accounts, next: i64) -> Fate<'r> {
        let place = (event.vm.as_str(), event.seq);
        if accounts.enter(&event.vm, event.seq) {
            let idx = self.leaf(&event.leaf, next);
            self.events.push((idx, event));
            self.hourly.event(event);
            self.new.insert(place, event);
            return Fate::At(idx);
        }
        if let Some(first) = self.new.get(&place) {
            return Fate::Resent(first);
        }
        self.taken.insert(place);
        Fate::Taken(place)
    }

    fn leaf(&mut self, leaf: &'r [u8], next: i64) -> i64 {
        let idx = self.leaves.len();
        self.leaves.push(leaf);
        next.saturating_add_unsigned(idx as u64)
    }

    fn aside(&mut self, aside: &'r Quarantined) -> Fate<'r> {
        let row =
            self.aside.entry(&aside.digest).or_insert(rows::Aside { first: aside, last: aside, n_times: 0 });
        row.last = aside;
        self.hourly.quarantined(aside.at_ms);
        row.n_times += 1;
        Fate::Aside
    }
}

/// What stands in places that are taken; nothing where it has outlived its time.
async fn there<'r>(
    tx: &mut PgConnection,
    accounts: &Accounts,
    taken: &BTreeSet<Place<'r>>,
) -> Result<BTreeMap<Place<'r>, Option<Sealed>>, StoreError> {
    if taken.is_empty() {
        return Ok(BTreeMap::new());
    }
    let places: BTreeMap<(i64, i64), Place<'r>> =
        taken.iter().filter_map(|(vm, seq)| Some(((accounts.no(vm)?, *seq), (*vm, *seq)))).collect();
    let (nos, seqs): (Vec<i64>, Vec<i64>) = places.keys().copied().unzip();
    let rows: Vec<(i64, i64, i64, Option<Vec<u8>>)> = sqlx::query_as(
        "SELECT e.vm_no, e.seq, e.key, e.payload FROM unnest($1::bigint[], $2::bigint[]) AS place (vm_no, seq)
         JOIN events AS e ON e.vm_no = place.vm_no AND e.seq = place.seq",
    )
    .bind(nos)
    .bind(seqs)
    .fetch_all(tx)
    .await?;
    let found = rows.into_iter().filter_map(|(no, seq, key, payload)| {
        Some((*places.get(&(no, seq))?, payload.map(|bytes| Sealed { key, bytes })))
    });
    Ok(found.collect())
}

/// The keys of these events that were destroyed while the events were on their way.
async fn destroyed(tx: &mut PgConnection, batches: &[Vec<Record>]) -> Result<BTreeSet<i64>, StoreError> {
    let keys: BTreeSet<i64> = events(batches).map(|event| event.sealed.key).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM data_keys WHERE id = ANY($1) AND wrapped IS NULL")
            .bind(keys.into_iter().collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    Ok(rows.into_iter().collect())
}
