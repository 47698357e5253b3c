//! The accounts of the VMs that a transaction touches: which sequence numbers are there, and which are missing.
//!
//! Invariant: a number is taken if it is not above the last one and in no gap. Gaps that a number of this transaction
//! may lie in are known before ([`Accounts::late`]), so entering needs no database.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnection;

use crate::domain::NewEvent;
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(super) struct Accounts(BTreeMap<String, Account>);

/// Without any event both ends are 0.
#[derive(Debug, Default)]
struct Account {
    /// `None` for a VM that was never seen.
    no: Option<i64>,
    first_seq: i64,
    last_seq: i64,
    n_events: i64,
    is_changed: bool,
    /// First to last, as the database has them; only those that were asked for.
    found: BTreeMap<i64, i64>,
    gaps: BTreeMap<i64, i64>,
}

impl Accounts {
    /// Reads what is known of the VMs of these events.
    pub(super) async fn read<'e>(
        tx: &mut PgConnection,
        events: impl Iterator<Item = &'e NewEvent> + Clone,
    ) -> Result<Self, StoreError> {
        let vms: BTreeSet<&str> = events.clone().map(|event| event.vm.as_str()).collect();
        let vms: Vec<&str> = vms.into_iter().collect();
        let mut accounts = Self(vms.iter().map(|vm| ((*vm).to_owned(), Account::default())).collect());
        if vms.is_empty() {
            return Ok(accounts);
        }
        let rows: Vec<(String, i64, i64, i64, i64)> =
            sqlx::query_as("SELECT vm, no, first_seq, last_seq, n_events FROM vms WHERE vm = ANY($1)")
                .bind(vms)
                .fetch_all(&mut *tx)
                .await?;
        for (vm, no, first_seq, last_seq, n_events) in rows {
            let account = Account { no: Some(no), first_seq, last_seq, n_events, ..Account::default() };
            accounts.0.insert(vm, account);
        }
        accounts.read_gaps(tx, events).await?;
        Ok(accounts)
    }

    async fn read_gaps<'e>(
        &mut self,
        tx: &mut PgConnection,
        events: impl Iterator<Item = &'e NewEvent>,
    ) -> Result<(), StoreError> {
        let late: BTreeSet<(i64, i64, &str)> = events.filter_map(|event| self.late(event)).collect();
        if late.is_empty() {
            return Ok(());
        }
        let names: BTreeMap<i64, &str> = late.iter().map(|(no, _, vm)| (*no, *vm)).collect();
        let (nos, seqs): (Vec<i64>, Vec<i64>) = late.iter().map(|(no, seq, _)| (*no, *seq)).unzip();
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT DISTINCT late.vm_no, gap.first_seq, gap.last_seq
             FROM unnest($1::bigint[], $2::bigint[]) AS late (vm_no, seq)
             CROSS JOIN LATERAL (SELECT first_seq, last_seq FROM vm_gaps
                                 WHERE vm_no = late.vm_no AND first_seq <= late.seq
                                 ORDER BY first_seq DESC LIMIT 1) AS gap
             WHERE gap.last_seq >= late.seq",
        )
        .bind(nos)
        .bind(seqs)
        .fetch_all(&mut *tx)
        .await?;
        for (no, first, last) in rows {
            if let Some(account) = names.get(&no).and_then(|vm| self.0.get_mut(*vm)) {
                account.found.insert(first, last);
                account.gaps.insert(first, last);
            }
        }
        Ok(())
    }

    /// An event that does not continue its VM's numbers as the database has them.
    fn late<'e>(&self, event: &'e NewEvent) -> Option<(i64, i64, &'e str)> {
        let account = self.0.get(&event.vm)?;
        (event.seq <= account.last_seq).then_some((account.no?, event.seq, event.vm.as_str()))
    }

    pub(super) fn is_new(&self, vm: &str, seq: i64) -> bool {
        self.0.get(vm).is_some_and(|account| seq > account.last_seq || account.gap_of(seq).is_some())
    }

    /// Whether the number is new; then it is taken from now on.
    pub(super) fn enter(&mut self, vm: &str, seq: i64) -> bool {
        self.0.get_mut(vm).is_some_and(|account| account.enter(seq))
    }

    /// Every VM has one after [`Accounts::write`].
    pub(super) fn no(&self, vm: &str) -> Option<i64> {
        self.0.get(vm)?.no
    }

    pub(super) async fn write(&mut self, tx: &mut PgConnection) -> Result<(), StoreError> {
        self.add_unknown(tx).await?;
        self.write_known(tx).await?;
        self.write_gaps(tx).await
    }

    async fn add_unknown(&mut self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let (mut vms, mut rows) = (Vec::new(), Rows::default());
        for (vm, account) in self.0.iter_mut().filter(|(_, account)| account.no.is_none()) {
            vms.push(vm.clone());
            rows.push(account);
            account.is_changed = false;
        }
        if vms.is_empty() {
            return Ok(());
        }
        let added: Vec<(String, i64)> = sqlx::query_as(
            "INSERT INTO vms (vm, first_seq, last_seq, n_events)
             SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) RETURNING vm, no",
        )
        .bind(vms)
        .bind(rows.first_seqs)
        .bind(rows.last_seqs)
        .bind(rows.n_events)
        .fetch_all(tx)
        .await?;
        for (vm, no) in added {
            if let Some(account) = self.0.get_mut(&vm) {
                account.no = Some(no);
            }
        }
        Ok(())
    }

    async fn write_known(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let mut rows = Rows::default();
        let changed = self.0.values().filter(|account| account.is_changed);
        let nos: Vec<i64> = changed
            .filter_map(|account| {
                rows.push(account);
                account.no
            })
            .collect();
        if nos.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE vms SET first_seq = changed.first_seq, last_seq = changed.last_seq, n_events = changed.n_events
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                  AS changed (no, first_seq, last_seq, n_events)
             WHERE vms.no = changed.no",
        )
        .bind(nos)
        .bind(rows.first_seqs)
        .bind(rows.last_seqs)
        .bind(rows.n_events)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn write_gaps(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        let (mut gone, mut new) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new(), Vec::new()));
        for account in self.0.values() {
            let Some(no) = account.no else { continue };
            for first in minus(&account.found, &account.gaps).map(|(first, _)| first) {
                gone.0.push(no);
                gone.1.push(first);
            }
            for (first, last) in minus(&account.gaps, &account.found) {
                new.0.push(no);
                new.1.push(first);
                new.2.push(last);
            }
        }
        if !gone.0.is_empty() {
            sqlx::query(
                "DELETE FROM vm_gaps USING unnest($1::bigint[], $2::bigint[]) AS gone (vm_no, first_seq)
                 WHERE vm_gaps.vm_no = gone.vm_no AND vm_gaps.first_seq = gone.first_seq",
            )
            .bind(gone.0)
            .bind(gone.1)
            .execute(&mut *tx)
            .await?;
        }
        if !new.0.is_empty() {
            sqlx::query(
                "INSERT INTO vm_gaps (vm_no, first_seq, last_seq)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])",
            )
            .bind(new.0)
            .bind(new.1)
            .bind(new.2)
            .execute(tx)
            .await?;
        }
        Ok(())
    }
}

