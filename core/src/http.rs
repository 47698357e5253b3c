//! Headers as a host hands them over: bytes, never assumed to be text.

use alloc::{string::String, vec::Vec};

use crate::inflate::Coding;

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

/// How the bytes of a body are encoded, as its sender says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Coded(Coding),
    /// One that is not read, or several around each other.
    Unknown,
}

pub(crate) fn encoding(headers: &Headers<'_>) -> Encoding {
    let values = headers.values("content-encoding").flat_map(|value| value.split(|b| *b == b','));
    let mut codings = values
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Encoding::Plain,
        (Some(coding), None) => Coding::of(coding).map_or(Encoding::Unknown, Encoding::Coded),
        (Some(_), Some(_)) => Encoding::Unknown,
    }
}

/// What a client accepts, as far as it can be read here: a value for `accept-encoding`.
pub(crate) fn readable_encodings(headers: &Headers<'_>) -> String {
    let values = headers.values("accept-encoding").flat_map(|value| value.split(|b| *b == b','));
    let wanted = values.filter_map(|value| {
        let mut parts = core::str::from_utf8(value).ok()?.split(';');
        let name = parts.next()?.trim();
        let is_refused = |weight: &str| {
            weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty())
        };
        (Coding::of(name.as_bytes()).is_some() && !parts.any(is_refused)).then_some(name)
    });
    wanted.collect::<Vec<_>>().join(", ")
}
