//! What answers tell browsers, so that a page elsewhere cannot use, frame or keep them.

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// For programs, about somebody's traffic: kept by nobody.
    Private,
    /// For programs, signed and the same for all, such as a tile of the log. How long it may be kept says who answers.
    Public,
    /// A page with scripts and styles of its own.
    Page,
}

/// On every answer. `Strict-Transport-Security` is added under TLS only: without TLS, browsers ignore it, and a proxy
/// that ends TLS in front may have another opinion.
const ALWAYS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

const NO_CONTENT: (&str, &str) = (
    "content-security-policy",
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// No inline script and no other host, so that text from traffic which slips into a page stays text.
const PAGE_CONTENT: (&str, &str) = (
    "content-security-policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

const KEEP_NOTHING: (&str, &str) = ("cache-control", "no-store");

/// A year. Other hosts of the domain are not ours to decide about.
const TLS_ONLY: (&str, &str) = ("strict-transport-security", "max-age=31536000");

pub(crate) fn headers(answer: Answer, tls: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let content = if answer == Answer::Page { PAGE_CONTENT } else { NO_CONTENT };
    let keep = (answer != Answer::Public).then_some(KEEP_NOTHING);
    ALWAYS.into_iter().chain([content]).chain(keep).chain(tls.then_some(TLS_ONLY))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const EACH: [Answer; 3] = [Answer::Private, Answer::Public, Answer::Page];

    fn map(answer: Answer, tls: bool) -> BTreeMap<&'static str, &'static str> {
        headers(answer, tls).collect()
    }

    #[test]
    fn every_answer_is_no_sniff_no_frame_and_nobodys_resource() {
        for (answer, tls) in EACH.into_iter().flat_map(|answer| [(answer, false), (answer, true)]) {
            let headers = map(answer, tls);
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(headers["x-frame-options"], "DENY");
            assert_eq!(headers["referrer-policy"], "no-referrer");
            let content = headers["content-security-policy"];
            assert!(
                content.starts_with("default-src 'none'; ") && content.contains("frame-ancestors 'none'")
            );
            assert!(!content.contains("unsafe") && !content.contains('*') && !content.contains("http"));
            assert_eq!(headers.contains_key("strict-transport-security"), tls);
        }
    }

    #[test]
    fn only_what_is_the_same_for_all_may_be_kept() {
        for answer in EACH {
            let expected = (answer != Answer::Public).then_some("no-store");
            assert_eq!(map(answer, true).get("cache-control").copied(), expected, "{answer:?}");
        }
        assert!(!map(Answer::Private, true)["content-security-policy"].contains("'self'"));
    }

    #[test]
    fn names_are_lower_case_and_stand_once_and_values_can_be_sent() {
        for answer in EACH {
            let all: Vec<_> = headers(answer, true).collect();
            assert_eq!(all.len(), map(answer, true).len(), "a name stands twice");
            for (name, value) in all {
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
                assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
                assert!(!value.contains("  "), "{value}");
            }
        }
    }
}
