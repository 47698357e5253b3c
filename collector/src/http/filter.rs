//! Which events are asked for, from the parameters of a question: the same ones for a list and for an export.

use super::error::ApiError;
use super::params::Params;
use crate::domain::{ACTIONS, Cursor, Filter, VERDICTS, indexed};
use crate::evidence::Keeper;

/// Takes the parameters that narrow, and leaves those about pages.
pub(super) fn narrowing(params: &mut Params, keeper: &Keeper) -> Result<Filter, ApiError> {
    Ok(Filter {
        since_ms: params.number("since_ms", 0..=i64::MAX)?,
        until_ms: params.number("until_ms", 0..=i64::MAX)?,
        ..of_an_event(params, keeper)?
    })
}

/// All but the period.
pub(super) fn of_an_event(params: &mut Params, keeper: &Keeper) -> Result<Filter, ApiError> {
    let words = match params.text("text")? {
        // A question without words would be answered with every event.
        Some(text) => keeper
            .words_of_question(&text)
            .ok_or_else(|| ApiError::bad_parameter("text", "text has no words, or more than 256"))?,
        None => Vec::new(),
    };
    Ok(Filter {
        words,
        verdict: params.one_of("verdict", &VERDICTS)?,
        action: params.one_of("action", &ACTIONS)?,
        route: params.text("route")?.as_deref().map(indexed),
        rule: params.text("rule")?.as_deref().map(indexed),
        vm: params.text("vm")?,
        request: params.text("request_id")?.map(|id| keeper.number("request", &indexed(&id))),
        session: params.text("session")?.map(|id| keeper.number("session", &indexed(&id))),
        subject: params.text("subject")?.map(|id| keeper.subject(&indexed(&id))),
        score_min: params.fraction("score_min", 0.0..=1.0)?,
        score_max: params.fraction("score_max", 0.0..=1.0)?,
        ..Filter::default()
    })
}

pub(super) fn cursor(params: &mut Params) -> Result<Option<Cursor>, ApiError> {
    let not_ours = || ApiError::bad_parameter("before", "before is not a cursor that was given out");
    params.text("before")?.map(|text| text.parse().map_err(|()| not_ours())).transpose()
}
