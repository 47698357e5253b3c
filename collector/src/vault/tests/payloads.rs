use proptest::prelude::*;

use super::*;

fn key(seed: u64) -> DataKey {
    DataKey::fresh(KeyId(42), scope(None), &mut seeded(seed)).unwrap()
}

fn payload(body: &[u8], seed: u64) -> Payload<&[u8]> {
    Payload { body, salt: Salt::fresh(&mut seeded(seed)).unwrap() }
}

const HERE: Place<'static> = Place { column: "body", vm: "vm-1", seq: 7 };

#[test]
fn a_payload_opens_in_its_row_only() {
    let sealed = key(1).seal(&HERE, &payload(b"what was said", 2), nonce(&mut seeded(3))).unwrap();
    let opened = key(1).open(&HERE, &sealed).unwrap();
    assert_eq!(opened.body, b"what was said");
    for elsewhere in [
        Place { seq: 8, ..HERE },
        Place { vm: "vm-2", ..HERE },
        Place { vm: "vm-", ..HERE },
        Place { column: "problem", ..HERE },
        Place { column: "bodyv", vm: "m-1", ..HERE },
    ] {
        assert_eq!(key(1).open(&elsewhere, &sealed).unwrap_err(), Refused::Forged, "{elsewhere:?}");
    }
    assert_eq!(key(2).open(&HERE, &sealed).unwrap_err(), Refused::Forged);
}

#[test]
fn the_same_text_sealed_twice_shows_no_likeness() {
    let mut chance = seeded(3);
    let [a, b] = [1, 2].map(|salt| {
        let payload = payload(&[b'a'; 64], salt);
        (key(1).seal(&HERE, &payload, nonce(&mut chance)).unwrap(), payload.commitment())
    });
    assert_ne!(a.1, b.1);
    assert!(a.0[1..].iter().zip(&b.0[1..]).filter(|(a, b)| a == b).count() < 12);
}

#[test]
fn a_commitment_holds_to_salt_and_body() {
    let said = payload(b"what was said", 1);
    assert_eq!(said.commitment(), Commitment::to(&said.salt, b"what was said"));
    assert_ne!(said.commitment(), payload(b"what was said", 2).commitment());
    assert_ne!(said.commitment(), payload(b"what was not said", 1).commitment());
}

#[test]
fn the_longest_payload_is_sealed_and_a_longer_one_refused() {
    let mut body = vec![b'a'; PAYLOAD_BYTES_MAX];
    let sealed = key(1).seal(&HERE, &payload(&body, 2), nonce(&mut seeded(3))).unwrap();
    assert_eq!(sealed.len(), body.len() + 57);
    assert!(key(1).open(&HERE, &sealed).unwrap().body == body);
    body.push(b'a');
    assert_eq!(key(1).seal(&HERE, &payload(&body, 2), nonce(&mut seeded(3))), Err(Refused::TooLong));
}

#[test]
fn a_later_version_is_named() {
    let mut sealed = key(1).seal(&HERE, &payload(b"", 2), nonce(&mut seeded(3))).unwrap();
    assert_eq!(sealed.len(), 57);
    sealed[0] = 9;
    assert_eq!(key(1).open(&HERE, &sealed).unwrap_err(), Refused::Version(9));
    assert!(matches!(key(1).open(&HERE, &[1; 56]).unwrap_err(), Refused::Form(_)));
    assert!(matches!(key(1).open(&HERE, &[]).unwrap_err(), Refused::Form(_)));
}

proptest! {
    #[test]
    fn what_is_sealed_opens(body: Vec<u8>, seed: u64, vm in ".{0,20}", seq: i64) {
        let place = Place { column: "body", vm: &vm, seq };
        let said = payload(&body, seed);
        let sealed = key(seed).seal(&place, &said, nonce(&mut seeded(seed ^ 1))).unwrap();
        let opened = key(seed).open(&place, &sealed).unwrap();
        prop_assert_eq!(opened.commitment(), said.commitment());
        prop_assert!(opened.salt == said.salt);
        prop_assert_eq!(opened.body, body);
    }

    #[test]
    fn any_bit_and_any_length_counts(body: Vec<u8>, bit: usize, cut in 1usize..100) {
        let sealed = key(1).seal(&HERE, &payload(&body, 2), nonce(&mut seeded(3))).unwrap();
        prop_assert!(key(1).open(&HERE, &flipped(&sealed, bit % (sealed.len() * 8))).is_err());
        prop_assert!(key(1).open(&HERE, &sealed[..sealed.len().saturating_sub(cut)]).is_err());
        prop_assert!(key(1).open(&HERE, &[&sealed[..], &[0]].concat()).is_err());
    }

    #[test]
    fn no_two_places_are_written_alike(a in "[vb1]{0,4}", b in "[vb1]{0,4}", m in -2i64..2, n in -2i64..2) {
        let (here, there) = (Place { column: "body", vm: &a, seq: m }, Place { column: "body", vm: &b, seq: n });
        let sealed = key(1).seal(&here, &payload(b"x", 2), nonce(&mut seeded(3))).unwrap();
        prop_assert_eq!(key(1).open(&there, &sealed).is_ok(), here == there);
    }
}
