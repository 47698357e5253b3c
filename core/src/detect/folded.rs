//! A text as the rules read it, made once: for measuring what matching by itself costs.

use alloc::{sync::Arc, vec::Vec};

use sentinel_model::Channel;

use super::{Budget, Detector, Hits, PatternSet, patterns::PatternDetector};
use crate::text::{Layers, View};

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

    /// The rules that match in the text as it stands: nothing is looked for behind disguises, and the work has no limit,
    /// since a measurement that ends early measures nothing.
    pub fn matches<'p>(&mut self, patterns: &'p Arc<PatternSet>, channel: Channel) -> Vec<&'p str> {
        let mut hits = Hits::new(Budget::without_limit(), channel, 0);
        PatternDetector { set: patterns.clone(), level: u8::MAX }.detect(&mut self.0, &mut hits);
        let (hits, _) = hits.into_parts();
        hits.iter().map(|hit| patterns.rule_id(hit.rule)).collect()
    }
}
