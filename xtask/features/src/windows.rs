//! The windows of a text: the bytes that they were, and what each stage reads of them.

use std::ops::Range;

use sentinel_core::FoldedText;
use sentinel_model::compact::{
    ngrams::{Common, Kind, Reader, Sink},
    windows::{Block, windows},
};

/// All features of a text, block by block.
#[derive(Default)]
pub(crate) struct Features {
    pub(crate) list: Vec<(Kind, u32)>,
    /// Each with where its features end.
    blocks: Vec<(Block, usize)>,
}

/// A window of the folded text.
pub(crate) struct Window {
    pub(crate) bytes: Range<usize>,
    pub(crate) words: u32,
    /// Of the list of features.
    pub(crate) features: Range<usize>,
}

impl Sink for Features {
    fn feature(&mut self, kind: Kind, hash: u32) {
        self.list.push((kind, hash));
    }

    fn block(&mut self, block: Block) {
        self.blocks.push((block, self.list.len()));
    }
}

impl Features {
    pub(crate) fn of(text: &FoldedText, common: &Common) -> Self {
        let mut features = Self::default();
        let bytes = text.text().as_bytes();
        let mut reader = Reader::new(common);
        text.for_each_word(|start, end| reader.word(bytes, start, end, &mut features));
        reader.end(bytes, &mut features);
        features
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = Window> {
        windows(self.blocks.len()).filter_map(|range| {
            let from = range.start.checked_sub(1).and_then(|before| self.blocks.get(before));
            let blocks = self.blocks.get(range)?;
            let ((first, _), (last, features_end)) = (blocks.first()?, blocks.last()?);
            Some(Window {
                bytes: first.start as usize..last.end as usize,
                words: blocks.iter().map(|(block, _)| block.words).sum(),
                features: from.map_or(0, |(_, end)| *end)..*features_end,
            })
        })
    }
}
