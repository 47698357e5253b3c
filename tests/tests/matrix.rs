//! The table of surfaces on the core and in a real Envoy, and `docs/coverage.md` as what comes of it.
//! `cargo xtask matrix` prints the same.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use sentinel_core::{PatternSet, scan_text};
use sentinel_model::Channel;
use sentinel_tests::{
    coverage::{self, Matrix, Table, document, probe},
    gaps::KnownGaps,
};

/// Fewer rows than this, and somebody lost a part of the table.
const ROWS_MIN: usize = 290;

fn table() -> Table {
    Table::load(&coverage::table_file()).unwrap()
}

/// Both tests need it, and it takes seconds.
fn matrix() -> Arc<Matrix> {
    static MATRIX: OnceLock<Arc<Matrix>> = OnceLock::new();
    Arc::clone(MATRIX.get_or_init(|| Arc::new(Matrix::run(&table()).unwrap())))
}

#[test]
fn every_place_comes_to_what_the_table_says_natively_and_in_envoy() {
    let complaints = matrix().complaints();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(matrix().rows.len() >= ROWS_MIN, "{} rows", matrix().rows.len());
}

#[test]
fn the_document_is_what_the_matrix_gives() {
    let expected = document::markdown(&matrix(), &KnownGaps::load_all().unwrap());
    let written = fs::read_to_string(coverage::document_file()).unwrap();
    let pairs = expected.lines().zip(written.lines());
    let first = pairs.into_iter().find(|(expected, written)| expected != written);
    let hint =
        "docs/coverage.md is not what comes out; run `cargo xtask matrix --write` and look at what changed";
    assert_eq!(first, None, "{hint}");
    assert_eq!(expected.len(), written.len(), "{hint}");
}

/// "Not judged" is only as true as this: the attack is one on every channel that any rule judges.
#[test]
fn the_attack_is_one_wherever_any_rule_judges() {
    let patterns = PatternSet::builtin().unwrap().into();
    let judged = table().judged;
    let attack = probe::ATTACK.concat();
    for channel in Channel::ALL.into_iter().filter(|channel| judged.contains(*channel)) {
        let found = scan_text(&patterns, Some(channel), &attack);
        assert!(!found.is_empty(), "no rule judges the attack on {}", channel.name());
    }
}

/// Each line expects what is not so. If the matrix had nothing against it, it would check nothing.
#[test]
fn a_table_that_is_wrong_fails() {
    let place = |rest: &str| {
        format!(
            "- provider: p\n  surfaces:\n  - name: s\n    path: /v1/chat/completions\n    requests:\n    - {{what: text, {rest}}}"
        )
    };
    let user = r#"whole: '{"messages":[{"role":"user","content":"{{text}}"}]}'"#;
    let right =
        Matrix::run_natively(&Table::read(&place(&format!("channel: user, {user}"))).unwrap()).unwrap();
    assert_eq!(right.complaints(), [""; 0]);
    for wrong in [
        "channel: document".to_owned(),
        "channel: user, reason: none, expected: {attack: not judged}".to_owned(),
        "channel: user, reason: none, expected: {attack: missed}".to_owned(),
        "channel: user, reason: none, expected: {card: passed}".to_owned(),
        "channel: user, reason: none, expected: {restored: restored}".to_owned(),
        "channel: user, reason: none, expected: {harmless: gap(image)}".to_owned(),
        "reason: none, expected: gap(stream)".to_owned(),
    ] {
        let table = Table::read(&place(&format!("{wrong}, {user}"))).unwrap();
        let matrix = Matrix::run_natively(&table).unwrap();
        assert!(!matrix.complaints().is_empty(), "{wrong}");
    }
}
