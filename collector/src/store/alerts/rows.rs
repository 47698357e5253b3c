//! Rows as both kinds of database have them.

use crate::domain::{
    Alert, AlertState, Delivery, DeliveryState, Group, Notice, Severity, Silence, Words, alert_names,
};
use crate::store::StoreError;

#[derive(sqlx::FromRow)]
pub(crate) struct AlertRow {
    id: i64,
    version: i64,
    rule: String,
    severity: String,
    grp: String,
    state: String,
    summary: String,
    value: f64,
    opened_ms: i64,
    seen_ms: i64,
    told_ms: Option<i64>,
    told_to: String,
    acknowledged_ms: Option<i64>,
    acknowledged_by: Option<String>,
    resolved_ms: Option<i64>,
}

#[derive(sqlx::FromRow)]
pub(crate) struct SilenceRow {
    id: i64,
    rule: Option<String>,
    grp: String,
    starts_ms: i64,
    ends_ms: i64,
    reason: String,
    made_by: String,
    made_ms: i64,
}

#[derive(sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    id: i64,
    alert: i64,
    sink: String,
    notice: String,
    attempts: i64,
    state: String,
    next_ms: i64,
    claimed_until_ms: i64,
    outcome: String,
    done_ms: Option<i64>,
}

impl TryFrom<AlertRow> for Alert {
    type Error = StoreError;

    fn try_from(row: AlertRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            version: row.version,
            rule: row.rule,
            severity: Severity::read(&row.severity).ok_or_else(unreadable)?,
            group: Group::read(&row.grp).ok_or_else(unreadable)?,
            state: AlertState::read(&row.state).ok_or_else(unreadable)?,
            summary: row.summary,
            value: row.value,
            opened_ms: row.opened_ms,
            seen_ms: row.seen_ms,
            told_ms: row.told_ms,
            told_to: alert_names(&row.told_to),
            acknowledged_ms: row.acknowledged_ms,
            acknowledged_by: row.acknowledged_by,
            resolved_ms: row.resolved_ms,
        })
    }
}

impl TryFrom<SilenceRow> for Silence {
    type Error = StoreError;

    fn try_from(row: SilenceRow) -> Result<Self, StoreError> {
        let SilenceRow { id, rule, grp, starts_ms, ends_ms, reason, made_by, made_ms } = row;
        let group = Group::read(&grp).ok_or_else(unreadable)?;
        Ok(Self { id, rule, group, starts_ms, ends_ms, reason, made_by, made_ms })
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let notice: Notice = serde_json::from_str(&row.notice).map_err(|_| unreadable())?;
        Ok(Self {
            id: row.id,
            alert: row.alert,
            sink: row.sink,
            notice,
            attempts: row.attempts,
            state: DeliveryState::read(&row.state).ok_or_else(unreadable)?,
            next_ms: row.next_ms,
            claimed_until_ms: row.claimed_until_ms,
            outcome: row.outcome,
            done_ms: row.done_ms,
        })
    }
}

fn unreadable() -> StoreError {
    StoreError("a row about alerts cannot be read".to_owned())
}
