//! Rows of a transaction, many to a statement: each column is bound as one array.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::postgres::PgConnection;

use super::accounts::Accounts;
use super::text::plain;
use crate::domain::{Access, NewEvent, Quarantined};
use crate::store::StoreError;

/// The same thing, put aside several times in one transaction.
#[derive(Clone, Copy)]
pub(super) struct Aside<'r> {
    pub(super) first: &'r Quarantined,
    pub(super) last: &'r Quarantined,
    pub(super) n_times: i64,
}

pub(super) async fn leaves(tx: &mut PgConnection, next: i64, leaves: &[&[u8]]) -> Result<(), StoreError> {
    let mut from = next;
    for part in leaves.chunks(ROWS_MAX) {
        sqlx::query(
            "INSERT INTO leaves (idx, leaf)
             SELECT $1 + n - 1, leaf FROM unnest($2::bytea[]) WITH ORDINALITY AS part (leaf, n)",
        )
        .bind(from)
        .bind(part)
        .execute(&mut *tx)
        .await?;
        from = from.saturating_add_unsigned(part.len() as u64);
    }
    Ok(())
}

pub(super) async fn events(
    tx: &mut PgConnection,
    accounts: &Accounts,
    events: &[(i64, &NewEvent)],
) -> Result<(), StoreError> {
    for part in events.chunks(ROWS_MAX) {
        sqlx::query(
            "INSERT INTO events (idx, vm_no, seq, event_id, time_ms, received_ms, request, session, subject, route,
                                 verdict, action, score, key, payload, words)
             SELECT idx, vm_no, seq, event_id, time_ms, received_ms, request, session, subject, route,
                    verdict, action, score, key, payload, words::bigint[]
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
                         $7::bigint[], $8::bigint[], $9::bytea[], $10::text[], $11::text[], $12::text[],
                         $13::double precision[], $14::bigint[], $15::bytea[], $16::text[])
                  AS row (idx, vm_no, seq, event_id, time_ms, received_ms, request, session, subject, route,
                          verdict, action, score, key, payload, words)",
        )
        .bind(column(part, |idx, _| idx))
        .bind(column(part, |_, event| accounts.no(&event.vm)))
        .bind(column(part, |_, event| event.seq))
        .bind(column(part, |_, event| event.id.as_deref().map(plain)))
        .bind(column(part, |_, event| event.time_ms))
        .bind(column(part, |_, event| event.received_ms))
        .bind(column(part, |_, event| event.request))
        .bind(column(part, |_, event| event.session))
        .bind(column(part, |_, event| event.subject.as_ref().map(<[u8; 16]>::as_slice)))
        .bind(column(part, |_, event| event.route.as_deref().map(plain)))
        .bind(column(part, |_, event| plain(&event.verdict)))
        .bind(column(part, |_, event| plain(&event.action)))
        .bind(column(part, |_, event| event.score))
        .bind(column(part, |_, event| event.sealed.key))
        .bind(column(part, |_, event| event.sealed.bytes.as_slice()))
        .bind(column(part, |_, event| words(event)))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// The rules that fired; `known` has the numbers of rules that were seen before.
pub(super) async fn rules(
    tx: &mut PgConnection,
    known: &mut BTreeMap<String, i64>,
    events: &[(i64, &NewEvent)],
) -> Result<(), StoreError> {
    let fired: Vec<(&str, i64, &NewEvent)> = events
        .iter()
        .flat_map(|(idx, event)| event.rules.iter().map(move |rule| (rule.as_str(), *idx, *event)))
        .collect();
    learn(tx, known, fired.iter().map(|(rule, ..)| *rule)).await?;
    for part in fired.chunks(ROWS_MAX) {
        sqlx::query(
            "INSERT INTO event_rules (rule_no, time_ms, idx, received_ms)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING",
        )
        .bind(part.iter().map(|(rule, ..)| known.get(*rule).copied()).collect::<Vec<_>>())
        .bind(part.iter().map(|(.., event)| event.time_ms).collect::<Vec<_>>())
        .bind(part.iter().map(|(_, idx, _)| *idx).collect::<Vec<_>>())
        .bind(part.iter().map(|(.., event)| event.received_ms).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Another collector may have added some of them since; nobody can now.
async fn learn(
    tx: &mut PgConnection,
    known: &mut BTreeMap<String, i64>,
    rules: impl Iterator<Item = &str>,
) -> Result<(), StoreError> {
    if known.len() > RULES_MAX {
        known.clear();
    }
    // Two rules may become one without their NULs, so numbers are asked for one by one.
    let unknown: BTreeSet<&str> = rules.filter(|rule| !known.contains_key(*rule)).collect();
    for rule in unknown {
        let no: Option<i64> = sqlx::query_scalar("SELECT no FROM rules WHERE rule = $1")
            .bind(plain(rule))
            .fetch_optional(&mut *tx)
            .await?;
        let no = match no {
            Some(no) => no,
            None => {
                sqlx::query_scalar("INSERT INTO rules (rule) VALUES ($1) RETURNING no")
                    .bind(plain(rule))
                    .fetch_one(&mut *tx)
                    .await?
            }
        };
        known.insert(rule.to_owned(), no);
    }
    Ok(())
}

pub(super) async fn journal(tx: &mut PgConnection, accesses: &[(i64, &Access)]) -> Result<(), StoreError> {
    for part in accesses.chunks(ROWS_MAX) {
        sqlx::query(
            "INSERT INTO journal (idx, at_ms, who, what, target, outcome)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[])",
        )
        .bind(column(part, |idx, _| idx))
        .bind(column(part, |_, access| access.at_ms))
        .bind(column(part, |_, access| plain(&access.who)))
        .bind(column(part, |_, access| plain(&access.what)))
        .bind(column(part, |_, access| plain(&access.target)))
        .bind(column(part, |_, access| access.outcome))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn quarantine(tx: &mut PgConnection, aside: Vec<Aside<'_>>) -> Result<(), StoreError> {
    for part in aside.chunks(ROWS_MAX) {
        sqlx::query(
            "INSERT INTO quarantine AS there (digest, key, payload, first_ms, last_ms, n_times)
             SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[])
             ON CONFLICT (digest) DO UPDATE SET last_ms = excluded.last_ms,
                                                n_times = there.n_times + excluded.n_times",
        )
        .bind(part.iter().map(|row| row.first.digest.as_slice()).collect::<Vec<_>>())
        .bind(part.iter().map(|row| row.first.sealed.key).collect::<Vec<_>>())
        .bind(part.iter().map(|row| row.first.sealed.bytes.as_slice()).collect::<Vec<_>>())
        .bind(part.iter().map(|row| row.first.at_ms).collect::<Vec<_>>())
        .bind(part.iter().map(|row| row.last.at_ms).collect::<Vec<_>>())
        .bind(part.iter().map(|row| row.n_times).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

fn column<'r, R, T>(rows: &[(i64, &'r R)], value: impl Fn(i64, &'r R) -> T) -> Vec<T> {
    rows.iter().map(|(idx, row)| value(*idx, row)).collect()
}

/// An array in an array has to be text on its way.
fn words(event: &NewEvent) -> String {
    let mut text = String::with_capacity(event.words.len() * 20 + 2);
    for word in &event.words {
        let separator = if text.is_empty() { '{' } else { ',' };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{word}");
    }
    if text.is_empty() { "{}".to_owned() } else { text + "}" }
}

/// Of one statement, so that what is sent at once stays small beside what waits.
const ROWS_MAX: usize = 2_048;
const RULES_MAX: usize = 20_000;
