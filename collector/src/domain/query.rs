//! Questions: which events, from where on.

use std::fmt;
use std::str::FromStr;

use super::SubjectTag;

/// Which events to list, newest first. Every `Some` narrows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) limit: usize,
    pub(crate) before: Option<Cursor>,
    pub(crate) verdict: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) vm: Option<String>,
    /// Keyed numbers, as [`NewEvent`](super::NewEvent) has them.
    pub(crate) request: Option<i64>,
    pub(crate) session: Option<i64>,
    pub(crate) subject: Option<SubjectTag>,
    /// All of them. A store that does not keep words lets every event pass here; who asks looks at the text anyway.
    pub(crate) words: Vec<i64>,
    /// Inclusive.
    pub(crate) score_min: Option<f64>,
    /// Inclusive.
    pub(crate) score_max: Option<f64>,
    /// Inclusive.
    pub(crate) since_ms: Option<i64>,
    /// Exclusive, so that neighbouring windows share no event.
    pub(crate) until_ms: Option<i64>,
}

/// Which VMs to account for, in the order of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct GapsQuery {
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
    pub(crate) vm: Option<String>,
}

/// The place of one event in the order of listing; a page continues strictly behind it. Events never move, so
/// a walk meets every event that was there when it began exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) time_ms: i64,
    /// The index of the event in the log, which breaks ties of time.
    pub(crate) id: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.time_ms, self.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (time_ms, id) = text.split_once('.').ok_or(())?;
        let number = |text: &str| i64::from_str_radix(text, 16).map_err(|_| ());
        let cursor = Self { time_ms: number(time_ms)?, id: number(id)? };
        // Only what was given out is taken back: no signs, no leading zeros, no capitals.
        if cursor.time_ms >= 0 && cursor.id >= 0 && cursor.to_string() == text { Ok(cursor) } else { Err(()) }
    }
}

/// The verdicts that may be asked for. More may be stored: a newer filter's word is kept, see `event.rs`.
pub(crate) const VERDICTS: [&str; 5] = ["clean", "incomplete", "sensitive", "suspicious", "malicious"];
pub(crate) const ACTIONS: [&str; 5] = ["allow", "monitor", "tag", "mask", "block"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_reads() {
        for cursor in [Cursor { time_ms: 0, id: 1 }, Cursor { time_ms: 1_790_000_000_000, id: i64::MAX }] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", ".", "1", "1.", "-1.1", "1.-1", "+1.1", "01.1", "A.1", "1.1.1", "1.ffffffffffffffff"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text}");
        }
    }
}
