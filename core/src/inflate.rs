//! HTTP content-codings, decoded a chunk at a time and no further than a limit.
//!
//! Invariant: what comes out, and which error it ends in, depends on the bytes and not on how they were cut (but for
//! the last bytes before one kind of error in brotli, see `write_rest` there).
//! A body that a server might read otherwise than this does (a wrong checksum, a missing end, bytes behind the end)
//! is malformed, never a prefix that passes for the whole.
//!
//! A body can ask for more memory than its size suggests. gzip and deflate hold at most 76 KiB: a window and tables.
//! Brotli holds 3.3 MiB of tables at most, and a window of up to 256 KiB, or of what the limit rounds up to as a power
//! of two if that is more (16 MiB is the most there is), half as much again while the window grows.
//!
//! It can ask for more work as well: a block of ten bits or a tree of twelve costs a table and need not stand for any
//! text. So blocks and trees are counted too, see [`tables_max`].

mod brotli;
mod deflate;
mod gzip;

use alloc::vec::Vec;

use self::{brotli::Brotli, deflate::Deflate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let is = |coding: &str| name.trim_ascii().eq_ignore_ascii_case(coding.as_bytes());
        if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// Not one whole stream (gzip: one or more) of the coding and nothing else.
    Malformed,
    /// More text than the limit, or more work than a text of that length takes.
    TooLarge,
}

#[derive(Debug)]
pub(crate) struct Inflater {
    decoder: Decoder,
    /// How many bytes may still come out.
    room: usize,
}

#[derive(Debug)]
enum Decoder {
    Deflate(Deflate),
    Brotli(Brotli),
    Failed(InflateError),
}

impl Inflater {
    /// `limit`: how many bytes may come out in all.
    pub(crate) fn new(coding: Coding, limit: usize) -> Self {
        let decoder = match coding {
            Coding::Gzip => Decoder::Deflate(Deflate::gzip(tables_max(limit))),
            Coding::Deflate => Decoder::Deflate(Deflate::zlib_or_raw(tables_max(limit))),
            Coding::Brotli => Decoder::Brotli(Brotli::new(limit, tables_max(limit))),
        };
        Self { decoder, room: limit }
    }

    /// Appends what `input` decodes to, up to the error if there is one.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), InflateError> {
        let mut sink = Sink { out, room: &mut self.room };
        let result = match &mut self.decoder {
            Decoder::Deflate(deflate) => deflate.push(input, &mut sink),
            Decoder::Brotli(brotli) => brotli.push(input, &mut sink),
            Decoder::Failed(error) => Err(*error),
        };
        self.keep(result)
    }

    /// Room for as much again: for a stream whose text is taken away piece by piece.
    pub(crate) fn make_room(&mut self, limit: usize) {
        self.room = limit;
    }

    /// The input is over: an error unless every stream in it was complete and there was at least one.
    pub(crate) fn finish(&mut self) -> Result<(), InflateError> {
        let complete = match &self.decoder {
            Decoder::Deflate(deflate) => deflate.is_complete(),
            Decoder::Brotli(brotli) => brotli.is_complete(),
            Decoder::Failed(error) => return Err(*error),
        };
        self.keep(if complete { Ok(()) } else { Err(InflateError::Malformed) })
    }

    /// An error is for good, and lets go of the memory.
    fn keep(&mut self, result: Result<(), InflateError>) -> Result<(), InflateError> {
        if let Err(error) = result {
            self.decoder = Decoder::Failed(error);
        }
        result
    }
}

/// How many deflate blocks or brotli trees a stream may have. Each takes some microseconds to set up.
///
/// A sender that flushes after each event of a stream makes two blocks or three trees per event, so up to the limit
/// this is enough for events of 100 bytes. It is also enough for the five largest sets of trees there can be.
const fn tables_max(limit: usize) -> usize {
    4096 + limit / 32
}

/// Where decoders write to.
#[derive(Debug)]
struct Sink<'a> {
    out: &'a mut Vec<u8>,
    room: &'a mut usize,
}

