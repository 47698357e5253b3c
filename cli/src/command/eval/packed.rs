//! Data as people keep them: plain, or packed with zstd, gzip or xz. Which it is, the first bytes say.

use std::io::{self, BufRead, BufReader};

const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

pub(crate) fn unpack(mut raw: Box<dyn BufRead>) -> io::Result<Box<dyn BufRead>> {
    let begins_with =
        |raw: &mut Box<dyn BufRead>, magic: &[u8]| Ok::<_, io::Error>(raw.fill_buf()?.starts_with(magic));
    if begins_with(&mut raw, ZSTD)? {
        let unpacked = ruzstd::decoding::StreamingDecoder::new(raw).map_err(io::Error::other)?;
        return Ok(Box::new(BufReader::new(unpacked)));
    }
    if begins_with(&mut raw, GZIP)? {
        return Ok(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(raw))));
    }
    if begins_with(&mut raw, XZ)? {
        return Ok(Box::new(BufReader::new(lzma_rust2::XzReader::new(raw, true))));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    #[track_caller]
    fn check(packed: &'static [u8]) {
        let mut text = String::new();
        unpack(Box::new(Cursor::new(packed))).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn every_packing_is_read() {
        check(b"one\ntwo\n");
        check(include_bytes!("packed/two_lines.gz"));
        check(include_bytes!("packed/two_lines.zst"));
        check(include_bytes!("packed/two_lines.xz"));
    }
}
