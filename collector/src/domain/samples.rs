//! What several tests need.

use super::{BundleInfo, Mode, Plan, Pushed};

pub(crate) fn info(id: &str, version: i64) -> BundleInfo {
    let (name, pushed_by) = ("policy".to_owned(), "token:000000".to_owned());
    BundleInfo { id: id.to_owned(), name, version, bytes: 3, pushed_ms: 1_000 + version, pushed_by }
}

pub(crate) fn pushed(id: &str, version: i64) -> Pushed {
    Pushed { info: info(id, version), bytes: vec![1, 2, 3] }
}

pub(crate) fn plan(mode: Mode) -> Plan {
    Plan {
        candidate: info("candidate", 2),
        active: Some(info("active", 1)),
        mode,
        percent: 10,
        salt: "salt".to_owned(),
        key: Some("header:x-user".to_owned()),
        labels: vec!["edge-1".to_owned()],
        rules: "{}".to_owned(),
        started_ms: 5_000,
    }
}
