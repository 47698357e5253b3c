//! The trace that an exchange belongs to, by the header `traceparent` (W3C Trace Context). Whatever does not keep to its
//! form is left out: it comes from the client, and stands in places that many people read.

use alloc::string::String;

use crate::http::Headers;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// 32 digits.
    pub(crate) trace: String,
    /// 16 digits.
    pub(crate) span: String,
    pub(crate) sampled: bool,
}

impl TraceParent {
    /// Several headers of that name are nobody's.
    pub(crate) fn of(headers: &Headers<'_>) -> Option<Self> {
        let mut values = headers.values("traceparent");
        let (value, None) = (values.next()?, values.next()) else { return None };
        Self::read(value)
    }

    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        Self::parse(core::str::from_utf8(value).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_matches([' ', '\t']).split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let has_more = parts.next().is_some();
        let is_number = |text: &str, len| text.len() == len && text.bytes().all(is_digit);
        let is_name = |text: &str, len| is_number(text, len) && text.bytes().any(|b| b != b'0');
        // Later versions may add parts behind these.
        let is_known = is_number(version, 2) && version != "ff" && (version != "00" || !has_more);
        if !is_known || !is_name(trace, 32) || !is_name(span, 16) || !is_number(flags, 2) {
            return None;
        }
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace: trace.into(), span: span.into(), sampled })
    }
}

const fn is_digit(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn only_the_form_of_the_standard_is_read() {
        let read = |text: &str| TraceParent::parse(text);
        let sampled = |flags: &str| read(&alloc::format!("00-{TRACE}-{SPAN}-{flags}")).map(|it| it.sampled);
        assert_eq!((sampled("01"), sampled("00"), sampled("ff")), (Some(true), Some(false), Some(true)));
        let later = read(&alloc::format!("cc-{TRACE}-{SPAN}-01-what-comes")).unwrap();
        assert_eq!((later.trace.as_str(), later.span.as_str()), (TRACE, SPAN));
        for bad in [
            alloc::format!("00-{TRACE}-{SPAN}-01-more"),
            alloc::format!("ff-{TRACE}-{SPAN}-01"),
            alloc::format!("00-{}-{SPAN}-01", "0".repeat(32)),
            alloc::format!("00-{TRACE}-{}-01", "0".repeat(16)),
            alloc::format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            alloc::format!("00-{TRACE}-{SPAN}-1"),
            alloc::format!("00-{TRACE}-{SPAN}"),
            alloc::format!("00-ann@example.org-{SPAN}-01"),
            String::new(),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
