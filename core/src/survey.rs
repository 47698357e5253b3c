//! What would be looked at in a body, without looking at it: where its texts are, on which channels, and what cannot be
//! read. The first stage of a scan by itself, for people who ask what is covered and for measuring that stage.

use alloc::vec::Vec;

use sentinel_model::Channel;

use crate::{
    action::Direction,
    receipt::{Gap, Receipt},
    span::Span,
    traffic::{Extraction, Format, extract},
};

#[derive(Debug)]
pub struct Survey {
    bytes: usize,
    extraction: Extraction,
}

/// Reads a body as [`Engine::scan`](crate::Engine::scan) does, and stops before any rule. No policy is asked, so no
/// limit of a profile applies.
pub fn survey(direction: Direction, format: Format, body: &[u8]) -> Survey {
    Survey { bytes: body.len(), extraction: extract(format, direction, body) }
}

impl Survey {
    /// The texts in order, keys and numbers included.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = (Channel, Span)> {
        self.extraction.segments.iter().map(|segment| (segment.channel, segment.span))
    }

    /// As they were met: they may touch or overlap.
    pub fn gaps(&self) -> &[Gap] {
        &self.extraction.gaps
    }

    /// The account of the body, if detectors come to its end within their budget.
    pub fn receipt(&self) -> Receipt {
        let scanned: Vec<Span> = self.segments().map(|(_, span)| span).collect();
        Receipt::account(self.bytes, &scanned, self.gaps().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::GapReason;

    #[test]
    fn texts_stand_on_their_channels_and_the_rest_is_accounted_for() {
        let body = br#"{"messages":[{"role":"system","content":"be kind"}],"previous_response_id":"r"}"#;
        let survey = survey(Direction::Request, Format::Json, body);
        let texts: Vec<_> = survey.segments().map(|(channel, span)| (channel, span.of(body))).collect();
        assert!(texts.contains(&(Channel::System, b"be kind")));
        let [gap] = survey.gaps() else { panic!("{:?}", survey.gaps()) };
        assert_eq!(gap.reason, GapReason::HistoryNotVisible);
        let receipt = survey.receipt();
        assert!(receipt.balances());
        assert_eq!(receipt.bytes as usize, body.len());
    }
}
