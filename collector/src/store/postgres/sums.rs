//! Sums for each hour: written with the events, read for dashboards and auditors.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

use super::text::plain;
use crate::domain::{Compliance, Detected, HourlyRow, Hours, Kind, Sum, SumsQuery, Words as _};
use crate::store::StoreError;

/// In the order of the table's key, as `Hourly` gives them, so that nobody waits crosswise.
pub(super) async fn add(connection: &mut PgConnection, rows: Vec<HourlyRow>) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(&str, i64, String), i64> = BTreeMap::new();
    for HourlyRow { kind, hour, value, n } in rows {
        *sums.entry((kind, hour, plain(&value).into_owned())).or_default() += n;
    }
    if sums.is_empty() {
        return Ok(());
    }
    let (mut kinds, mut hours, mut values, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((kind, hour, value), n) in sums {
        kinds.push(kind);
        hours.push(hour);
        values.push(value);
        counts.push(n);
    }
    sqlx::query(
        "INSERT INTO hourly AS there (kind, hour, value, n)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
         ON CONFLICT (kind, hour, value) DO UPDATE SET n = there.n + excluded.n",
    )
    .bind(kinds)
    .bind(hours)
    .bind(values)
    .bind(counts)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn sums(readers: &PgPool, query: SumsQuery) -> Result<Vec<Sum>, StoreError> {
    let SumsQuery { kind, hours, every, top } = query;
    let rows: Vec<(i64, Option<String>, i64)> = sqlx::query_as(
        "WITH top AS MATERIALIZED (
             SELECT value FROM hourly WHERE kind = $1 AND hour >= $2 AND hour < $3
             GROUP BY value ORDER BY sum(n) DESC, value LIMIT $5
         )
         SELECT hour / $4 * $4 AS bucket, CASE WHEN value IN (SELECT value FROM top) THEN value END AS named,
                sum(n)::bigint
         FROM hourly WHERE kind = $1 AND hour >= $2 AND hour < $3
         GROUP BY bucket, named ORDER BY bucket, named NULLS FIRST",
    )
    .bind(kind.word())
    .bind(hours.from)
    .bind(hours.to)
    .bind(every)
    .bind(i64::try_from(top).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await?;
    Ok(rows.into_iter().map(|(hour, value, n)| Sum { hour, value, n }).collect())
}

/// In one transaction, so that all of it is of the same moment.
pub(super) async fn compliance(readers: &PgPool, hours: Hours) -> Result<Compliance, StoreError> {
    let mut tx = readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
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
    answer.rules_left_out = i64::try_from(n_rules - answer.rules.len()).unwrap_or(i64::MAX);
    (answer.subjects_erased, answer.events_without_text, answer.missing_now, answer.vms_with_gaps_now) =
        sqlx::query_as(
            "SELECT (SELECT count(DISTINCT subject) FROM data_keys
                     WHERE destroyed_ms IS NOT NULL AND subject <> ''::bytea AND destroyed_ms >= $1
                           AND destroyed_ms < $2),
                    (SELECT count(*) FROM events WHERE payload IS NULL AND time_ms >= $1 AND time_ms < $2),
                    (SELECT coalesce(sum(last_seq - first_seq + 1), 0)::bigint FROM vm_gaps),
                    (SELECT count(DISTINCT vm_no) FROM vm_gaps)",
        )
        .bind(hours.since_ms())
        .bind(hours.until_ms())
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(answer)
}

/// The largest first, ties in the order of names.
async fn totals(
    connection: &mut PgConnection,
    kind: Kind,
    hours: Hours,
) -> Result<Vec<(String, i64)>, StoreError> {
    let query = sqlx::query_as(
        "SELECT value, sum(n)::bigint FROM hourly WHERE kind = $1 AND hour >= $2 AND hour < $3
         GROUP BY value ORDER BY 2 DESC, 1",
    );
    Ok(query.bind(kind.word()).bind(hours.from).bind(hours.to).fetch_all(connection).await?)
}

async fn detected(
    connection: &mut PgConnection,
    events: Kind,
    findings: Kind,
    hours: Hours,
) -> Result<Vec<Detected>, StoreError> {
    let mut of: BTreeMap<String, i64> = totals(connection, findings, hours).await?.into_iter().collect();
    let events = totals(connection, events, hours).await?;
    let one = |(name, events): (String, i64)| {
        let findings = of.remove(&name).unwrap_or(0);
        Detected { name, events, findings }
    };
    Ok(events.into_iter().map(one).collect())
}
