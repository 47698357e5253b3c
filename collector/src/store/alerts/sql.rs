//! The questions and changes about alerts, in words that both kinds of database understand: written once, made for each.
//!
//! Whoever uses [`alert_queries`] gives the transaction, in which nobody else may change alerts.

macro_rules! alert_queries {
    ($store:ty, $connection:ty, $pool:ty) => {
        use $crate::domain::{Alert, AlertState, Delivery, Silence, Words as _};
        use $crate::store::alerts::rows::{AlertRow, DeliveryRow, SilenceRow};
        use $crate::store::{AlertChange, Alerts, Answer, StoreError};

        use super::write::{self, Job};
        use super::{READ_WAIT, within};

        impl Alerts for $store {
            fn change_alerts(&self, change: AlertChange) -> Answer<'_, Option<i64>> {
                Box::pin(write::ask(&self.jobs, |answer| Job::Alerts(change, answer)))
            }

            fn open_alerts(&self) -> Answer<'_, Vec<Alert>> {
                Box::pin(within(READ_WAIT, open_alerts(&self.readers)))
            }

            fn alert(&self, id: i64) -> Answer<'_, Option<Alert>> {
                Box::pin(within(READ_WAIT, alert(&self.readers, id)))
            }

            fn alerts(&self, state: Option<AlertState>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Alert>> {
                Box::pin(within(READ_WAIT, alerts(&self.readers, state, limit, before)))
            }

            fn last_told(&self, rule: String, group: String) -> Answer<'_, Option<i64>> {
                Box::pin(within(READ_WAIT, async move { last_told(&self.readers, &rule, &group).await }))
            }

            fn silences(&self, ends_after_ms: i64, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Silence>> {
                Box::pin(within(READ_WAIT, silences(&self.readers, ends_after_ms, limit, before)))
            }

            fn due_deliveries(&self, now_ms: i64, limit: usize) -> Answer<'_, Vec<Delivery>> {
                Box::pin(within(READ_WAIT, due_deliveries(&self.readers, now_ms, limit)))
            }

            fn deliveries(&self, alert: Option<i64>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Delivery>> {
                Box::pin(within(READ_WAIT, deliveries(&self.readers, alert, limit, before)))
            }
        }

        pub(super) async fn open_alerts(readers: &$pool) -> Result<Vec<Alert>, StoreError> {
            let query = sqlx::query_as("SELECT * FROM alerts WHERE state <> 'resolved' ORDER BY id");
            let rows: Vec<AlertRow> = query.fetch_all(readers).await?;
            rows.into_iter().map(Alert::try_from).collect()
        }

        pub(super) async fn alert(readers: &$pool, id: i64) -> Result<Option<Alert>, StoreError> {
            let query = sqlx::query_as("SELECT * FROM alerts WHERE id = $1").bind(id);
            let row: Option<AlertRow> = query.fetch_optional(readers).await?;
            row.map(Alert::try_from).transpose()
        }

        pub(super) async fn alerts(
            readers: &$pool,
            state: Option<AlertState>,
            limit: usize,
            before: Option<i64>,
        ) -> Result<Vec<Alert>, StoreError> {
            let rows: Vec<AlertRow> = sqlx::query_as(
                "SELECT * FROM alerts WHERE id < $1 AND (CAST($2 AS text) IS NULL OR state = $2)
                 ORDER BY id DESC LIMIT $3",
            )
            .bind(before.unwrap_or(i64::MAX))
            .bind(state.map(|state| state.word()))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(readers)
            .await?;
            rows.into_iter().map(Alert::try_from).collect()
        }

        pub(super) async fn last_told(
            readers: &$pool,
            rule: &str,
            group: &str,
        ) -> Result<Option<i64>, StoreError> {
            let query = sqlx::query_scalar(LAST_TOLD).bind(rule).bind(group);
            Ok(query.fetch_one(readers).await?)
        }

        pub(super) async fn silences(
            readers: &$pool,
            ends_after_ms: i64,
            limit: usize,
            before: Option<i64>,
        ) -> Result<Vec<Silence>, StoreError> {
            let rows: Vec<SilenceRow> = sqlx::query_as(
                "SELECT * FROM alert_silences WHERE ends_ms > $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            )
            .bind(ends_after_ms)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(readers)
            .await?;
            rows.into_iter().map(Silence::try_from).collect()
        }

        pub(super) async fn due_deliveries(
            readers: &$pool,
            now_ms: i64,
            limit: usize,
        ) -> Result<Vec<Delivery>, StoreError> {
            let rows: Vec<DeliveryRow> = sqlx::query_as(
                "SELECT * FROM alert_deliveries AS one
                 WHERE state = 'waiting' AND next_ms <= $1 AND claimed_until_ms <= $1
                   AND NOT EXISTS (
                       SELECT 1 FROM alert_deliveries AS earlier
                       WHERE earlier.alert = one.alert AND earlier.sink = one.sink
                         AND earlier.state = 'waiting' AND earlier.id < one.id
                   )
                 ORDER BY id LIMIT $2",
            )
            .bind(now_ms)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(readers)
            .await?;
            rows.into_iter().map(Delivery::try_from).collect()
        }

        pub(super) async fn deliveries(
            readers: &$pool,
            alert: Option<i64>,
            limit: usize,
            before: Option<i64>,
        ) -> Result<Vec<Delivery>, StoreError> {
            let rows: Vec<DeliveryRow> = sqlx::query_as(
                "SELECT * FROM alert_deliveries WHERE id < $1 AND (CAST($2 AS bigint) IS NULL OR alert = $2)
                 ORDER BY id DESC LIMIT $3",
            )
            .bind(before.unwrap_or(i64::MAX))
            .bind(alert)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(readers)
            .await?;
            rows.into_iter().map(Delivery::try_from).collect()
        }

        async fn apply_in(tx: &mut $connection, change: AlertChange) -> Result<Option<i64>, StoreError> {
            match change {
                AlertChange::Open { alert, last_told_ms, deliveries } => {
                    open(tx, &alert, last_told_ms, deliveries).await
                }
                AlertChange::Step { alert, deliveries } => step(tx, &alert, deliveries).await,
                AlertChange::Acknowledge { id, who, at_ms } => acknowledge(tx, id, &who, at_ms).await,
                AlertChange::Claim { id, now_ms, until_ms } => claim(tx, id, now_ms, until_ms).await,
                AlertChange::Sent(delivery) => sent(tx, &delivery).await,
                AlertChange::Log(delivery) => {
                    let id = next_id(tx, "SELECT coalesce(max(id), 0) + 1 FROM alert_deliveries").await?;
                    put_delivery(tx, &Delivery { id, ..*delivery }).await?;
                    Ok(Some(id))
                }
                AlertChange::PutSilence(silence) => put_silence(tx, &silence).await,
                AlertChange::EndSilence { id, at_ms } => end_silence(tx, id, at_ms).await,
                AlertChange::Forget { before_ms } => forget(tx, before_ms).await,
            }
        }

        async fn open(
            tx: &mut $connection,
            alert: &Alert,
            last_told_ms: Option<i64>,
            deliveries: Vec<Delivery>,
        ) -> Result<Option<i64>, StoreError> {
            let group = alert.group.text();
            let told = sqlx::query_scalar(LAST_TOLD).bind(&alert.rule).bind(&group);
            let told_ms: Option<i64> = told.fetch_one(&mut *tx).await?;
            if told_ms != last_told_ms {
                return Ok(None);
            }
            let id = next_id(tx, "SELECT coalesce(max(id), 0) + 1 FROM alerts").await?;
            let result = sqlx::query(
                "INSERT INTO alerts (id, version, rule, severity, grp, state, summary, value, opened_ms, seen_ms, told_ms,
                                     told_to)
                 VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(&alert.rule)
            .bind(alert.severity.word())
            .bind(&group)
            .bind(alert.state.word())
            .bind(&alert.summary)
            .bind(alert.value)
            .bind(alert.opened_ms)
            .bind(alert.seen_ms)
            .bind(alert.told_ms)
            .bind(alert.told_to.join(","))
            .execute(&mut *tx)
            .await?;
            if result.rows_affected() != 1 {
                return Ok(None);
            }
            put_deliveries(tx, id, deliveries).await?;
            Ok(Some(id))
        }

        async fn step(
            tx: &mut $connection,
            alert: &Alert,
            deliveries: Vec<Delivery>,
        ) -> Result<Option<i64>, StoreError> {
            let result = sqlx::query(
                "UPDATE alerts SET version = version + 1, state = $3, summary = $4, value = $5, seen_ms = $6,
                                   told_ms = $7, told_to = $8, resolved_ms = $9
                 WHERE id = $1 AND version = $2",
            )
            .bind(alert.id)
            .bind(alert.version)
            .bind(alert.state.word())
            .bind(&alert.summary)
            .bind(alert.value)
            .bind(alert.seen_ms)
            .bind(alert.told_ms)
            .bind(alert.told_to.join(","))
            .bind(alert.resolved_ms)
            .execute(&mut *tx)
            .await?;
            if result.rows_affected() != 1 {
                return Ok(None);
            }
            put_deliveries(tx, alert.id, deliveries).await?;
            Ok(Some(alert.id))
        }

        async fn acknowledge(
            tx: &mut $connection,
            id: i64,
            who: &str,
            at_ms: i64,
        ) -> Result<Option<i64>, StoreError> {
            let result = sqlx::query(
                "UPDATE alerts SET version = version + 1, state = 'acknowledged', acknowledged_ms = $2,
                                   acknowledged_by = $3
                 WHERE id = $1 AND state <> 'resolved' AND acknowledged_ms IS NULL",
            )
            .bind(id)
            .bind(at_ms)
            .bind(who)
            .execute(tx)
            .await?;
            Ok((result.rows_affected() == 1).then_some(id))
        }

        async fn claim(
            tx: &mut $connection,
            id: i64,
            now_ms: i64,
            until_ms: i64,
        ) -> Result<Option<i64>, StoreError> {
            let result = sqlx::query(
                "UPDATE alert_deliveries SET claimed_until_ms = $3, attempts = attempts + 1
                 WHERE id = $1 AND state = 'waiting' AND next_ms <= $2 AND claimed_until_ms <= $2",
            )
            .bind(id)
            .bind(now_ms)
            .bind(until_ms)
            .execute(tx)
            .await?;
            Ok((result.rows_affected() == 1).then_some(id))
        }

        async fn sent(tx: &mut $connection, delivery: &Delivery) -> Result<Option<i64>, StoreError> {
            let result = sqlx::query(
                "UPDATE alert_deliveries
                 SET state = $3, next_ms = $4, outcome = $5, done_ms = $6, claimed_until_ms = 0
                 WHERE id = $1 AND attempts = $2 AND state = 'waiting'",
            )
            .bind(delivery.id)
            .bind(delivery.attempts)
            .bind(delivery.state.word())
            .bind(delivery.next_ms)
            .bind(&delivery.outcome)
            .bind(delivery.done_ms)
            .execute(tx)
            .await?;
            Ok((result.rows_affected() == 1).then_some(delivery.id))
        }

        async fn put_deliveries(
            tx: &mut $connection,
            alert: i64,
            deliveries: Vec<Delivery>,
        ) -> Result<(), StoreError> {
            if deliveries.is_empty() {
                return Ok(());
            }
            let mut id = next_id(tx, "SELECT coalesce(max(id), 0) + 1 FROM alert_deliveries").await?;
            for delivery in deliveries {
                put_delivery(tx, &Delivery { id, alert, ..delivery }).await?;
                id += 1;
            }
            Ok(())
        }

        async fn put_delivery(tx: &mut $connection, delivery: &Delivery) -> Result<(), StoreError> {
            let notice = serde_json::to_string(&delivery.notice);
            sqlx::query(
                "INSERT INTO alert_deliveries (id, alert, sink, notice, attempts, state, next_ms, claimed_until_ms, outcome,
                                               done_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(delivery.id)
            .bind(delivery.alert)
            .bind(&delivery.sink)
            .bind(notice.map_err(|error| StoreError(error.to_string()))?)
            .bind(delivery.attempts)
            .bind(delivery.state.word())
            .bind(delivery.next_ms)
            .bind(delivery.claimed_until_ms)
            .bind(&delivery.outcome)
            .bind(delivery.done_ms)
            .execute(tx)
            .await?;
            Ok(())
        }

        async fn put_silence(tx: &mut $connection, silence: &Silence) -> Result<Option<i64>, StoreError> {
            let id = next_id(tx, "SELECT coalesce(max(id), 0) + 1 FROM alert_silences").await?;
            sqlx::query(
                "INSERT INTO alert_silences (id, rule, grp, starts_ms, ends_ms, reason, made_by, made_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(id)
            .bind(&silence.rule)
            .bind(silence.group.text())
            .bind(silence.starts_ms)
            .bind(silence.ends_ms)
            .bind(&silence.reason)
            .bind(&silence.made_by)
            .bind(silence.made_ms)
            .execute(tx)
            .await?;
            Ok(Some(id))
        }

        async fn end_silence(tx: &mut $connection, id: i64, at_ms: i64) -> Result<Option<i64>, StoreError> {
            let query = sqlx::query("UPDATE alert_silences SET ends_ms = $2 WHERE id = $1 AND ends_ms > $2");
            let result = query.bind(id).bind(at_ms).execute(tx).await?;
            Ok((result.rows_affected() == 1).then_some(id))
        }

        async fn forget(tx: &mut $connection, before_ms: i64) -> Result<Option<i64>, StoreError> {
            for query in [
                "DELETE FROM alert_deliveries
                 WHERE done_ms < $1 AND id < (SELECT max(id) FROM alert_deliveries)",
                "DELETE FROM alerts WHERE resolved_ms < $1 AND id < (SELECT max(id) FROM alerts)",
                "DELETE FROM alert_silences
                 WHERE ends_ms < $1 AND id < (SELECT max(id) FROM alert_silences)",
            ] {
                sqlx::query(query).bind(before_ms).execute(&mut *tx).await?;
            }
            Ok(Some(0))
        }

        async fn next_id(tx: &mut $connection, query: &'static str) -> Result<i64, StoreError> {
            Ok(sqlx::query_scalar(query).fetch_one(tx).await?)
        }

        const LAST_TOLD: &str = "SELECT max(told_ms) FROM alerts WHERE rule = $1 AND grp = $2";
    };
}

pub(crate) use alert_queries;
