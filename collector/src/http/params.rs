//! Query parameters, each known by name: what is unknown, repeated or unreadable is refused, because a filter that is
//! silently ignored answers another question than the one that was asked.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::error::ApiError;

pub(crate) type RawQuery = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(crate) struct Params {
    /// Those that were given and not yet taken.
    given: BTreeMap<String, String>,
    /// Those that were asked for, in the order of asking.
    known: Vec<String>,
}

impl Params {
    pub(crate) fn read(query: RawQuery) -> Result<Self, ApiError> {
        let Query(pairs) =
            query.map_err(|_| ApiError::bad_parameter("", "the query string cannot be read"))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(_first) = params.insert(name.clone(), value) {
                return Err(ApiError::bad_parameter(&name, format!("{name} is given more than once")));
            }
        }
        Ok(Self { given: params, known: Vec::new() })
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.known.push(name.to_owned());
        match self.given.remove(name) {
            Some(value) if value.is_empty() => {
                Err(ApiError::bad_parameter(name, format!("{name} is empty; leave it out instead")))
            }
            value => Ok(value),
        }
    }

    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        allowed: RangeInclusive<T>,
    ) -> Result<Option<T>, ApiError> {
        self.within(name, "a whole number", allowed)
    }

    pub(crate) fn fraction(
        &mut self,
        name: &str,
        allowed: RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        self.within(name, "a number", allowed)
    }

    fn within<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        what: &str,
        allowed: RangeInclusive<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => {
                let (min, max) = allowed.into_inner();
                Err(ApiError::bad_parameter(name, format!("{name} is not {what} from {min} to {max}")))
            }
        }
    }

    pub(crate) fn one_of(&mut self, name: &str, words: &[&str]) -> Result<Option<String>, ApiError> {
        match self.text(name)? {
            Some(word) if !words.contains(&word.as_str()) => {
                Err(ApiError::bad_parameter(name, format!("{name} is not one of {}", words.join(", "))))
            }
            word => Ok(word),
        }
    }

    /// Call last: whatever was not taken is not known.
    pub(crate) fn done(self) -> Result<(), ApiError> {
        let Some(name) = self.given.into_keys().next() else { return Ok(()) };
        Err(ApiError::bad_parameter(
            &name,
            match self.known.join(", ") {
                known if known.is_empty() => "there are no parameters here".to_owned(),
                known => format!("there is no such parameter, but there are {known}"),
            },
        ))
    }
}
