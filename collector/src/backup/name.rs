//! Names of backups: `sentinel-20260131T120000000Z-full.backup`. In the order of names they are in the order of time.

use super::manifest::Kind;
use crate::access::rfc3339;

const PREFIX: &str = "sentinel-";
const SUFFIX: &str = ".backup";

/// A time in UTC that a file can be named by.
pub(super) fn stamp(ms: i64) -> String {
    rfc3339::write(ms).replace(['-', ':', '.'], "")
}

pub(super) fn of(created_ms: i64, kind: Kind) -> String {
    format!("{PREFIX}{}-{kind}{SUFFIX}", stamp(created_ms))
}

/// Whether a file is named as a backup, and the stamp in its name. Stamps are compared as texts.
pub(super) fn stamp_in(name: &str) -> Option<&str> {
    let (stamp, kind) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let digits = stamp.bytes().filter(u8::is_ascii_digit).count();
    let is_stamp = stamp.len() == 19 && digits == 17 && stamp.ends_with('Z');
    (is_stamp && kind.parse::<Kind>().is_ok()).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_are_told_from_others() {
        assert_eq!(of(1_790_000_000_123, Kind::Full), "sentinel-20260921T141320123Z-full.backup");
        let names: Vec<String> = [0, 999, 1_000, 86_400_000, 1_790_000_000_000]
            .into_iter()
            .map(|ms| of(ms, Kind::Database))
            .collect();
        assert!(names.is_sorted());
        for name in &names {
            assert!(stamp_in(name).is_some(), "{name}");
        }
        for name in
            ["sentinel.db", "sentinel-2026-full.backup", "sentinel-20260921T141320123Z-all.backup", "x"]
        {
            assert_eq!(stamp_in(name), None, "{name}");
        }
    }
}
