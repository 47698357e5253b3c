//! One transaction over any number of records: what is new gets the next indexes of the log, and everything else an
//! answer.
//!
//! Rows are gathered and written many to a statement, because a statement costs more than a row. What the transaction
//! has to know of the past (the next index, each VM's account, the numbers of rules) is remembered between transactions
//! by [`Memory`], and forgotten after any failure, and when somebody else has written to the file.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, Transaction};

use crate::domain::{Access, Hourly, Kept, NewEvent, Quarantined, Record, Sealed};
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Of the file, as this connection sees it: another one once another connection has written.
    version: Option<i64>,
    /// The index of the next leaf.
    next: Option<i64>,
    accounts: BTreeMap<String, Account>,
    rules: BTreeMap<String, i64>,
}

impl Memory {
    fn trim(&mut self) {
        if self.accounts.len() > VMS_MAX {
            self.accounts.clear();
        }
        if self.rules.len() > RULES_MAX {
            self.rules.clear();
        }
    }
}

/// What is known of a VM. Without any event both ends are 0.
#[derive(Clone, Copy, Debug)]
struct Account {
    no: i64,
    first_seq: i64,
    last_seq: i64,
    n_events: i64,
    is_changed: bool,
}

pub(super) struct Work<'c, 'm> {
    tx: Transaction<'c, Sqlite>,
    memory: &'m mut Memory,
    next: i64,
    leaves: Vec<(i64, Vec<u8>)>,
    events: Vec<Row>,
    /// (rule, time, index).
    fired: Vec<(i64, i64, i64)>,
    /// Keys that live, as of this transaction.
    living: BTreeSet<i64>,
    hourly: Hourly,
    /// Of leaves and payloads.
    n_bytes: u64,
}

struct Row {
    idx: i64,
    vm_no: i64,
    event: NewEvent,
}

