//! Personal data and secrets in any text. A number or key that is valid, on a line of its own, is found as what it is;
//! and nothing costs more than the budget without a gap that says so.

use std::sync::LazyLock;

use sentinel_core::{Direction, Engine, Format, Span, receipt::GapReason};
use sentinel_model::Channel;

use crate::{drive::engine_at, source::Source};

static ENGINES: LazyLock<[Engine; 2]> = LazyLock::new(|| [engine_at(1), engine_at(4)]);

/// What needs no words near it: numbers that are published as examples, or made by their check. Keys are put together
/// from two halves, so that nobody takes this file for a leak.
const VALUES: &[(&str, &str, &str)] = &[
    ("pii/card", "4111 1111 ", "1111 1111"),
    ("pii/card", "3782822463", "10005"),
    ("pii/iban", "GB82WEST", "12345698765432"),
    ("pii/iban", "DE89 3704 0044 ", "0532 0130 00"),
    ("pii/ssn", "536-90", "-4399"),
    ("pii/itin", "912-70", "-1234"),
    ("pii/nino", "AB 12 34", " 56 C"),
    ("pii/pan", "ABCPE", "1234F"),
    ("pii/cpf", "111.444", ".777-35"),
    ("pii/cnpj", "11.222.333", "/0001-81"),
    ("pii/dni", "12345678", "Z"),
    ("pii/nie", "X1234567", "L"),
    ("pii/fiscale", "RSSMRA85", "T10A562S"),
    ("pii/insee", "2 55 08 14", " 168 025 38"),
    ("pii/personnummer", "811218", "-9876"),
    ("pii/nric", "S1234", "567D"),
    ("pii/rrn", "900101", "-1234567"),
    ("pii/resident-id", "110105194", "91231002X"),
    ("pii/vin", "1M8GDM9AX", "KP042788"),
    ("pii/btc", "1A1zP1eP5QGefi2DMP", "TfTL5SLmv7DivfNa"),
    ("pii/btc", "bc1qar0srrr7xfkvy5l", "643lydnw9re59gtzzwf5mdq"),
    ("pii/eth", "0x5aAeb6053F3E94C9", "b9A09f33669435E7Ef1BeAed"),
    ("pii/email", "mary.smith+news", "@mail.firma.co.uk"),
    ("pii/phone", "+49 30 ", "12345678"),
    ("secret/github-token", "ghp_", "q7GfT2xWb9LkZ4mVp1RsXe8Yd3Ng6Hj0Uc5a"),
    ("secret/gitlab-token", "glpat-", "q7GfT2xWb9LkZ4mVp1Rs"),
    ("secret/aws-key", "AKIA", "Q7GFT2XWB9LKZ4MV"),
    ("secret/stripe-key", "sk_live_", "q7GfT2xWb9LkZ4mVp1RsXe8Y"),
    ("secret/url-password", "redis://app:", "w9Tz4mVp1Rs@db.firma.de/0"),
];

pub fn run(data: &[u8]) {
    let (bytes, mut source) = Source::after_body(data);
    let text = String::from_utf8_lossy(bytes);
    let engine = &ENGINES[usize::from(source.flag())];
    let (rule, head, tail) = source.pick(VALUES);
    let value = format!("{head}{tail}");
    let mut at = source.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = format!("{}\n", &text[..at]);
    let planted = format!("{before}{value}\n{}", &text[at..]);
    let place = Span::new(before.len(), before.len() + value.len());

    let sightings = engine.sightings(Channel::User, &planted);
    for sighting in &sightings {
        assert!(!sighting.span.is_empty(), "{sighting:?}");
        assert!(planted.get(sighting.span.range()).is_some(), "{sighting:?} is not in {planted:?}");
    }
    let is_found = sightings.iter().any(|sighting| {
        // Of what overlaps the best evidence is reported: a call for a telephone number takes what only looks like a
        // number of something else, and a private key takes in what stands in it.
        let is_all = sighting.span.start <= place.start && place.end <= sighting.span.end;
        is_all || (sighting.rule == rule && sighting.span.overlaps(place))
    });
    assert!(is_found || is_given_up(engine, &planted), "{rule} is not found in {planted:?}: {sightings:?}");
}

fn is_given_up(engine: &Engine, text: &str) -> bool {
    let scan = engine.scan("default", Direction::Request, Format::PlainText, text.as_bytes());
    let gaps = scan.map(|scan| scan.receipt.gaps).unwrap_or_default();
    gaps.iter().any(|gap| gap.reason == GapReason::Budget)
}
