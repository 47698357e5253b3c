//! Bodies that are sent compressed. What matters here is that they have to be decoded, not how small they are.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    #[serde(rename = "gzip")]
    Gzip,
    #[serde(rename = "deflate")]
    Deflate,
    #[serde(rename = "br")]
    Brotli,
}

const LEVEL: u8 = 6;

impl Encoding {
    /// As `content-encoding` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    pub fn encode(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip => gzip(body),
            Self::Deflate => miniz_oxide::deflate::compress_to_vec_zlib(body, LEVEL),
            Self::Brotli => brotli(body),
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut out = HEADER.to_vec();
    out.extend(miniz_oxide::deflate::compress_to_vec(body, LEVEL));
    out.extend(crc32fast::hash(body).to_le_bytes());
    out.extend((body.len() as u32).to_le_bytes());
    out
}

/// Meta-blocks that say that what follows is not compressed, and an empty last one (RFC 7932, 9.2).
fn brotli(body: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES_MAX: usize = 1 << 16;
    const WINDOW_OF_16_BITS: u32 = 0;
    const LAST_AND_EMPTY: u8 = 0b11;
    let mut out = Vec::new();
    for (idx, block) in body.chunks(BLOCK_BYTES_MAX).enumerate() {
        // Not the last, four digits of length, the length less one, uncompressed.
        let header = (block.len() as u32 - 1) << 3 | 1 << 19;
        let header = if idx == 0 { header << 1 | WINDOW_OF_16_BITS } else { header };
        out.extend(header.to_le_bytes().iter().take(3));
        out.extend_from_slice(block);
    }
    out.push(if body.is_empty() { LAST_AND_EMPTY << 1 } else { LAST_AND_EMPTY });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_what_they_say() {
        let body = b"{\"messages\":[{\"role\":\"user\",\"content\":\"Hello, hello, hello\"}]}";
        let zlib = miniz_oxide::inflate::decompress_to_vec_zlib(&Encoding::Deflate.encode(body)).unwrap();
        assert_eq!(zlib, body);
        let gzip = Encoding::Gzip.encode(body);
        let inner = gzip.get(10..gzip.len() - 8).unwrap();
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(inner).unwrap(), body);
    }
}