impl Account {
    fn enter(&mut self, seq: i64) -> bool {
        if seq > self.last_seq {
            self.add_gap(self.last_seq + 1, seq - 1);
            self.last_seq = seq;
        } else if !self.fill(seq) {
            return false;
        }
        self.first_seq = if self.n_events == 0 { seq } else { self.first_seq.min(seq) };
        self.n_events += 1;
        self.is_changed = true;
        true
    }

    /// A late number splits the gap that it was missing from. Whether there was one.
    fn fill(&mut self, seq: i64) -> bool {
        let Some((first, last)) = self.gap_of(seq) else { return false };
        self.gaps.remove(&first);
        self.add_gap(first, seq - 1);
        self.add_gap(seq + 1, last);
        true
    }

    fn gap_of(&self, seq: i64) -> Option<(i64, i64)> {
        let before = self.gaps.range(..=seq).next_back().map(|(first, last)| (*first, *last));
        before.filter(|(_, last)| *last >= seq)
    }

    fn add_gap(&mut self, first: i64, last: i64) {
        if first <= last {
            self.gaps.insert(first, last);
        }
    }
}

#[derive(Default)]
struct Rows {
    first_seqs: Vec<i64>,
    last_seqs: Vec<i64>,
    n_events: Vec<i64>,
}

impl Rows {
    fn push(&mut self, account: &Account) {
        self.first_seqs.push(account.first_seq);
        self.last_seqs.push(account.last_seq);
        self.n_events.push(account.n_events);
    }
}

/// What the other has not, or has otherwise.
fn minus<'g>(
    gaps: &'g BTreeMap<i64, i64>,
    others: &'g BTreeMap<i64, i64>,
) -> impl Iterator<Item = (i64, i64)> + 'g {
    let gaps = gaps.iter().map(|(first, last)| (*first, *last));
    gaps.filter(|(first, last)| others.get(first) != Some(last))
}