impl<'c, 'm> Work<'c, 'm> {
    pub(super) async fn begin(
        mut tx: Transaction<'c, Sqlite>,
        memory: &'m mut Memory,
    ) -> Result<Self, StoreError> {
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *tx).await?;
        if memory.version != Some(version) {
            *memory = Memory { version: Some(version), ..Memory::default() };
        }
        let next = match memory.next {
            Some(next) => next,
            None => {
                sqlx::query_scalar("SELECT coalesce(max(idx), -1) + 1 FROM leaves")
                    .fetch_one(&mut *tx)
                    .await?
            }
        };
        Ok(Self {
            tx,
            memory,
            next,
            leaves: Vec::new(),
            events: Vec::new(),
            fired: Vec::new(),
            living: BTreeSet::new(),
            hourly: Hourly::default(),
            n_bytes: 0,
        })
    }

    pub(super) async fn keep(&mut self, record: Record) -> Result<Kept, StoreError> {
        match record {
            Record::Event(event) => self.event(*event).await,
            Record::Quarantine(aside) => self.quarantine(aside).await,
            Record::Access(access) => self.access(access).await,
        }
    }

    async fn event(&mut self, mut event: NewEvent) -> Result<Kept, StoreError> {
        self.check_key(event.sealed.key).await?;
        let mut account = self.account(&event.vm).await?;
        if event.seq > account.last_seq {
            self.add_gap(account.no, account.last_seq + 1, event.seq - 1).await?;
            account.last_seq = event.seq;
        } else if !self.fill_gap(account.no, event.seq).await? {
            return self.taken(account.no, event.seq).await;
        }
        account.first_seq = if account.n_events == 0 { event.seq } else { account.first_seq.min(event.seq) };
        account.n_events += 1;
        account.is_changed = true;
        self.memory.accounts.insert(event.vm.clone(), account);
        self.hourly.event(&event);
        for rule in std::mem::take(&mut event.rules) {
            let rule = self.rule(rule).await?;
            self.fired.push((rule, event.time_ms, self.next));
        }
        self.n_bytes += event.sealed.bytes.len() as u64;
        let idx = self.leaf(std::mem::take(&mut event.leaf)).await?;
        self.events.push(Row { idx, vm_no: account.no, event });
        Ok(Kept::At(idx))
    }

    /// Somebody may have sealed with a key that was destroyed since; nobody would ever read that.
    async fn check_key(&mut self, key: i64) -> Result<(), StoreError> {
        if !self.living.insert(key) {
            return Ok(());
        }
        let query = sqlx::query_scalar("SELECT 1 FROM data_keys WHERE id = ? AND wrapped IS NULL");
        let destroyed: Option<i64> = query.bind(key).fetch_optional(&mut *self.tx).await?;
        match destroyed {
            Some(_) => Err(StoreError("an event was sealed with a key that is destroyed".to_owned())),
            None => Ok(()),
        }
    }

    async fn access(&mut self, access: Access) -> Result<Kept, StoreError> {
        let idx = self.leaf(access.leaf).await?;
        sqlx::query("INSERT INTO journal (idx, at_ms, who, what, target, outcome) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(idx)
            .bind(access.at_ms)
            .bind(access.who)
            .bind(access.what)
            .bind(access.target)
            .bind(access.outcome)
            .execute(&mut *self.tx)
            .await?;
        Ok(Kept::At(idx))
    }

    async fn quarantine(&mut self, aside: Quarantined) -> Result<Kept, StoreError> {
        self.hourly.quarantined(aside.at_ms);
        sqlx::query(
            "INSERT INTO quarantine (digest, key, payload, first_ms, last_ms, n_times) VALUES (?, ?, ?, ?4, ?4, 1)
             ON CONFLICT (digest) DO UPDATE SET last_ms = excluded.last_ms, n_times = n_times + 1",
        )
        .bind(aside.digest)
        .bind(aside.sealed.key)
        .bind(aside.sealed.bytes)
        .bind(aside.at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(Kept::Aside)
    }

    async fn leaf(&mut self, leaf: Vec<u8>) -> Result<i64, StoreError> {
        if self.leaves.len() >= GATHERED_MAX {
            self.write().await?;
        }
        let idx = self.next;
        self.n_bytes += leaf.len() as u64;
        self.leaves.push((idx, leaf));
        self.next += 1;
        Ok(idx)
    }

    /// What stands in the place already; it may have been gathered a moment ago.
    async fn taken(&mut self, vm_no: i64, seq: i64) -> Result<Kept, StoreError> {
        self.write().await?;
        let there: Option<(i64, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT key, payload FROM events WHERE vm_no = ? AND seq = ?")
                .bind(vm_no)
                .bind(seq)
                .fetch_optional(&mut *self.tx)
                .await?;
        // Without a row it has outlived its time; the account knows that it was here.
        Ok(Kept::Taken(there.and_then(|(key, bytes)| Some(Sealed { key, bytes: bytes? }))))
    }

    /// A VM that was never seen gets an empty account at once: its gaps refer to it.
    async fn account(&mut self, vm: &str) -> Result<Account, StoreError> {
        if let Some(account) = self.memory.accounts.get(vm) {
            return Ok(*account);
        }
        let (no, first_seq, last_seq, n_events) = sqlx::query_as(
            "INSERT INTO vms (vm, first_seq, last_seq, n_events) VALUES (?, 0, 0, 0)
             ON CONFLICT (vm) DO UPDATE SET vm = excluded.vm RETURNING no, first_seq, last_seq, n_events",
        )
        .bind(vm)
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(Account { no, first_seq, last_seq, n_events, is_changed: false })
    }

    async fn rule(&mut self, rule: String) -> Result<i64, StoreError> {
        if let Some(no) = self.memory.rules.get(&rule) {
            return Ok(*no);
        }
        let no = sqlx::query_scalar(
            "INSERT INTO rules (rule) VALUES (?) ON CONFLICT (rule) DO UPDATE SET rule = excluded.rule RETURNING no",
        )
        .bind(&rule)
        .fetch_one(&mut *self.tx)
        .await?;
        self.memory.rules.insert(rule, no);
        Ok(no)
    }

    async fn add_gap(&mut self, vm_no: i64, first_seq: i64, last_seq: i64) -> Result<(), StoreError> {
        if first_seq <= last_seq {
            sqlx::query("INSERT INTO vm_gaps (vm_no, first_seq, last_seq) VALUES (?, ?, ?)")
                .bind(vm_no)
                .bind(first_seq)
                .bind(last_seq)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// A late event splits the gap that it was missing from. Whether there was one.
    async fn fill_gap(&mut self, vm_no: i64, seq: i64) -> Result<bool, StoreError> {
        let gap: Option<(i64, i64)> = sqlx::query_as(
            "DELETE FROM vm_gaps WHERE vm_no = ?1 AND last_seq >= ?2 AND first_seq =
                 (SELECT max(first_seq) FROM vm_gaps WHERE vm_no = ?1 AND first_seq <= ?2)
             RETURNING first_seq, last_seq",
        )
        .bind(vm_no)
        .bind(seq)
        .fetch_optional(&mut *self.tx)
        .await?;
        let Some((first_seq, last_seq)) = gap else { return Ok(false) };
        self.add_gap(vm_no, first_seq, seq - 1).await?;
        self.add_gap(vm_no, seq + 1, last_seq).await?;
        Ok(true)
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        let (leaves, events) = (std::mem::take(&mut self.leaves), std::mem::take(&mut self.events));
        for rows in parts(leaves) {
            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO leaves (idx, leaf) ");
            insert.push_values(rows, |mut row, (idx, leaf)| {
                row.push_bind(idx).push_bind(leaf);
            });
            insert.build().execute(&mut *self.tx).await?;
        }
        for rows in parts(events) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO events (idx, vm_no, seq, event_id, time_ms, received_ms, request, session, subject, route,
                                     verdict, action, score, key, payload) ",
            );
            insert.push_values(rows, |mut row, Row { idx, vm_no, event }| {
                row.push_bind(idx).push_bind(vm_no).push_bind(event.seq).push_bind(event.id);
                row.push_bind(event.time_ms).push_bind(event.received_ms).push_bind(event.request);
                row.push_bind(event.session).push_bind(event.subject.map(Vec::from)).push_bind(event.route);
                row.push_bind(event.verdict).push_bind(event.action).push_bind(event.score);
                row.push_bind(event.sealed.key).push_bind(event.sealed.bytes);
            });
            insert.build().execute(&mut *self.tx).await?;
        }
        for rows in parts(std::mem::take(&mut self.fired)) {
            let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO event_rules (rule_no, time_ms, idx) ");
            insert.push_values(rows, |mut row, (rule, time_ms, idx)| {
                row.push_bind(rule).push_bind(time_ms).push_bind(idx);
            });
            insert.build().execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// The bytes of what was kept.
    pub(super) async fn finish(mut self, is_probe: bool) -> Result<u64, StoreError> {
        self.write().await?;
        for account in self.memory.accounts.values_mut().filter(|account| account.is_changed) {
            sqlx::query("UPDATE vms SET first_seq = ?, last_seq = ?, n_events = ? WHERE no = ?")
                .bind(account.first_seq)
                .bind(account.last_seq)
                .bind(account.n_events)
                .bind(account.no)
                .execute(&mut *self.tx)
                .await?;
            account.is_changed = false;
        }
        for rows in parts(std::mem::take(&mut self.hourly).into_rows()) {
            super::sums::add(&mut self.tx, rows).await?;
        }
        if is_probe {
            sqlx::query("UPDATE write_probe SET probed_ms = probed_ms + 1").execute(&mut *self.tx).await?;
        }
        self.tx.commit().await?;
        self.memory.next = Some(self.next);
        self.memory.trim();
        Ok(self.n_bytes)
    }
}

/// Few lengths, so that few statements are prepared, and each once.
fn parts<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let n = PARTS.into_iter().find(|part| *part <= rows.len())?;
        Some(rows.by_ref().take(n).collect())
    })
}

const PARTS: [usize; 4] = [128, 16, 4, 1];
/// Rows that wait in memory for their statement.
const GATHERED_MAX: usize = 4_096;
/// Some megabytes.
const VMS_MAX: usize = 20_000;
const RULES_MAX: usize = 20_000;
