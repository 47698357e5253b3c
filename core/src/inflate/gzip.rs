//! The header of a gzip member (RFC 1952, section 2.3), a byte at a time; nothing of it is kept.

use super::InflateError;

const HAS_CHECK: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// In the order of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Fixed,
    ExtraLength,
    Extra,
    Name,
    Comment,
    Check,
    End,
}

#[derive(Debug)]
pub(super) struct Header {
    field: Field,
    /// How many bytes of the field there were.
    seen: u16,
    flags: u8,
    extra_length: u16,
    check: u16,
    crc: crc32fast::Hasher,
}

impl Header {
    pub(super) fn new() -> Self {
        let crc = crc32fast::Hasher::new();
        Self { field: Field::Fixed, seen: 0, flags: 0, extra_length: 0, check: 0, crc }
    }

    /// Whether no byte of the header was there yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.field == Field::Fixed && self.seen == 0
    }

    /// Whether this byte was the last one of the header.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, InflateError> {
        let at = self.seen;
        // Names and comments may be longer than this counts, which nothing asks about.
        self.seen = self.seen.saturating_add(1);
        if self.field != Field::Check {
            self.crc.update(&[byte]);
        }
        let ended = match self.field {
            Field::Fixed => self.fixed(at, byte)?,
            Field::ExtraLength => {
                self.extra_length = self.extra_length >> 8 | u16::from(byte) << 8;
                at == 1
            }
            Field::Extra => self.seen == self.extra_length,
            Field::Name | Field::Comment => byte == 0,
            Field::Check => {
                self.check = self.check >> 8 | u16::from(byte) << 8;
                at == 1
            }
            Field::End => true,
        };
        if ended {
            self.next_field()?;
        }
        Ok(self.field == Field::End)
    }

    fn fixed(&mut self, at: u16, byte: u8) -> Result<bool, InflateError> {
        let allowed = match at {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            // The compression method: deflate, there is no other.
            2 => byte == 8,
            3 => {
                self.flags = byte;
                byte & RESERVED == 0
            }
            // Time, extra flags and operating system.
            _ => true,
        };
        if allowed { Ok(at == 9) } else { Err(InflateError::Malformed) }
    }

    fn next_field(&mut self) -> Result<(), InflateError> {
        if self.field == Field::Check && u32::from(self.check) != self.crc.clone().finalize() & 0xffff {
            return Err(InflateError::Malformed);
        }
        self.seen = 0;
        loop {
            let (field, present) = match self.field {
                Field::Fixed => (Field::ExtraLength, self.flags & HAS_EXTRA != 0),
                Field::ExtraLength => (Field::Extra, self.extra_length != 0),
                Field::Extra => (Field::Name, self.flags & HAS_NAME != 0),
                Field::Name => (Field::Comment, self.flags & HAS_COMMENT != 0),
                Field::Comment => (Field::Check, self.flags & HAS_CHECK != 0),
                Field::Check | Field::End => (Field::End, true),
            };
            self.field = field;
            if present {
                return Ok(());
            }
        }
    }
}
