//! Texts of requests that this VM has judged clean before, for one exchange.
//!
//! Invariant: whether a text is looked up or judged, the same comes out for the body: what is skipped had no hit and left
//! nothing open, and the work that it would take is spent.

use alloc::{rc::Rc, vec::Vec};
use core::cell::RefCell;

use sentinel_model::Channel;

use crate::{
    guard::known::{Known, Scope, TextId},
    traffic::{Extraction, Segment},
};

/// Shorter texts are judged sooner than they are looked up.
const TEXT_BYTES_MIN: u32 = 200;

#[derive(Clone, Debug)]
pub(crate) struct KnownTexts {
    known: Rc<RefCell<Known>>,
    scope: Scope,
}

impl KnownTexts {
    /// For what one engine judges by one profile for one tenant.
    pub(crate) fn new(known: &Rc<RefCell<Known>>, tenant: &str, policy: &str, profile: &str) -> Option<Self> {
        let scope = known.try_borrow().ok()?.scope(tenant.as_bytes(), policy.as_bytes(), profile);
        Some(Self { known: Rc::clone(known), scope })
    }

    /// The name of a run of segments that is worth to be remembered. Tools are not: what they are is held against what
    /// they were.
    pub(super) fn name(&self, extraction: &Extraction, first: usize, body: &[u8]) -> Option<TextId> {
        let run: Vec<&Segment> = extraction.run(first).collect();
        let channel = run.first()?.channel;
        let is_of_tools =
            matches!(channel, Channel::ToolDefinition | Channel::ToolArguments | Channel::ToolResult);
        let bytes: u32 = run.iter().map(|segment| segment.span.len()).sum();
        let pieces = run.iter().map(|segment| {
            let layers = [u8::from(segment.layers.is_form), segment.layers.strings];
            (layers, segment.span.of(body))
        });
        (bytes >= TEXT_BYTES_MIN && !is_of_tools).then(|| self.scope.text(channel as u8, pieces))
    }

    /// The work that the text took, if it is known.
    pub(super) fn work_of(&self, text: TextId) -> Option<u32> {
        self.known.try_borrow_mut().ok()?.work_of(text)
    }

    pub(super) fn add(&self, text: TextId, work: u32) {
        if let Ok(mut known) = self.known.try_borrow_mut() {
            known.add(text, work);
        }
    }
}
