//! `sentinel version`: this command, and the exact rules that are built in.

use std::fmt::Write;

use serde_json::json;

use crate::{
    document,
    report::{Fault, Report},
};

pub(crate) fn run() -> Result<Report, Fault> {
    let patterns = document::builtin_patterns()?;
    let version = env!("CARGO_PKG_VERSION");
    let n_rules = patterns.rule_ids().count();
    let mut text = format!("sentinel {version}\n");
    for pack in patterns.packs() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "pack {} version {} sha256 {}", pack.name, pack.version, pack.hash);
    }
    let _ = writeln!(text, "{n_rules} pattern rules");
    Ok(Report {
        text,
        json: json!({ "version": version, "packs": patterns.packs(), "rules": n_rules }),
        code: 0,
    })
}
