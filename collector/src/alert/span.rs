//! Lengths of time as people write them: `90s`, `5m`, `1h`, `2d`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) ms: i64,
}

impl Span {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unit = UNITS.iter().find(|(name, _)| {
            text.strip_suffix(name).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let (name, unit_ms) = unit?;
        let number: i64 = text.strip_suffix(name)?.parse().ok()?;
        let ms = number.checked_mul(*unit_ms)?;
        (ms <= MAX_MS).then_some(Self { ms })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().rev().find(|(_, unit_ms)| self.ms != 0 && self.ms % unit_ms == 0);
        let (name, unit_ms) = fitting.unwrap_or(&("s", 1_000));
        write!(f, "{}{name}", self.ms / unit_ms)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let reason = "expected a length of time such as 90s, 5m, 1h or 2d, at most 30d";
        Self::parse(&text).ok_or_else(|| D::Error::custom(reason))
    }
}

const UNITS: [(&str, i64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const MAX_MS: i64 = 30 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, ms) in [("0s", 0), ("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("2d", 172_800_000)] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.ms, span.to_string().as_str()), (ms, text));
        }
        for wrong in ["", "s", "5", "5 m", "-5m", "1.5h", "31d", "5w", "99999999999999999999d"] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }
}
