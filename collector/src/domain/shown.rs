//! What of an event may stand where many people read: in labels, traces and the log. Events hold words of clients, and
//! whoever writes an address or a number of a card into a header must not find it there again.

use sha2::{Digest, Sha256};

/// A word of a policy or of a rule, as a label: lower-case letters, digits and a few signs, not too long, and no number
/// that could be somebody's. Anything else is `other`.
pub(crate) fn label(text: &str) -> &str {
    if is_label(text) { text } else { OTHER }
}

pub(crate) fn is_label(text: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_./:".contains(&b);
    let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_sign)
        && (is_digest || digits_in_a_row(text) <= DIGITS_MAX)
}

/// The name of a model, which may have capitals.
pub(crate) fn is_model(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && is_label(&text.to_ascii_lowercase())
}

/// Somebody who was let in: always the same word, and not who it is, which the journal says.
pub(crate) fn person(who: &str) -> String {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(who));
    format!("~{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// The id of a request, if it is one that a proxy has made (a UUID): others may be anything.
pub(crate) fn request_id(text: &str) -> Option<&str> {
    let is_part = |(part, len): (&str, &usize)| {
        part.len() == *len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts = text.split('-');
    let n_parts = parts.clone().count();
    (n_parts == UUID_PARTS.len() && parts.zip(&UUID_PARTS).all(is_part)).then_some(text)
}

fn digits_in_a_row(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

pub(crate) const OTHER: &str = "other";
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];
const LABEL_BYTES_MAX: usize = 96;
/// A date.
const DIGITS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_policies_and_rules_are_shown_and_nobody_else() {
        for word in ["chat", "injection/ignore-instructions", "aws-key", "api.v2", "support_team", "20260101"]
        {
            assert_eq!(label(word), word);
        }
        let digest = "ab12".repeat(16);
        assert_eq!(label(&digest), digest);
        for word in ["", "ann@example.org", "4111111111111111", "Ann Smith", "a\"b", "a\nb", "\u{e9}"] {
            assert_eq!(label(word), OTHER, "{word:?}");
        }
        assert_eq!(label(&"a".repeat(97)), OTHER);
        assert!(
            is_model("meta-llama/Llama-3.1-8B") && !is_model("4111-1111") && !is_model("ann@example.org")
        );
    }

    #[test]
    fn only_ids_that_proxies_make_are_shown() {
        let id = "6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f";
        assert_eq!(request_id(id), Some(id));
        for id in
            ["", "req-1", "ann@example.org", "4111-1111-1111-1111", "6F1C8A3E-2F2B-4B0E-9A77-0A1B2C3D4E5F"]
        {
            assert_eq!(request_id(id), None, "{id}");
        }
    }
}
