//! Everything of one store into another, empty one, whatever kinds of database they are.
//!
//! Rows are read in the order of their keys and as of one moment, and written in one transaction: the target has all of
//! it or nothing. At any time a portion of rows is in memory. What a kind of database keeps and the other does not (words)
//! is left behind; tables that are not known here are a reason to refuse.

mod end;
mod tables;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use super::StoreError;
use end::{End, Value};
use tables::{TABLES, Table};

/// Where a store is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite(std::path::PathBuf),
    Postgres(String),
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Of each table.
    pub(crate) rows: Vec<(&'static str, i64)>,
    /// SHA-256 over the leaves in their order, each with its index and length before it.
    pub(crate) leaves: [u8; 32],
}

/// Tables of both are brought up to date first. What is written to the source meanwhile is not in the copy.
pub(crate) async fn copy(from: &Place, to: &Place) -> Result<Copied, StoreError> {
    transfer(End::open(from).await?, End::open(to).await?).await
}

/// As [`copy`], from a source whose tables stay as they are, since somebody may be using it. They have to be those of this
/// program.
pub(crate) async fn copy_as_it_is(from: &Place, to: &Place) -> Result<Copied, StoreError> {
    if !super::is_current(from).await? {
        let reason = "its tables are not those of this version; use the version that its collector has, or run \
                      `sentinel db migrate`";
        return Err(StoreError(reason.to_owned()));
    }
    transfer(End::connect(from).await?, End::open(to).await?).await
}

async fn transfer(mut source: End, mut target: End) -> Result<Copied, StoreError> {
    source.begin_reading().await?;
    target.begin_writing().await?;
    for (end, is_source) in [(&mut source, true), (&mut target, false)] {
        for name in end.tables().await? {
            if !TABLES.iter().any(|table| table.name == name) && end.count(&name).await? > 0 {
                return Err(StoreError(format!("a table that cannot be copied has rows: {name}")));
            }
        }
        for table in TABLES.iter().filter(|_| !is_source) {
            if end.count(table.name).await? > 0 {
                return Err(StoreError(format!("the target is not empty: {}", table.name)));
            }
        }
    }
    let mut rows = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        rows.push((table.name, copy_table(table, &mut source, &mut target).await?));
    }
    for (name, n_copied) in &rows {
        let there = target.count(name).await?;
        if there != *n_copied {
            return Err(StoreError(format!("{name}: {n_copied} rows were copied, and {there} are there")));
        }
    }
    let leaves = hash_of_leaves(&mut source).await?;
    if hash_of_leaves(&mut target).await? != leaves {
        return Err(StoreError("the leaves are not the same".to_owned()));
    }
    target.commit().await?;
    Ok(Copied { rows, leaves })
}

async fn copy_table(table: &Table, source: &mut End, target: &mut End) -> Result<i64, StoreError> {
    let mut after: Option<Vec<Value>> = None;
    let mut n_copied: i64 = 0;
    loop {
        let rows = source.read(table, after.as_deref()).await?;
        let Some(last) = rows.last() else { return Ok(n_copied) };
        after = Some(last.iter().take(table.n_keys).cloned().collect());
        n_copied = n_copied.saturating_add_unsigned(rows.len() as u64);
        target.write(table, &rows).await?;
    }
}

async fn hash_of_leaves(end: &mut End) -> Result<[u8; 32], StoreError> {
    let mut hash = Sha256::new();
    let Some(table) = TABLES.iter().find(|table| table.name == "leaves") else { return Ok([0; 32]) };
    let mut after: Option<Vec<Value>> = None;
    loop {
        let rows = end.read(table, after.as_deref()).await?;
        for row in &rows {
            if let [Value::Int(Some(idx)), Value::Bytes(Some(leaf))] = &row[..] {
                hash.update(idx.to_be_bytes());
                hash.update((leaf.len() as u64).to_be_bytes());
                hash.update(leaf);
            }
        }
        let Some(last) = rows.last() else { return Ok(hash.finalize().into()) };
        after = Some(last.iter().take(table.n_keys).cloned().collect());
    }
}
