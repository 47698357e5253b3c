use std::num::NonZeroI64;

use proptest::prelude::*;

use super::*;

fn sealed_by(key: &DataKey) -> Vec<u8> {
    let payload = Payload { body: b"what was said".as_slice(), salt: Salt([3; 16]) };
    key.seal(&Place { column: "body", vm: "vm", seq: 1 }, &payload, nonce(&mut seeded(99))).unwrap()
}

#[test]
fn a_key_opens_only_as_itself() {
    let ring = ring(1);
    let key = DataKey::fresh(KeyId(42), scope(Some(TAG)), &mut seeded(2)).unwrap();
    let wrapped = key.wrap(&ring, nonce(&mut seeded(3))).unwrap();
    let again = DataKey::unwrap(&wrapped, KeyId(42), scope(Some(TAG)), &ring).unwrap();
    assert_eq!(sealed_by(&again), sealed_by(&key));
    let other_period = Scope { period: Period(0), ..scope(Some(TAG)) };
    for (id, scope) in [
        (KeyId(43), scope(Some(TAG))),
        (KeyId(42), other_period),
        (KeyId(42), scope(None)),
        (KeyId(42), scope(Some(SubjectTag([0x5b; 16])))),
    ] {
        assert_eq!(DataKey::unwrap(&wrapped, id, scope, &ring).unwrap_err(), Refused::Forged);
    }
    assert_eq!(Root::unwrap(&wrapped, &ring).unwrap_err(), Refused::Forged);
}

#[test]
fn rotation_moves_every_key_and_changes_no_secret() {
    let (old, new) = (ring(1), ring(2));
    let key = DataKey::fresh(KeyId(42), scope(None), &mut seeded(2)).unwrap();
    let root = Root::fresh(&mut seeded(3)).unwrap();
    let mut chance = seeded(4);
    let wrapped = key.wrap(&old, nonce(&mut chance)).unwrap();
    let wrapped_root = root.wrap(&old, nonce(&mut chance)).unwrap();

    let both = joined(&[&new, &old]);
    let moved = DataKey::rewrap(&wrapped, KeyId(42), &scope(None), &both, nonce(&mut chance)).unwrap();
    let moved_root = Root::unwrap(&wrapped_root, &both).unwrap().wrap(&both, nonce(&mut chance)).unwrap();
    assert_eq!((moved.kek(), moved_root.kek()), (new.first().id(), new.first().id()));

    let again = DataKey::unwrap(&moved, KeyId(42), scope(None), &new).unwrap();
    assert_eq!(sealed_by(&again), sealed_by(&key));
    let again = Root::unwrap(&moved_root, &new).unwrap();
    assert_eq!(again.blinder().subject("anna"), root.blinder().subject("anna"));
    assert_eq!(again.log_seed().bytes(), root.log_seed().bytes());

    let refused = DataKey::unwrap(&wrapped, KeyId(42), scope(None), &new).unwrap_err();
    assert_eq!(refused, Refused::UnknownKek(old.first().id()));
    assert!(refused.to_string().contains(&old.first().id().to_string()));
}

#[test]
fn a_wrapped_key_of_another_version_or_length_is_named() {
    let key = DataKey::fresh(KeyId(42), scope(None), &mut seeded(2)).unwrap();
    let mut bytes = key.wrap(&ring(1), nonce(&mut seeded(3))).unwrap().to_bytes();
    assert_eq!(bytes.len(), WRAPPED_BYTES);
    assert!(matches!(Wrapped::parse(&bytes[1..]), Err(Refused::Form(_))));
    bytes[0] = 2;
    assert_eq!(Wrapped::parse(&bytes), Err(Refused::Version(2)));
}

#[test]
fn a_period_holds_its_times_and_no_others() {
    let day = NonZeroI64::new(86_400_000).unwrap();
    assert_eq!(Period::of(0, day), Period(0));
    assert_eq!(Period::of(86_399_999, day), Period(0));
    assert_eq!(Period::of(86_400_000, day), Period(86_400_000));
    assert_eq!(Period::of(-1, day), Period(-86_400_000));
    for length in [i64::MIN, -1, 1, i64::MAX] {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            let _ = Period::of(time, NonZeroI64::new(length).unwrap());
        }
    }
}

proptest! {
    #[test]
    fn any_bit_of_a_wrapped_key_counts(bit in 0usize..WRAPPED_BYTES * 8) {
        let ring = ring(1);
        let key = DataKey::fresh(KeyId(42), scope(None), &mut seeded(2)).unwrap();
        let wrapped = key.wrap(&ring, nonce(&mut seeded(3))).unwrap();
        let opened = Wrapped::parse(&flipped(&wrapped.to_bytes(), bit))
            .and_then(|wrapped| DataKey::unwrap(&wrapped, KeyId(42), scope(None), &ring));
        prop_assert!(opened.is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = Wrapped::parse(&bytes).map(|wrapped| Root::unwrap(&wrapped, &ring(1)));
        let _ = DataKey::fresh(KeyId(1), scope(None), &mut seeded(1)).unwrap()
            .open(&Place { column: "body", vm: "vm", seq: 1 }, &bytes);
    }
}
