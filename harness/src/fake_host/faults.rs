//! Host functions that fail on purpose.

use std::collections::BTreeMap;
use std::fmt;

/// Which calls of which host function answer a forced status instead of doing their work. Functions are named as
/// they are imported (`proxy_get_buffer_bytes`); the first rule that matches decides.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    calls: BTreeMap<String, u64>,
}

struct Rule {
    function: String,
    status: u32,
    when: When,
}

enum When {
    Next(u64),
    Always,
    Holds(Box<dyn FnMut(u64) -> bool + Send>),
}

impl Faults {
    /// The next `count` calls fail.
    pub fn next_calls(&mut self, function: &str, count: u64, status: u32) {
        self.add(function, status, When::Next(count));
    }

    pub fn every_call(&mut self, function: &str, status: u32) {
        self.add(function, status, When::Always);
    }

    /// The calls fail whose number, counted from 1 since the proxy started, the predicate picks.
    pub fn calls_where(
        &mut self,
        function: &str,
        status: u32,
        predicate: impl FnMut(u64) -> bool + Send + 'static,
    ) {
        self.add(function, status, When::Holds(Box::new(predicate)));
    }

    /// Forgets every rule; the numbers of calls go on.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// How often the filter called a host function since the proxy started.
    pub fn calls(&self, function: &str) -> u64 {
        self.calls.get(function).copied().unwrap_or(0)
    }

    /// Counts a call and says which status it must answer, if any.
    pub(crate) fn on_call(&mut self, function: &str) -> Option<u32> {
        let number = match self.calls.get_mut(function) {
            Some(number) => number,
            None => self.calls.entry(function.to_owned()).or_insert(0),
        };
        *number += 1;
        let number = *number;
        let rules = self.rules.iter_mut().filter(|rule| rule.function == function);
        rules.filter_map(|rule| rule.strikes(number)).next()
    }

    fn add(&mut self, function: &str, status: u32, when: When) {
        self.rules.push(Rule { function: function.to_owned(), status, when });
    }
}

impl Rule {
    fn strikes(&mut self, number: u64) -> Option<u32> {
        let strikes = match &mut self.when {
            When::Next(0) => false,
            When::Next(left) => {
                *left -= 1;
                true
            }
            When::Always => true,
            When::Holds(predicate) => predicate(number),
        };
        strikes.then_some(self.status)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match &self.when {
            When::Next(left) => format!("next {left}"),
            When::Always => "always".to_owned(),
            When::Holds(_) => "predicate".to_owned(),
        };
        write!(f, "{} -> {} ({when})", self.function, self.status)
    }
}
