//! Which backups have outlived their time.
//!
//! Age is what the name says, so that one that does not open any more goes, too: what was erased since must not stay for
//! ever because a key is gone. Invariant: the newest good one of each part stays, however old.

use std::path::PathBuf;

use super::manifest::Part;
use super::name;
use super::shelf::Listed;

/// Of a list, those to delete.
pub(super) fn outlived(listed: &[Listed], now_ms: i64, keep_days: u16) -> Vec<PathBuf> {
    let oldest = name::stamp(now_ms.saturating_sub(i64::from(keep_days).saturating_mul(DAY_MS)));
    let is_old = |one: &Listed| {
        let own = one.path.file_name().and_then(|name| name.to_str());
        own.and_then(name::stamp_in).is_some_and(|stamp| *stamp < *oldest)
    };
    let newest: Vec<&PathBuf> = [Part::Database, Part::Configuration, Part::Logs]
        .into_iter()
        .filter_map(|part| {
            let opens = |one: &&Listed| one.manifest.as_ref().is_ok_and(|manifest| manifest.has(part));
            listed.iter().filter(opens).map(|one| &one.path).max()
        })
        .collect();
    let is_last_good = |one: &Listed| newest.contains(&&one.path);
    listed.iter().filter(|one| is_old(one) && !is_last_good(one)).map(|one| one.path.clone()).collect()
}

const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::{Entry, FORMAT, Kind, Manifest};

    const NOW: i64 = 1_790_000_000_000;

    fn listed(days_old: i64, kind: Kind, parts: &[Part], opens: bool) -> Listed {
        let created_ms = NOW - days_old * DAY_MS;
        let entry = |part: &Part| Entry { name: "a".into(), part: *part, bytes: 0, sha256: String::new() };
        let files = parts.iter().map(entry).collect();
        let manifest =
            Manifest { format: FORMAT, kind, created_ms, sentinel: String::new(), log: None, files };
        let manifest = if opens { Ok(manifest) } else { Err("no key".to_owned()) };
        Listed { path: PathBuf::from("b").join(name::of(created_ms, kind)), bytes: 1, manifest }
    }

    fn ages(listed: &[Listed]) -> Vec<String> {
        let gone = outlived(listed, NOW, 30);
        gone.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_older_goes_and_what_is_younger_stays() {
        let all = [40, 31, 30, 29, 0].map(|days| listed(days, Kind::Database, &[Part::Database], true));
        let gone = ages(&all);
        assert_eq!(
            gone,
            [name::of(NOW - 40 * DAY_MS, Kind::Database), name::of(NOW - 31 * DAY_MS, Kind::Database)]
        );
    }

    #[test]
    fn the_last_good_one_of_each_part_stays_however_old() {
        let good = listed(90, Kind::Full, &[Part::Database, Part::Configuration], true);
        let older = listed(91, Kind::Full, &[Part::Database, Part::Configuration], true);
        let logs = listed(0, Kind::Logs, &[Part::Logs], true);
        let broken = listed(1, Kind::Database, &[Part::Database], false);
        let gone = ages(&[older.clone(), good, logs, broken]);
        assert_eq!(gone, [name::of(NOW - 91 * DAY_MS, Kind::Full)]);
        let newer = listed(2, Kind::Database, &[Part::Database], true);
        // It still is the only one with configuration.
        assert!(ages(&[older, newer]).is_empty());
    }

    #[test]
    fn one_that_does_not_open_is_not_kept_for_ever() {
        let broken = listed(31, Kind::Database, &[Part::Database], false);
        assert_eq!(ages(&[broken]).len(), 1);
    }
}
