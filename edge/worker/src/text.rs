//! Headers as one text, back to bytes.

use std::borrow::Cow;

use sentinel_core::http::Headers;

pub(crate) struct HeaderText<'t>(Cow<'t, [u8]>);

impl<'t> HeaderText<'t> {
    /// A character for each byte. Some hosts decode values as UTF-8 instead: what is no byte is written that way again.
    pub(crate) fn new(text: &'t str) -> Self {
        if text.is_ascii() {
            return Self(Cow::Borrowed(text.as_bytes()));
        }
        let mut bytes = Vec::with_capacity(text.len());
        for character in text.chars() {
            match u8::try_from(character) {
                Ok(byte) => bytes.push(byte),
                Err(_) => bytes.extend(character.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        Self(Cow::Owned(bytes))
    }

    pub(crate) fn headers(&self) -> Headers<'_> {
        let mut lines = self.0.split(|byte| *byte == b'\n');
        std::iter::from_fn(|| Some((lines.next()?, lines.next()?))).collect()
    }
}
