//! `gzip` and `deflate`: deflate blocks (RFC 1951) in the frame of RFC 1952, of RFC 1950, or in none.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags},
};

use super::{InflateError, Sink, gzip};

#[derive(Debug)]
pub(super) struct Deflate {
    stage: Stage,
    blocks: Blocks,
    check: Check,
    /// Whether a stream was complete.
    complete: bool,
}

#[derive(Debug)]
enum Stage {
    GzipHeader(gzip::Header),
    /// The start of a `deflate` body, until it says which frame it has.
    Unknown(Few),
    Blocks,
    Trailer(Few),
    /// What comes behind the one stream of a `deflate` body is not part of it.
    Over,
}

impl Deflate {
    pub(super) fn gzip(blocks_max: usize) -> Self {
        Self::new(Stage::GzipHeader(gzip::Header::new()), blocks_max)
    }

    pub(super) fn zlib_or_raw(blocks_max: usize) -> Self {
        Self::new(Stage::Unknown(Few::default()), blocks_max)
    }

    fn new(stage: Stage, blocks_max: usize) -> Self {
        Self { stage, blocks: Blocks::new(blocks_max), check: Check::None, complete: false }
    }

    pub(super) fn is_complete(&self) -> bool {
        match &self.stage {
            Stage::Over => true,
            // Between two members.
            Stage::GzipHeader(header) => self.complete && header.is_untouched(),
            _ => false,
        }
    }

    pub(super) fn push(&mut self, mut input: &[u8], sink: &mut Sink<'_>) -> Result<(), InflateError> {
        while !input.is_empty() {
            match &mut self.stage {
                Stage::GzipHeader(header) => {
                    let Some(&byte) = input.split_off_first() else { break };
                    if header.push(byte)? {
                        self.begin(Check::Crc32(crc32fast::Hasher::new(), 0));
                    }
                }
                Stage::Unknown(start) => {
                    let Some(&byte) = input.split_off_first() else { break };
                    start.push(byte);
                    let start = *start;
                    let Some((check, header_len)) = frame(start)? else { continue };
                    self.begin(check);
                    self.push(start.bytes().get(header_len..).unwrap_or_default(), sink)?;
                }
                Stage::Blocks => {
                    if self.blocks.push(&mut input, &mut self.check, sink)? {
                        self.end_blocks();
                    }
                }
                Stage::Trailer(trailer) => {
                    let Some(&byte) = input.split_off_first() else { break };
                    trailer.push(byte);
                    if trailer.len == self.check.len() {
                        if trailer.value != self.check.value() {
                            return Err(InflateError::Malformed);
                        }
                        self.end_stream();
                    }
                }
                Stage::Over => return Err(InflateError::Malformed),
            }
        }
        Ok(())
    }

    fn begin(&mut self, check: Check) {
        self.check = check;
        self.blocks.reset();
        self.stage = Stage::Blocks;
    }

    fn end_blocks(&mut self) {
        match self.check {
            Check::None => self.end_stream(),
            _ => self.stage = Stage::Trailer(Few::default()),
        }
    }

    fn end_stream(&mut self) {
        self.complete = true;
        self.stage = match self.check {
            Check::Crc32(..) => Stage::GzipHeader(gzip::Header::new()),
            Check::Adler32(_) | Check::None => {
                self.blocks = Blocks::new(0);
                Stage::Over
            }
        };
    }
}

/// Which frame a `deflate` body has and how long its header is, or `None` if that takes more bytes.
///
/// The coding's name means zlib, but some senders leave the frame away and receivers guess. Read as a bare block, a
/// zlib header is the start of a stored block whose length comes twice, once inverted. Where that holds too, once in
/// 65536 by chance, two receivers can see two texts, so there it is refused.
fn frame(start: Few) -> Result<Option<(Check, usize)>, InflateError> {
    let [method, flags, a, b, c, ..] = start.value.to_le_bytes();
    if start.len < 2 {
        return Ok(None);
    }
    let is_zlib =
        method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31);
    if !is_zlib {
        return Ok(Some((Check::None, 0)));
    }
    let has_dictionary = flags & 0x20 != 0;
    let is_stored_block = start.len == 5 && [flags, a] == [!b, !c];
    match start.len {
        _ if has_dictionary || is_stored_block => Err(InflateError::Malformed),
        5 => Ok(Some((Check::Adler32(adler2::Adler32::new()), 2))),
        _ => Ok(None),
    }
}

