//! The table of `docs/edge.md`, as a run of all trials makes it.

use std::{env, fs};

use anyhow::{Context, Result, ensure};

use super::{features::FEATURES, host::Host};

pub(crate) fn of(passed: &[(usize, Host)]) -> String {
    let names = Host::ALL.map(Host::name);
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (idx, feature) in FEATURES.iter().enumerate() {
        let cells = Host::ALL.map(|host| match ((feature.is_for)(host), passed.contains(&(idx, host))) {
            (false, _) => "–",
            (true, true) => "yes",
            (true, false) => "no",
        });
        table.push_str(&format!("| {} | {} |\n", feature.words, cells.join(" | ")));
    }
    table
}

/// The page has the table between two marks.
pub(crate) fn hold_against_page(table: &str) -> Result<()> {
    const MARKS: [&str; 2] = ["<!-- made by cargo xtask test --edge -->\n", "<!-- end -->"];
    let path = sentinel_tests::folder().join("../docs/edge.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(MARKS[0]).context("docs/edge.md has no mark for the table")?;
    let (was, after) = rest.split_once(MARKS[1]).context("docs/edge.md has no mark for the table's end")?;
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, [before, MARKS[0], table, MARKS[1], after].concat())?;
        return Ok(());
    }
    ensure!(was == table, "docs/edge.md has another table; write this one with UPDATE_EXPECT=1:\n{table}");
    Ok(())
}
