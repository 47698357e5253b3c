//! Sums for each hour: written with the events, read for dashboards and auditors.

use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{QueryBuilder, SqliteConnection};

use crate::domain::{Compliance, Detected, HourlyRow, Hours, Kind, Sum, SumsQuery, Words as _};
use crate::store::StoreError;

pub(super) async fn add(
    connection: &mut SqliteConnection,
    rows: impl IntoIterator<Item = HourlyRow>,
) -> Result<(), StoreError> {
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO hourly (kind, hour, value, n) ");
    insert.push_values(rows, |mut row, HourlyRow { kind, hour, value, n }| {
        row.push_bind(kind).push_bind(hour).push_bind(value).push_bind(n);
    });
    insert.push(" ON CONFLICT DO UPDATE SET n = n + excluded.n");
    insert.build().execute(connection).await?;
    Ok(())
}

pub(super) async fn sums(readers: &SqlitePool, query: SumsQuery) -> Result<Vec<Sum>, StoreError> {
    let SumsQuery { kind, hours, every, top } = query;
    let rows: Vec<(i64, Option<String>, i64)> = sqlx::query_as(
        "WITH top AS MATERIALIZED (
             SELECT value FROM hourly WHERE kind = ?1 AND hour >= ?2 AND hour < ?3
             GROUP BY value ORDER BY sum(n) DESC, value LIMIT ?5
         )
         SELECT hour / ?4 * ?4 AS bucket, iif(value IN (SELECT value FROM top), value, NULL) AS named, sum(n)
         FROM hourly WHERE kind = ?1 AND hour >= ?2 AND hour < ?3 GROUP BY bucket, named ORDER BY bucket, named",
    )
    .bind(kind.word())
    .bind(hours.from)
    .bind(hours.to)
    .bind(every)
    .bind(super::read::count_of(top))
    .fetch_all(readers)
    .await?;
    Ok(rows.into_iter().map(|(hour, value, n)| Sum { hour, value, n }).collect())
}

/// In one transaction, so that all of it is of the same moment.
pub(super) async fn compliance(readers: &SqlitePool, hours: Hours) -> Result<Compliance, StoreError> {
    let mut tx = readers.begin().await?;
    let mut answer = Compliance::default();
    for (kind, into) in [(Kind::Verdict, &mut answer.verdicts), (Kind::Action, &mut answer.actions)] {
        *into = totals(&mut tx, kind, hours).await?.into_iter().collect();
    }
    answer.events = answer.verdicts.values().sum();
    answer.quarantined = totals(&mut tx, Kind::Quarantined, hours).await?.iter().map(|(_, n)| n).sum();
    answer.families = detected(&mut tx, Kind::Family, Kind::FamilyFindings, hours).await?;
    answer.rules = detected(&mut tx, Kind::Rule, Kind::RuleFindings, hours).await?;
    let n_rules = answer.rules.len();
    answer.rules.truncate(Compliance::RULES_MAX);
    answer.rules_left_out = super::read::count_of(n_rules - answer.rules.len());
    let (since_ms, until_ms) = (hours.since_ms(), hours.until_ms());
    (answer.subjects_erased, answer.events_without_text, answer.missing_now, answer.vms_with_gaps_now) =
        sqlx::query_as(
            "SELECT (SELECT count(DISTINCT subject) FROM data_keys
                     WHERE destroyed_ms IS NOT NULL AND subject <> x'' AND destroyed_ms >= ?1 AND destroyed_ms < ?2),
                    (SELECT count(*) FROM events WHERE payload IS NULL AND time_ms >= ?1 AND time_ms < ?2),
                    (SELECT CAST(total(last_seq - first_seq + 1) AS INTEGER) FROM vm_gaps),
                    (SELECT count(DISTINCT vm_no) FROM vm_gaps)",
        )
        .bind(since_ms)
        .bind(until_ms)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(answer)
}

/// The largest first, ties in the order of names.
async fn totals(
    connection: &mut SqliteConnection,
    kind: Kind,
    hours: Hours,
) -> Result<Vec<(String, i64)>, StoreError> {
    let query = sqlx::query_as(
        "SELECT value, sum(n) FROM hourly WHERE kind = ? AND hour >= ? AND hour < ? GROUP BY value ORDER BY 2 DESC, 1",
    );
    Ok(query.bind(kind.word()).bind(hours.from).bind(hours.to).fetch_all(connection).await?)
}

async fn detected(
    connection: &mut SqliteConnection,
    events: Kind,
    findings: Kind,
    hours: Hours,
) -> Result<Vec<Detected>, StoreError> {
    let mut of: std::collections::BTreeMap<String, i64> =
        totals(connection, findings, hours).await?.into_iter().collect();
    let events = totals(connection, events, hours).await?;
    let one = |(name, events): (String, i64)| {
        let findings = of.remove(&name).unwrap_or(0);
        Detected { name, events, findings }
    };
    Ok(events.into_iter().map(one).collect())
}