/// Up to eight bytes, little-endian.
#[derive(Clone, Copy, Debug, Default)]
struct Few {
    value: u64,
    len: u32,
}

impl Few {
    fn push(&mut self, byte: u8) {
        self.value |= u64::from(byte).wrapping_shl(8 * self.len);
        self.len += 1;
    }

    fn bytes(&self) -> Vec<u8> {
        self.value.to_le_bytes().into_iter().take(self.len as usize).collect()
    }
}

/// What the trailer of a frame says about the text.
enum Check {
    /// And the length modulo 2³².
    Crc32(crc32fast::Hasher, u32),
    Adler32(adler2::Adler32),
    None,
}

impl Check {
    fn update(&mut self, text: &[u8]) {
        match self {
            Self::Crc32(crc, len) => {
                crc.update(text);
                *len = len.wrapping_add(text.len() as u32);
            }
            Self::Adler32(adler) => adler.write_slice(text),
            Self::None => {}
        }
    }

    /// How many bytes the trailer has.
    const fn len(&self) -> u32 {
        match self {
            Self::Crc32(..) => 8,
            Self::Adler32(_) => 4,
            Self::None => 0,
        }
    }

    /// The bytes of the trailer, read little-endian.
    fn value(&self) -> u64 {
        match self {
            Self::Crc32(crc, len) => u64::from(crc.clone().finalize()) | u64::from(*len) << 32,
            Self::Adler32(adler) => adler.checksum().swap_bytes().into(),
            Self::None => 0,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc32(..) => "Crc32",
            Self::Adler32(_) => "Adler32",
            Self::None => "None",
        })
    }
}

/// No match reaches further back.
const REACH: usize = 32 * 1024;
const WINDOW_MIN: usize = 4 * 1024;
const WINDOW_MAX: usize = 2 * REACH;

/// Deflate blocks, up to the last one of a stream.
struct Blocks {
    /// How many more blocks there may be, in all streams together.
    left: usize,
    decoder: Option<Box<DecompressorOxide>>,
    /// The end of the text so far and room behind it. Not a ring: with one, the library reads a match from before the
    /// start of the text as zeros, where zlib refuses it.
    window: Vec<u8>,
    /// Where the room starts.
    at: usize,
}

impl Blocks {
    const fn new(left: usize) -> Self {
        Self { left, decoder: None, window: Vec::new(), at: 0 }
    }

    fn reset(&mut self) {
        if let Some(decoder) = &mut self.decoder {
            decoder.init();
        }
        self.at = 0;
    }

    /// Whether the last block ended; if not, all of `input` was taken.
    fn push(
        &mut self,
        input: &mut &[u8],
        check: &mut Check,
        sink: &mut Sink<'_>,
    ) -> Result<bool, InflateError> {
        const FLAGS: u32 = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        let decoder = self.decoder.get_or_insert_default();
        loop {
            if self.at == self.window.len() {
                self.at = make_room(&mut self.window);
            }
            let (status, taken, written) = decompress(decoder, input, &mut self.window, self.at, FLAGS);
            *input = input.get(taken..).unwrap_or_default();
            let text = self.window.get(self.at..self.at + written).unwrap_or_default();
            self.at += text.len();
            check.update(text);
            sink.write(text)?;
            if matches!(status, TINFLStatus::Done | TINFLStatus::BlockBoundary) {
                self.left = self.left.checked_sub(1).ok_or(InflateError::TooLarge)?;
            }
            match status {
                TINFLStatus::Done => return Ok(true),
                TINFLStatus::BlockBoundary => {}
                TINFLStatus::NeedsMoreInput if input.is_empty() => return Ok(false),
                TINFLStatus::HasMoreOutput if self.at == self.window.len() => {}
                _ => return Err(InflateError::Malformed),
            }
        }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("window", &self.window.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Makes room behind a full window. Says where it starts.
fn make_room(window: &mut Vec<u8>) -> usize {
    let full = window.len();
    if full < WINDOW_MAX {
        window.resize((2 * full).clamp(WINDOW_MIN, WINDOW_MAX), 0);
        full
    } else {
        window.copy_within(full - REACH.., 0);
        REACH
    }
}
