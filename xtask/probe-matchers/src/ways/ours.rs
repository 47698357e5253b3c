//! The index of anchors and the phrases around them.

use std::sync::Arc;

use sentinel_core::PatternSet;
use sentinel_model::Pack;
use sentinel_probe::matchers::Row;

use super::Built;
use crate::{
    rules::{CHANNEL, Rule},
    texts::Text,
    timing::micros,
};

pub(super) fn measure(packs: &[Pack], rules: &[Rule], mut texts: Vec<Text>) -> Vec<Row> {
    let compile = || Arc::new(PatternSet::compile(packs).expect("the packs compile"));
    let (patterns, built) = Built::new(rules.len(), compile);
    let row = |text: &mut Text| {
        let taken = micros(|| text.folded.matches(&patterns, CHANNEL).len());
        built.row("ours", text, taken)
    };
    texts.iter_mut().map(row).collect()
}