impl Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        let fitting = bytes.get(..*self.room).unwrap_or(bytes);
        self.out.extend_from_slice(fitting);
        *self.room -= fitting.len();
        if fitting.len() < bytes.len() { Err(InflateError::TooLarge) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec};

    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
    use proptest::{collection::vec as bytes, prelude::*};

    use super::*;

    const LIMIT: usize = 64 * 1024;
    const TEXT: &str = "{\"role\":\"user\",\"content\":\"The quick brown fox jumps over the lazy dog, and the \
        International Government of the United States of America said: the quick brown fox.\"}";

    // Node.js 22 made these: zlib.gzipSync(TEXT) and so on. None of them comes from the library under test.
    const GZIP: &str = "1f8b08000000000000035d8d4b0ec2300c05aff2e475c501b26385580307308d4b03890d89cb57dc1db54bb63323cd87aa\
        65a14053934a1df5a62eea14683f0a6e53ea2f38567b28067be23c956b83dda5c24741e6f70bd14e1d58e342b6ea52953d9972c6662eb5\
        883a6c58fc41934bc4ced9a5cd705da4a69ed138c5b0247fcf157d7f7b2071cda4000000";
    const ZLIB: &str = "789c5d8d4b0ec2300c05aff2e475c501b26385580307308d4b03890d89cb57dc1db54bb63323cd87aa65a14053934a1df5\
        a62eea14683f0a6e53ea2f38567b28067be23c956b83dda5c24741e6f70bd14e1d58e342b6ea52953d9972c6662eb5883a6c58fc41934b\
        c4ced9a5cd705da4a69ed138c5b0247fcf157d7fa2f13a41";
    /// Quality 11: words of the dictionary.
    const BROTLI: &str = "1ba300808cc43846f1421c29416d2ed5e7b248b76551bb86c1f28daa4f4f1672c65827d8be2952a35485dbd8b90ec528\
        6945fef10202bac2400988e60e91a465972777b9d2b637569f5237d6c23ae7744f1bddcfb8e047e834e10c";
    /// Quality 5, a window of 64 KiB.
    const BROTLI_64K: &str = "6214008040ff73aaecf17408fe0b17dd0a33d6a03a39704a6a4958e041819d028c30104c6ff85c536ce4d3629ff8\
        844c77084b4e0e6fcd14d705d5fc92aed335524e37ed31cc1bd359acdf311e7df23ee453355c19c6bd58c51bf056761ff03628d19eecc5\
        06508f18d1c5c2505ef7fa01";
    /// [`long_text`] with quality 9 and a window of 1 KiB.
    const BROTLI_1K: &str = "a148d4002066edf72a9b395d08efe60957dd0a0304f3e1fbb891e6147e5cb3a42649030f0a2c8a0e778e123e103cd5\
        8f0f1744e75a9d17b726c21c7e86b8fdaff1ec6b5bdf217cadbdb5c2db655b273797d29bbfcbd9dbf3f7935c3dffb4aadc7d3ebebccbf3\
        d7e5db0f32fe7838fdfb958be7ebfa3a8e9e3e2edff2f790a1aff2fabb59dee074fc71fa71f97e627a4cb3e47dd92ebbbbf5c0f70ed6ae\
        b7713986b4c779605ea5438b6b38b50ede740548ad93e7a5342be22c132fd2b88cc0db210fae775c5e9b5eb759c51b456bdafd06694cf1\
        d8312ee30285b650fd9a5a36af6af7a2e431b1268287d01b91569c335e75a7bc30b465e8a787975a007139b0b6870736ef505e43af6356\
        f1a6d11ab45f21cd9a382ba516199731783bb63838f08ecb6bd34b97378ad4cc7854cca9b6f390fa382f88b758003c47f312c6559bb568\
        20ab7d3482874cab397252b58b907a242f9c53b91fac1d";
    /// 10 MiB of zeros, with a window of 16 MiB.
    const BROTLI_BOMB: &str = "9fffff9ff82700e2b14020f7fe13";

    fn hex(digits: &str) -> Vec<u8> {
        let digit = |b: u8| char::from(b).to_digit(16).unwrap() as u8;
        digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn long_text() -> String {
        let parts = TEXT.repeat(40);
        let mut text = String::new();
        let mut at = 0;
        for part in parts.split_inclusive("fox") {
            text += part;
            at += part.len();
            if part.ends_with("fox") {
                text += &format!("{}", (((at as u64 - 3) * 2_654_435_761) as u32 >> 7) % 997);
            }
        }
        text
    }

    type Decoded = (Vec<u8>, Result<(), InflateError>);

    fn decode_parts<'a>(coding: Coding, limit: usize, parts: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let mut inflater = Inflater::new(coding, limit);
        let mut out = Vec::new();
        let pushed = parts.into_iter().try_for_each(|part| inflater.push(part, &mut out));
        let result = pushed.and_then(|()| inflater.finish());
        if let Err(error) = result {
            assert_eq!(inflater.push(b"x", &mut out), Err(error));
            assert_eq!(inflater.finish(), Err(error));
        }
        assert!(out.len() <= limit);
        (out, result)
    }

    fn decode(coding: Coding, stream: &[u8]) -> Decoded {
        decode_parts(coding, LIMIT, [stream])
    }

    /// The same, but for how much came out before an error in brotli.
    fn alike(coding: Coding, one: &Decoded, other: &Decoded) -> bool {
        let brotli_error = coding == Coding::Brotli && one.1.is_err() && one.1 == other.1;
        one == other || brotli_error && (one.0.starts_with(&other.0) || other.0.starts_with(&one.0))
    }

    fn malformed(coding: Coding, stream: &[u8]) -> bool {
        decode(coding, stream).1 == Err(InflateError::Malformed)
    }

    fn text_of(coding: Coding, stream: &[u8]) -> String {
        let (out, result) = decode(coding, stream);
        assert_eq!(result, Ok(()));
        String::from_utf8(out).unwrap()
    }

    /// Streams of every coding and frame, and their texts.
    fn samples() -> Vec<(Coding, Vec<u8>, String)> {
        let zlib = hex(ZLIB);
        let bare = zlib[2..zlib.len() - 4].to_vec();
        let text = String::from(TEXT);
        vec![
            (Coding::Gzip, hex(GZIP), text.clone()),
            (Coding::Gzip, member(0x1e, b"", b"two"), "two".into()),
            (Coding::Gzip, [hex(GZIP), member(0, b"", b"two")].concat(), format!("{text}two")),
            (Coding::Deflate, zlib, text.clone()),
            (Coding::Deflate, bare, text.clone()),
            (Coding::Brotli, hex(BROTLI), text.clone()),
            (Coding::Brotli, hex(BROTLI_64K), text),
            (Coding::Brotli, hex(BROTLI_1K), long_text()),
            (Coding::Brotli, stored_brotli(b"stored"), "stored".into()),
        ]
    }

    /// A gzip member with the optional fields that `flags` name and a stored block.
    fn member(flags: u8, extra: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 5, 6];
        if flags & 4 != 0 {
            out.extend((extra.len() as u16).to_le_bytes());
            out.extend(extra);
        }
        if flags & 8 != 0 {
            out.extend(b"name\0");
        }
        if flags & 16 != 0 {
            out.extend(b"comment\0");
        }
        if flags & 2 != 0 {
            out.extend((crc32fast::hash(&out) as u16).to_le_bytes());
        }
        let len = text.len() as u16;
        out.push(1);
        out.extend([len.to_le_bytes(), (!len).to_le_bytes()].concat());
        out.extend(text);
        out.extend(crc32fast::hash(text).to_le_bytes());
        out.extend((text.len() as u32).to_le_bytes());
        out
    }

    fn gzip(text: &[u8], level: u8) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        out.extend(compress_to_vec(text, level));
        out.extend(crc32fast::hash(text).to_le_bytes());
        out.extend((text.len() as u32).to_le_bytes());
        out
    }

    /// A window of 64 KiB, a stored meta-block and an empty last one.
    fn stored_brotli(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // WBITS 0, then per block ISLAST 0, MNIBBLES 00, MLEN - 1 in 16 bits, ISUNCOMPRESSED 1.
        for (n, block) in text.chunks(1000).enumerate() {
            let header = (block.len() as u32 - 1) << 3 | 1 << 19;
            let header = if n == 0 { header << 1 } else { header };
            out.extend(&header.to_le_bytes()[..3]);
            out.extend(block);
        }
        out.push(if text.is_empty() { 6 } else { 3 });
        out
    }

    /// Bits, the lowest of each byte first.
    fn packed(bits: &[u8]) -> Vec<u8> {
        bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit)).collect()
    }

    #[test]
    fn codings_have_names() {
        for (name, coding) in [
            ("gzip", Some(Coding::Gzip)),
            (" X-GZip\t", Some(Coding::Gzip)),
            ("Deflate", Some(Coding::Deflate)),
            ("br ", Some(Coding::Brotli)),
            ("", None),
            ("gzip, br", None),
            ("identity", None),
            ("zstd", None),
        ] {
            assert_eq!(Coding::of(name.as_bytes()), coding, "{name}");
        }
    }

    #[test]
    fn streams_decode_and_splits_do_not_matter() {
        for (coding, stream, text) in samples() {
            assert_eq!(text_of(coding, &stream), text);
            let whole = decode(coding, &stream);
            assert_eq!(decode_parts(coding, LIMIT, stream.chunks(1)), whole);
            for at in 0..=stream.len() {
                let (head, tail) = stream.split_at(at);
                assert_eq!(decode_parts(coding, LIMIT, [head, tail]), whole, "{coding:?} at {at}");
            }
        }
    }

    #[test]
    fn truncated_streams_are_malformed() {
        for (coding, stream, text) in samples() {
            for len in 0..stream.len() {
                let (out, result) = decode(coding, &stream[..len]);
                let members =
                    coding == Coding::Gzip && stream.get(len..len + 2) == Some(&[0x1f, 0x8b]) && len > 0;
                assert_eq!(result.is_ok(), members, "{coding:?} to {len}");
                assert!(text.as_bytes().starts_with(&out));
            }
        }
    }

    #[test]
    fn bytes_behind_the_end_are_malformed() {
        for (coding, stream, text) in samples() {
            for tail in [&b"\0"[..], b"\x1f", b"x", b"\0\0\0\0\0\0\0\0\0\0\0\0", &hex(ZLIB), &hex(BROTLI)] {
                let longer = [&stream, tail].concat();
                let whole = decode(coding, &longer);
                assert_eq!(whole, (text.clone().into_bytes(), Err(InflateError::Malformed)), "{coding:?}");
                assert_eq!(decode_parts(coding, LIMIT, longer.chunks(1)), whole);
            }
        }
    }

    #[test]
    fn flipped_bits_are_found_where_a_checksum_is() {
        for (coding, stream, text) in samples() {
            let checked = coding == Coding::Gzip || stream.starts_with(&[0x78]);
            for bit in 0..8 * stream.len() {
                let mut flipped = stream.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let whole = decode(coding, &flipped);
                assert!(!checked || whole.1.is_err() || whole.0 == text.as_bytes(), "{coding:?} bit {bit}");
                for split in [1, 29] {
                    let parts = decode_parts(coding, LIMIT, flipped.chunks(split));
                    assert!(alike(coding, &parts, &whole), "{coding:?} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn the_limit_is_exact() {
        for (coding, stream, text) in samples() {
            for limit in [0, 1, text.len() - 1, text.len()] {
                let result = if limit < text.len() { Err(InflateError::TooLarge) } else { Ok(()) };
                let expected = (text.as_bytes()[..limit].to_vec(), result);
                assert_eq!(decode_parts(coding, limit, [&stream[..]]), expected, "{coding:?} {limit}");
                assert_eq!(decode_parts(coding, limit, stream.chunks(1)), expected, "{coding:?} {limit}");
            }
        }
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let zeros = vec![0; 10 << 20];
        let bombs = [
            (Coding::Gzip, gzip(&zeros, 6)),
            (Coding::Deflate, compress_to_vec_zlib(&zeros, 6)),
            (Coding::Brotli, hex(BROTLI_BOMB)),
        ];
        for (coding, bomb) in bombs {
            let (out, result) = decode(coding, &bomb);
            assert_eq!((out.len(), result), (LIMIT, Err(InflateError::TooLarge)), "{coding:?}");
            let (out, result) = decode_parts(coding, zeros.len(), bomb.chunks(1000));
            assert_eq!((out == zeros, result), (true, Ok(())), "{coding:?}");
        }
    }

    #[test]
    fn work_without_text_is_bounded() {
        // Ten bits each: an empty block with fixed codes.
        let blocks = |count: usize| {
            let bits = (1..=count).flat_map(|n| [u8::from(n == count), 1, 0, 0, 0, 0, 0, 0, 0, 0]);
            packed(&bits.collect::<Vec<u8>>())
        };
        let most = tables_max(LIMIT);
        assert_eq!(decode(Coding::Deflate, &blocks(most)), (Vec::new(), Ok(())));
        assert_eq!(decode(Coding::Deflate, &blocks(most + 1)), (Vec::new(), Err(InflateError::TooLarge)));
        let members = gzip(b"", 6).repeat(most + 1);
        assert_eq!(decode(Coding::Gzip, &members), (Vec::new(), Err(InflateError::TooLarge)));
        assert_eq!(decode(Coding::Gzip, &members[20..]), (Vec::new(), Ok(())));
        // A meta-block of one byte, with three trees of one symbol each.
        let trees = |count: usize| {
            let mut bits = vec![0];
            for _ in 0..count {
                bits.extend([0; 19]);
                bits.extend([0; 4 + 6 + 2 + 2]);
                for (symbol, width) in [(65_u16, 8), (8, 10), (0, 6)] {
                    bits.extend([1, 0, 0, 0]);
                    bits.extend((0..width).map(|at| (symbol >> at & 1) as u8));
                }
            }
            bits.extend([1, 1]);
            packed(&bits)
        };
        assert_eq!(text_of(Coding::Brotli, &trees(most / 3)), "A".repeat(most / 3));
        for split in [1, usize::MAX] {
            let (out, result) = decode_parts(Coding::Brotli, LIMIT, trees(most / 3 + 1).chunks(split));
            assert_eq!((out.len(), result), (most / 3, Err(InflateError::TooLarge)));
        }
    }

    #[test]
    fn gzip_members_follow_each_other() {
        let one = gzip(b"one ", 6);
        assert_eq!(
            text_of(Coding::Gzip, &[&one[..], &gzip(b"", 0), &member(0, b"", b"two")].concat()),
            "one two"
        );
        // A match does not reach into the member before. Fixed codes: a match of 3 at distance 1.
        let reaching = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0x03, 0x02, 0, 0]].concat();
        assert_eq!(
            decode(Coding::Gzip, &[one, reaching].concat()),
            (b"one ".into(), Err(InflateError::Malformed))
        );
    }

    #[test]
    fn gzip_headers_are_read() {
        for flags in 0..=0xff_u8 {
            for extra in [&b""[..], b"x", &[0; 300]] {
                let stream = member(flags, extra, TEXT.as_bytes());
                let whole = decode(Coding::Gzip, &stream);
                assert_eq!(whole.1.is_ok(), flags & 0xe0 == 0, "{flags:#x}");
                assert_eq!(decode_parts(Coding::Gzip, LIMIT, stream.chunks(1)), whole);
            }
        }
        let mut wrong_check = member(2, b"", b"text");
        wrong_check[10] ^= 1;
        assert!(malformed(Coding::Gzip, &wrong_check));
        assert!(malformed(Coding::Gzip, b"\x1f\x8b\x07"));
        assert!(malformed(Coding::Gzip, &hex(ZLIB)));
    }

    #[test]
    fn wrong_trailers_are_malformed() {
        for (coding, stream) in [(Coding::Gzip, hex(GZIP)), (Coding::Deflate, hex(ZLIB))] {
            for back in 1..=if coding == Coding::Gzip { 8 } else { 4 } {
                let mut wrong = stream.clone();
                let at = wrong.len() - back;
                wrong[at] ^= 1;
                assert_eq!(decode(coding, &wrong), (TEXT.into(), Err(InflateError::Malformed)));
            }
        }
    }

    #[test]
    fn deflate_is_zlib_or_bare_and_never_both() {
        // A stored block's first byte may be anything that ends in 000 or 001: its padding is ignored.
        assert_eq!(text_of(Coding::Deflate, b"\x79\x01\0\xfe\xffx"), "x");
        assert_eq!(text_of(Coding::Deflate, b"\x03\0"), "");
        // 78 01 is the header of a zlib stream, and as a bare block a stored one with a length of 0x..01.
        assert!(malformed(Coding::Deflate, b"\x78\x01\0\xfe\xffx\x01\0\0\xff\xff"));
        // A preset dictionary.
        assert!(malformed(Coding::Deflate, b"\x78\xbb"));
        // A match from before the start.
        assert!(malformed(Coding::Deflate, &[0x03, 0x02, 0, 0]));
    }

    #[test]
    fn brotli_windows_are_those_of_the_rfc() {
        assert_eq!(text_of(Coding::Brotli, b"\x06"), "");
        // The large window of the reference decoder: 0x11, then six bits.
        assert!(malformed(Coding::Brotli, b"\x11\x18\x03"));
        for limit in [0, LIMIT, 1 << 20, 16 << 20, usize::MAX] {
            let (out, result) = decode_parts(Coding::Brotli, limit, [&hex(BROTLI)[..]]);
            assert_eq!((result.is_ok(), out.len()), (limit > 0, TEXT.len().min(limit)));
        }
    }

    #[test]
    fn the_window_slides() {
        let text: Vec<u8> = (0..500_000_u32).flat_map(|n| (n / 7).wrapping_mul(n).to_le_bytes()).collect();
        for level in [0, 1, 6] {
            let stream = gzip(&text, level);
            for split in [7, 1000, usize::MAX] {
                let (out, result) = decode_parts(Coding::Gzip, text.len(), stream.chunks(split));
                assert_eq!((out == text, result), (true, Ok(())), "level {level} split {split}");
            }
        }
    }

    proptest! {
        #[test]
        fn round_trips(text in bytes(any::<u8>(), 0..3000), run in 1_usize..200, split in 1_usize..100) {
            let text: Vec<u8> = text.iter().flat_map(|&byte| vec![byte; usize::from(byte) % run + 1]).collect();
            for (coding, stream) in [
                (Coding::Gzip, gzip(&text, 6)),
                (Coding::Deflate, compress_to_vec_zlib(&text, 1)),
                (Coding::Deflate, compress_to_vec(&text, 6)),
                (Coding::Brotli, stored_brotli(&text)),
            ] {
                let (out, result) = decode_parts(coding, text.len(), stream.chunks(split));
                prop_assert_eq!(result, Ok(()));
                prop_assert!(out == text);
            }
        }

        #[test]
        fn any_bytes_are_safe_and_splits_do_not_matter(noise in bytes(any::<u8>(), 0..300), split in 1_usize..50) {
            let bytes = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &noise].concat();
            for (coding, stream) in [
                (Coding::Gzip, &bytes[..]),
                (Coding::Deflate, &noise),
                (Coding::Brotli, &noise),
            ] {
                let whole = decode(coding, stream);
                prop_assert!(alike(coding, &decode_parts(coding, LIMIT, stream.chunks(split)), &whole));
            }
        }
    }
}
