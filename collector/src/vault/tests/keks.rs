use proptest::prelude::*;

use super::*;
use crate::vault::kek::KekError;

fn text(seed: u64) -> String {
    ring(seed).first().to_text().to_string()
}

#[test]
fn the_first_key_of_a_ring_wraps_and_all_are_there() {
    let (a, b, c) = (ring(1), ring(2), ring(3));
    let ids = |ring: &Ring| ring.ids().collect::<Vec<_>>();
    let expected = vec![a.first().id(), b.first().id(), c.first().id()];
    for content in [
        format!("{}\n{}\n{}\n", text(1), text(2), text(3)),
        format!("# newest first\r\n\r\n  {}  \r\n{}\r\n{}", text(1), text(2), text(3)),
        format!("{},{} , {}", text(1), text(2), text(3)),
    ] {
        let ring = Ring::parse(&content).unwrap();
        assert_eq!(ids(&ring), expected);
        assert_eq!(ring.first().id(), a.first().id());
        assert!(ring.get(c.first().id()).is_some());
        assert!(ring.get(super::ring(4).first().id()).is_none());
    }
}

#[test]
fn an_error_names_the_line_and_the_reason_and_never_the_key() {
    let good = text(1);
    let (head, key) = good.rsplit_once(':').unwrap();
    let but_first = |n: usize| key.chars().skip(n).collect::<String>();
    let mistyped = format!("{head}:{}{}", if key.starts_with('A') { 'B' } else { 'A' }, but_first(1));
    let same = Kek::fresh(&mut Same).unwrap().to_text();
    for (line, reason) in [
        (key.to_owned(), "begins with \"kek:\""),
        (format!("kek:{key}"), "has the form"),
        (format!("{head}:{}", but_first(4)), "no base64 of 32 bytes"),
        (format!("{head}:*{}", but_first(1)), "no base64 of 32 bytes"),
        (mistyped, "another is written"),
        (format!("kek:00000000:{key}"), "another is written"),
        (good.clone(), "twice"),
        (format!("{},", text(2)), "begins with"),
        (same.to_string(), "one byte repeated"),
    ] {
        let error = Ring::parse(&format!("{good}\n# a comment\n{line}\n")).unwrap_err();
        let KekError::Line { line: 3, reason: said } = &error else { panic!("{error:?}") };
        assert!(said.contains(reason), "{line}: {said}");
        assert!(!error.to_string().contains(&but_first(36)), "{error}");
    }
    for empty in ["", "\n \n", "# nothing\n"] {
        assert_eq!(Ring::parse(empty).unwrap_err(), KekError::Empty);
    }
    let many: Vec<String> = (0..17).map(text).collect();
    assert!(Ring::parse(&many[..16].join("\n")).is_ok());
    assert!(Ring::parse(&many.join("\n")).unwrap_err().to_string().starts_with("line 17: "));
}

struct Same;

impl Entropy for Same {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(7);
        Ok(())
    }
}

#[test]
fn nothing_secret_is_shown() {
    let ring = ring(1);
    let id = ring.first().id();
    assert_eq!(format!("{ring:?}"), format!("Ring {{ first: Kek({id}), others: [] }}"));
    let root = Root::fresh(&mut seeded(2)).unwrap();
    assert_eq!(format!("{root:?} {:?}", root.blinder()), "Root(Secret(..)) Blinder(..)");
    let key = DataKey::fresh(KeyId(1), scope(None), &mut seeded(3)).unwrap();
    assert!(format!("{key:?}").ends_with("secret: Secret(..) }"));
    let payload = Payload { body: b"hello".as_slice(), salt: Salt([1; 16]) };
    assert_eq!(format!("{payload:?} {:?}", payload.salt), "Payload(5 bytes) Salt(..)");
}

#[test]
fn without_chance_there_is_no_key() {
    assert_eq!(Kek::fresh(&mut Dry).unwrap_err(), NoEntropy);
    assert_eq!(Root::fresh(&mut Dry).unwrap_err(), NoEntropy);
    assert_eq!(DataKey::fresh(KeyId(1), scope(None), &mut Dry).unwrap_err(), NoEntropy);
    assert_eq!(Nonce::fresh(&mut Dry).unwrap_err(), NoEntropy);
    assert_eq!(Salt::fresh(&mut Dry).unwrap_err(), NoEntropy);
    assert_eq!(KeyId::fresh(&mut Dry).unwrap_err(), NoEntropy);
}

#[test]
fn the_chance_of_the_system_differs_each_time() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        assert!(seen.insert(Kek::fresh(&mut System).unwrap().id()));
        assert!(KeyId::fresh(&mut System).unwrap().0 > 0);
    }
}

proptest! {
    #[test]
    fn a_key_written_is_the_key_read(seed: u64) {
        let read = Ring::parse(&text(seed)).unwrap();
        prop_assert_eq!(read.first().id(), ring(seed).first().id());
        prop_assert_eq!(&**read.first().to_text(), text(seed));
    }

    #[test]
    fn no_text_panics(text in "(kek:|[0-9a-f]{8}|:|[A-Za-z0-9+/]{44}|=|\n|,|#|\\PC){0,20}") {
        let _ = Ring::parse(&text);
    }

    #[test]
    fn one_letter_wrong_is_no_key(at in 0usize..1000, letter in "[A-Za-z0-9+/=:]") {
        let good = text(5);
        let (before, behind) = good.split_at(at % good.len());
        let wrong: String = before.chars().chain(letter.chars()).chain(behind.chars().skip(1)).collect();
        prop_assert_eq!(Ring::parse(&wrong).is_ok(), wrong == good);
    }
}
