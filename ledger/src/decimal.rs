//! Numbers as C2SP writes them: decimal, one text for each number.

/// Digits only, no leading zero, no number beyond 64 bits.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // `parse` would also take a sign; an empty text it refuses.
    if canonical && digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn one_text_for_each_number() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("18446744073709551615"), Some(u64::MAX));
        for text in ["", "00", "01", "+1", "-0", "1 ", " 1", "1_0", "٣", "18446744073709551616"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
