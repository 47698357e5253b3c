//! Which of the new events somebody wants to see: the same parameters as those of a list, asked of one event.

use crate::domain::{Filter, StoredEvent};
use crate::evidence::Keeper;
use crate::http::error::ApiError;
use crate::http::filter;
use crate::http::params::Params;

pub(super) struct Wanted(Filter);

impl Wanted {
    pub(super) fn read(params: &mut Params, keeper: &Keeper) -> Result<Self, ApiError> {
        Ok(Self(filter::of_an_event(params, keeper)?))
    }

    pub(super) fn fits(&self, event: &StoredEvent, keeper: &Keeper) -> bool {
        let Filter {
            verdict,
            action,
            route,
            rule,
            vm,
            request,
            session,
            subject,
            words,
            score_min,
            score_max,
            ..
        } = &self.0;
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let number = |kind, text: &Option<String>| text.as_deref().map(|text| keeper.number(kind, text));
        is(verdict.as_deref(), Some(event.verdict.as_str()))
            && is(action.as_deref(), Some(event.action.as_str()))
            && is(route.as_deref(), event.route.as_deref())
            && is(vm.as_deref(), Some(event.vm.as_str()))
            && rule.as_deref().is_none_or(|rule| event.rules().contains(&rule))
            && score_min.is_none_or(|min| event.score >= min)
            && score_max.is_none_or(|max| event.score <= max)
            && request.is_none_or(|wanted| number("request", &event.request_id) == Some(wanted))
            && session.is_none_or(|wanted| number("session", &event.session) == Some(wanted))
            && subject.is_none_or(|wanted| {
                event.subject.as_deref().map(|subject| keeper.subject(subject)) == Some(wanted)
            })
            && (words.is_empty() || {
                let found = keeper.words(event.words());
                words.iter().all(|word| found.contains(word))
            })
    }
}
