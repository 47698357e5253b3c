//! A text as rules and models read it, made once: for training a model, and for measuring what matching by itself costs.

use alloc::{sync::Arc, vec::Vec};

use sentinel_model::Channel;

use super::{Budget, Detector, Hits, PatternSet, patterns::PatternDetector};
use crate::{
    seen::Seen,
    span::Span,
    text::{Layers, View, for_each_word, uncover},
};

#[derive(Debug)]
pub struct FoldedText(View);

impl FoldedText {
    pub fn new(text: &str) -> Self {
        let mut view = View::default();
        view.append(text, 0, Layers::NONE);
        Self(view)
    }

    /// What rules are compared with.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// How it came to light.
    pub const fn seen(&self) -> Seen {
        self.0.seen()
    }

    /// Where its words begin and end.
    pub fn for_each_word(&self, each: impl FnMut(usize, usize)) {
        for_each_word(self.text(), each);
    }

    /// The bytes of the text as it was given that a range of this one came from.
    pub fn source(&self, start: usize, end: usize) -> Span {
        self.0.source(start, end)
    }

    /// The texts that are disguised in it.
    pub fn uncovered(&self, patterns: &PatternSet) -> Vec<Self> {
        let mut budget = Budget::for_bytes(self.text().len());
        uncover(&self.0, patterns, &mut budget).into_iter().map(Self).collect()
    }

    /// The rules that match in the text as it stands: nothing is looked for behind disguises, and the work has no limit,
    /// since a measurement that ends early measures nothing.
    pub fn matches<'p>(&mut self, patterns: &'p Arc<PatternSet>, channel: Channel) -> Vec<&'p str> {
        let mut hits = Hits::new(Budget::without_limit(), channel, 0);
        PatternDetector { set: patterns.clone(), level: u8::MAX }.detect(&mut self.0, &mut hits);
        let (hits, _) = hits.into_parts();
        hits.iter().map(|hit| patterns.rule_id(hit.rule)).collect()
    }
}
