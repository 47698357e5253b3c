//! As much of Protocol Buffers' encoding as OTLP takes: writing messages, and looking into an answer.
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message that is being written, field by field.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(super) fn fixed64(mut self, field: u32, value: u64) -> Self {
        self.key(field, FIXED64);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn fixed32(mut self, field: u32, value: u32) -> Self {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(super) fn messages<'a, T: 'a>(
        self,
        field: u32,
        values: impl IntoIterator<Item = &'a T>,
        write: impl Fn(&'a T) -> Self,
    ) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, &write(value)))
    }

    fn key(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field of a message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message, up to the first that is none.
pub(super) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = take_varint(&mut bytes)?;
        let field = match key as u32 & 7 {
            VARINT => Field::Number(take_varint(&mut bytes)?),
            BYTES => {
                let len = usize::try_from(take_varint(&mut bytes)?).ok()?;
                Field::Bytes(take(&mut bytes, len)?)
            }
            FIXED64 => take(&mut bytes, 8).map(|_| Field::Fixed)?,
            FIXED32 => take(&mut bytes, 4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some((u32::try_from(key >> 3).ok()?, field))
    })
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(bytes, 1)? else { return None };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification.
    #[test]
    fn it_is_written_as_the_specification_has_it() {
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let text = Message::default().text(2, "testing").into_bytes();
        assert_eq!(text, [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).into_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        let fixed = Message::default().fixed64(16, 1).fixed32(1, 2).into_bytes();
        assert_eq!(fixed, [0x81, 0x01, 1, 0, 0, 0, 0, 0, 0, 0, 0x0d, 2, 0, 0, 0]);
    }

    #[test]
    fn what_was_written_is_read_and_what_is_cut_off_ends() {
        let bytes =
            Message::default().number(1, u64::MAX).text(7, "ab").fixed64(2, 3).fixed32(3, 4).into_bytes();
        let all =
            [(1, Field::Number(u64::MAX)), (7, Field::Bytes(b"ab")), (2, Field::Fixed), (3, Field::Fixed)];
        assert_eq!(fields(&bytes).collect::<Vec<_>>(), all);
        for len in 0..bytes.len() {
            let read: Vec<_> = fields(&bytes[..len]).collect();
            assert!(read.len() < all.len() && all.starts_with(&read), "{len}");
        }
        assert_eq!(fields(&[0xff; 20]).count(), 0);
    }
}
