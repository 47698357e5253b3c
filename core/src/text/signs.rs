//! Signs that a text carries something out of sight: tags, characters without a width, overrides of direction, and
//! letters of other scripts beside Latin ones. They are noted while a view is built, where a character is looked at
//! anyway, so that a text without them pays nothing; [`obfuscation`](crate::detect::obfuscation) weighs them.

use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unicode's tags: ASCII that shows nothing.
    Tag,
    /// Beginnings and ends of embeddings, overrides and isolates.
    Direction,
    /// Variation selectors.
    Selector,
    /// What has no width at all, or no ink.
    Invisible,
    /// A letter that may look like an ASCII one, right beside one.
    Neighbour,
}

/// A run of characters of one kind with nothing between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sign {
    pub(crate) kind: Kind,
    pub(crate) first: char,
    pub(crate) count: u32,
    /// They are not all the same: such a run may spell something.
    pub(crate) varies: bool,
    /// The place in the view: before this byte. A neighbour stands there itself.
    pub(crate) at: u32,
    pub(crate) source: Span,
}

impl Sign {
    pub(super) const fn new(kind: Kind, c: char, at: usize, source: Span) -> Self {
        Self { kind, first: c, count: 1, varies: false, at: at as u32, source }
    }

    /// Whether a further character goes on with this run.
    pub(super) fn take(&mut self, next: &Self) -> bool {
        // Directions are told one by one: each of them opens or closes something.
        let goes_on = self.kind == next.kind && self.at == next.at && self.kind != Kind::Direction;
        if goes_on {
            self.count += 1;
            self.varies |= self.first != next.first;
            self.source.end = next.source.end;
        }
        goes_on
    }
}

/// What a character that is left out of the folded view is a sign of. Marks on letters and soft hyphens are none.
pub(super) const fn kind_of_left_out(c: char) -> Option<Kind> {
    Some(match c {
        '\u{e0000}'..='\u{e007f}' => Kind::Tag,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Kind::Selector,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Kind::Direction,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' => Kind::Invisible,
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{e0080}'..='\u{e00ff}' => Kind::Invisible,
        _ => return None,
    })
}

/// Greek, Cyrillic and Armenian: the scripts whose letters pass for Latin ones.
pub(crate) const fn may_pass_for_latin(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{58f}')
}
