//! Which events: options of the command line as parameters of the collector.

use std::fmt::Write as _;

use crate::command::bundle::moment;

/// Events that fit to all of them. What is not said does not matter.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// clean, incomplete, sensitive, suspicious or malicious.
    #[arg(long)]
    verdict: Option<String>,
    /// allow, monitor, tag, mask or block.
    #[arg(long)]
    action: Option<String>,
    #[arg(long)]
    route: Option<String>,
    /// Events in which this rule fired, such as pii/email.
    #[arg(long)]
    rule: Option<String>,
    #[arg(long)]
    vm: Option<String>,
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Whom they are about, as the filter was told to name people.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// From 0 to 1.
    #[arg(long, value_name = "SCORE")]
    score_min: Option<f64>,
    #[arg(long, value_name = "SCORE")]
    score_max: Option<f64>,
    /// Words that all have to be there: of ids, route, host, path, rules, verdict and action.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// From this moment on: 2027-01-31, 2027-01-31T12:00:00Z, or seconds since 1970.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    since: Option<u64>,
    /// Before this moment.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    until: Option<u64>,
}

impl Which {
    pub(super) fn parameters(&self) -> Query {
        let mut query = Query::default();
        let texts = [
            ("verdict", &self.verdict),
            ("action", &self.action),
            ("route", &self.route),
            ("rule", &self.rule),
            ("vm", &self.vm),
            ("request_id", &self.request_id),
            ("session", &self.session),
            ("subject", &self.subject),
            ("text", &self.text),
        ];
        for (name, value) in texts {
            query.add(name, value.as_deref());
        }
        for (name, score) in [("score_min", self.score_min), ("score_max", self.score_max)] {
            query.add(name, score.map(|score| score.to_string()).as_deref());
        }
        for (name, moment) in [("since_ms", self.since), ("until_ms", self.until)] {
            query.add(name, moment.map(|moment| (moment * 1_000).to_string()).as_deref());
        }
        query
    }
}

/// The part of an address behind its question mark.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn add(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            let between = if self.0.is_empty() { '?' } else { '&' };
            // Writing to a text does not fail.
            let _ = write!(self.0, "{between}{name}={}", encoded(value));
        }
    }

    pub(crate) fn on(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// Everything but letters, digits and the few signs that mean nothing in any part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut to = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => to.push(char::from(byte)),
            false => _ = write!(to, "%{byte:02X}"),
        }
    }
    to
}
