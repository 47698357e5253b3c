//! The partitions of events, one for each month in which they were received.
//!
//! A partition is made with the first event of the month before it, so that no append has to wait for it: making one
//! waits for everybody who reads. Where it cannot be made, its events go into the partition for the rest, and stay
//! there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::locks::Lock;
use super::session::Sessions;
use crate::store::StoreError;

#[derive(Debug, Default)]
pub(super) struct Months {
    /// Those that nothing is to be done about.
    done: BTreeSet<i64>,
    not_before: Option<Instant>,
}

impl Months {
    /// Sees to it that there are partitions for these times, if that can be done now.
    pub(super) async fn cover(
        &mut self,
        connection: &mut PgConnection,
        times: impl Iterator<Item = i64>,
    ) -> Result<(), StoreError> {
        if self.not_before.is_some_and(|time| Instant::now() < time) {
            return Ok(());
        }
        let months: BTreeSet<i64> = times.filter(|ms| (0..=MS_MAX).contains(ms)).map(month_of).collect();
        for month in months.into_iter().flat_map(|month| [month, month + 1]) {
            if self.done.contains(&month) {
                continue;
            }
            match make(connection, month).await {
                Ok(()) => {
                    self.done.insert(month);
                }
                // The server's word: it will say it again. A connection that is gone is the caller's business.
                Err(sqlx::Error::Database(error)) => {
                    let month = name(month);
                    tracing::warn!(%error, month, "no partition: its events go to the rest");
                    self.not_before = Some(Instant::now() + TRY_AGAIN);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Months of which everything was deleted. It can wait: if it does not work now, the next deletion tries again.
pub(super) async fn drop_empty(sessions: &Sessions, before_ms: i64) {
    if let Err(error) = drop_before(sessions, before_ms).await {
        tracing::warn!(%error, "empty partitions could not be dropped");
    }
}

async fn drop_before(sessions: &Sessions, before_ms: i64) -> Result<(), StoreError> {
    let mut connection = sessions.patient().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'events'::regclass ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await?;
    let over = name(month_of(before_ms.clamp(0, MS_MAX)));
    let months = tables.iter().filter_map(|table| table.strip_prefix("events_"));
    for month in months.filter(|month| month.len() == over.len() && **month < *over) {
        let used =
            format!("SELECT EXISTS (SELECT FROM events_{month}) OR EXISTS (SELECT FROM event_rules_{month})");
        let mut tx = connection.begin().await?;
        sqlx::raw_sql("SET LOCAL lock_timeout = '2s'").execute(&mut *tx).await?;
        // Nobody adds a row meanwhile.
        Lock::Leaves.take(&mut tx).await?;
        if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(used)).fetch_one(&mut *tx).await? {
            let drop = format!("DROP TABLE events_{month}, event_rules_{month}");
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    }
    super::session::close(connection).await;
    Ok(())
}

async fn make(connection: &mut PgConnection, month: i64) -> Result<(), sqlx::Error> {
    let name = name(month);
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL")
            .bind(format!("events_{name}"))
            .bind(format!("event_rules_{name}"))
            .fetch_one(&mut *connection)
            .await?;
    if there {
        return Ok(());
    }
    let mut tx = connection.begin().await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '5s'").execute(&mut *tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock('leaves'::regclass::oid::int4, $1)")
        .bind(Lock::Leaves as i32)
        .execute(&mut *tx)
        .await?;
    for table in ["events", "event_rules"] {
        let (from, to) = (start_ms(month), start_ms(month + 1));
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table}_{name} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})"
        );
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Counted from January 1970.
fn month_of(ms: i64) -> i64 {
    // Of 400 years, which always have as many days, and begin on a 1st of March, so that a leap day is the last.
    let days = ms.div_euclid(DAY_MS) + MARCH_0000_DAYS;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year) * 12 + month_from_march + 2 - 1970 * 12
}

fn start_ms(month: i64) -> i64 {
    let from_march = month + 1970 * 12 - 2;
    let (year, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5;
    (era * ERA_DAYS + day - MARCH_0000_DAYS) * DAY_MS
}

/// `2026_11`.
fn name(month: i64) -> String {
    format!("{:04}_{:02}", 1970 + month.div_euclid(12), month.rem_euclid(12) + 1)
}

const DAY_MS: i64 = 86_400_000;
const ERA_DAYS: i64 = 146_097;
/// From the 1st of March of the year 0 to 1970.
const MARCH_0000_DAYS: i64 = 719_468;
/// The last millisecond of the year 9998.
const MS_MAX: i64 = 253_370_764_799_999;
const TRY_AGAIN: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_calendars_say() {
        for (text, start) in [
            ("1970_01", 0),
            ("1970_02", 2_678_400_000),
            ("2000_02", 949_363_200_000),
            ("2000_03", 951_868_800_000),
            ("2026_11", 1_793_491_200_000),
            ("2100_03", 4_107_542_400_000),
        ] {
            let month = month_of(start);
            assert_eq!((name(month).as_str(), start_ms(month)), (text, start));
            assert_eq!(month_of(start - 1), month - 1, "{text}");
        }
        for month in 0..12 * 8_000 {
            assert_eq!((month_of(start_ms(month)), month_of(start_ms(month + 1) - 1)), (month, month));
        }
    }
}
