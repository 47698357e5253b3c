//! Headers as a host hands them over: bytes, never assumed to be text.

use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Headers<'a> {
    /// The first value of a header; pseudo headers (`:path`) included. Names compare without regard to case.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The first value, where it is text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        core::str::from_utf8(self.value(name)?).ok()
    }

    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| *value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0.iter().copied()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Headers<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a [u8], &'a [u8])>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// The media type of a content-type value, without parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or("").trim()
}

/// A content-length that means something: one value, digits only.
pub(crate) fn content_length(headers: &Headers<'_>) -> Option<u64> {
    headers.text("content-length")?.trim().parse().ok()
}

/// The first content-encoding that hides the bytes, if any does.
pub(crate) fn is_encoded(headers: &Headers<'_>) -> bool {
    headers.values("content-encoding").any(|value| {
        value
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    })
}
