//! What a host does for the parts of this crate. Everything but the time, which is an argument.

use std::time::Duration;

use sentinel_core::config::CollectorConfig;

/// One call to the collector.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub method: &'static str,
    pub path: &'a str,
    /// Beside those that every call has: authority and authorization.
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: Vec<u8>,
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Info,
    Warn,
    Error,
    Critical,
}

pub trait Host: std::fmt::Debug {
    /// Answers the token by which the answer will be known, or why the call could not be made.
    fn call(&mut self, collector: &CollectorConfig, call: Call<'_>) -> Result<u32, String>;
    fn log(&mut self, level: Level, text: &str);
    /// A number that nobody can foresee.
    fn chance(&mut self) -> u32;
}
