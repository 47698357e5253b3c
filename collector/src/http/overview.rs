//! `/v1/overview`: everything that the first page of the dashboard shows of a period, in one question. A page that stays
//! open asks again and again, and each question is a line in the journal.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::aggregates::{self, Bucket, TOP_MAX};
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use crate::domain::{Hours, Kind, SumsQuery};

#[derive(Serialize, JsonSchema)]
pub(crate) struct Overview {
    every: &'static str,
    since_ms: i64,
    until_ms: i64,
    actions: Vec<Bucket>,
    /// Of as long a time before, as far as there is any.
    actions_before: Vec<Bucket>,
    verdicts: Vec<Bucket>,
    /// Of these the most frequent have counts of their own.
    rules: Vec<Bucket>,
    routes: Vec<Bucket>,
    families: Vec<Bucket>,
}

pub(crate) async fn show(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Overview>, ApiError> {
    let mut params = Params::read(query)?;
    let top = params.number("top", 1..=TOP_MAX)?.unwrap_or(TOP_DEFAULT);
    let period = aggregates::asked_period(params, now_ms())?;
    let all = |kind| SumsQuery { kind, hours: period.hours, every: period.hours_each, top: TOP_MAX };
    let most = |kind| SumsQuery { top, ..all(kind) };
    let sums = async |query| app.store.sums(query).await.map(aggregates::buckets);
    let before = SumsQuery { hours: before(period.hours), ..all(Kind::Action) };
    let (actions, actions_before, verdicts, rules, routes, families) = tokio::try_join!(
        sums(all(Kind::Action)),
        sums(before),
        sums(all(Kind::Verdict)),
        sums(most(Kind::Rule)),
        sums(most(Kind::Route)),
        sums(most(Kind::Family)),
    )?;
    let (since_ms, until_ms) = (period.hours.since_ms(), period.hours.until_ms());
    let every = period.every;
    Ok(Json(Overview {
        every,
        since_ms,
        until_ms,
        actions,
        actions_before,
        verdicts,
        rules,
        routes,
        families,
    }))
}

/// What is compared with.
fn before(hours: Hours) -> Hours {
    Hours { from: hours.from.saturating_mul(2).saturating_sub(hours.to).max(0), to: hours.from }
}

pub(super) const TOP_DEFAULT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_before_is_as_long_and_never_before_all_time() {
        assert_eq!(before(Hours { from: 30, to: 40 }), Hours { from: 20, to: 30 });
        assert_eq!(before(Hours { from: 3, to: 40 }), Hours { from: 0, to: 3 });
        assert_eq!(before(Hours { from: 0, to: 40 }), Hours { from: 0, to: 0 });
    }
}
