//! A body on its way in: as it comes, or decoded if its sender has encoded it.

use alloc::{borrow::Cow, vec::Vec};

use crate::{
    inflate::{Coding, InflateError, Inflater},
    receipt::GapReason,
};

#[derive(Debug, Default)]
pub(crate) struct Intake {
    inflater: Option<Inflater>,
    /// Bytes that came.
    bytes: usize,
}

impl Intake {
    /// `limit`: how much may come out of a body, or out of one byte of a stream.
    pub(crate) fn decoding(coding: Coding, limit: usize) -> Self {
        Self { inflater: Some(Inflater::new(coding, limit)), bytes: 0 }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn decodes(&self) -> bool {
        self.inflater.is_some()
    }

    /// For the receipt: how much came, where the account is about something else.
    pub(crate) fn encoded(&self) -> Option<u32> {
        self.decodes().then(|| u32::try_from(self.bytes).unwrap_or(u32::MAX))
    }

    /// What a chunk of a body says, up to where it cannot be read any more.
    pub(crate) fn read<'c>(&mut self, chunk: &'c [u8], end: bool) -> (Cow<'c, [u8]>, Option<GapReason>) {
        self.read_pieces(chunk, chunk.len(), None, end)
    }

    /// The same for a stream, whose text is taken away as it comes. Byte by byte, so that what is too much does not
    /// depend on how the bytes came in.
    pub(crate) fn read_stream<'c>(
        &mut self,
        chunk: &'c [u8],
        limit: usize,
        end: bool,
    ) -> (Cow<'c, [u8]>, Option<GapReason>) {
        self.read_pieces(chunk, 1, Some(limit), end)
    }

    fn read_pieces<'c>(
        &mut self,
        chunk: &'c [u8],
        piece: usize,
        room: Option<usize>,
        end: bool,
    ) -> (Cow<'c, [u8]>, Option<GapReason>) {
        self.bytes = self.bytes.saturating_add(chunk.len());
        let Some(inflater) = &mut self.inflater else { return (Cow::Borrowed(chunk), None) };
        let mut out = Vec::new();
        let mut result = chunk.chunks(piece.max(1)).try_for_each(|piece| {
            room.into_iter().for_each(|room| inflater.make_room(room));
            inflater.push(piece, &mut out)
        });
        // A body of nothing is not encoded, whatever its headers say.
        if end && self.bytes > 0 {
            result = result.and_then(|()| inflater.finish());
        }
        let failed = result.err().map(|error| match error {
            InflateError::Malformed => GapReason::Encoding,
            InflateError::TooLarge => GapReason::Size,
        });
        (Cow::Owned(out), failed)
    }
}
