use std::{num::NonZeroUsize, sync::Arc};

use proptest::prelude::*;

use super::*;

fn subject(n: u8) -> Scope {
    scope(Some(SubjectTag([n; 16])))
}

fn row(n: u8) -> KeyRow {
    let key = DataKey::fresh(KeyId(n.into()), subject(n), &mut seeded(n.into())).unwrap();
    let wrapped = key.wrap(&ring(1), nonce(&mut seeded(n.into()))).unwrap();
    KeyRow { id: key.id(), scope: *key.scope(), state: KeyState::Live(wrapped) }
}

fn keyring(keys_max: usize) -> Keyring {
    Keyring::new(NonZeroUsize::new(keys_max).unwrap())
}

const NONE: Erasures = Erasures(0);

fn is_open(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Open(_))
}

#[test]
fn a_key_is_unknown_until_its_row_is_brought() {
    let mut keys = keyring(4);
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Unknown));
    assert!(keys.for_sealing(&subject(1)).is_none());
    keys.admit(&row(1), NONE, &ring(1)).unwrap();
    assert!(is_open(&keys.for_opening(KeyId(1))));
    assert_eq!(keys.for_sealing(&subject(1)).unwrap().id(), KeyId(1));
    assert!(keys.for_sealing(&subject(2)).is_none());
}

#[test]
fn the_key_used_longest_ago_makes_room() {
    let mut keys = keyring(3);
    for n in [1, 2, 3] {
        keys.admit(&row(n), NONE, &ring(1)).unwrap();
    }
    assert!(keys.for_sealing(&subject(1)).is_some());
    keys.admit(&row(4), NONE, &ring(1)).unwrap();
    assert_eq!(keys.len(), 3);
    assert!(keys.for_sealing(&subject(2)).is_none());
    for n in [1, 3, 4] {
        assert!(is_open(&keys.for_opening(KeyId(n))), "{n}");
    }
}

#[test]
fn a_destroyed_key_is_forgotten_at_once_and_wiped_with_its_last_holder() {
    let mut keys = keyring(4);
    keys.admit(&row(1), NONE, &ring(1)).unwrap();
    keys.admit(&row(2), NONE, &ring(1)).unwrap();
    let Lookup::Open(held) = keys.for_opening(KeyId(1)) else { panic!("it is there") };
    let there = Arc::downgrade(&held);
    keys.destroy(&[KeyId(1)], 1_000, Erasures(1));
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Destroyed { at_ms: 1_000 }));
    assert!(keys.for_sealing(&subject(1)).is_none());
    assert!(is_open(&keys.for_opening(KeyId(2))), "the others stay");
    drop(held);
    assert!(there.upgrade().is_none());
}

#[test]
fn a_row_read_before_a_destruction_does_not_bring_the_key_back() {
    let mut keys = keyring(4);
    let early = row(1);
    keys.destroy(&[KeyId(1)], 1_000, Erasures(1));
    assert_eq!(keys.admit(&early, NONE, &ring(1)), Err(NotAdmitted::Stale));
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Destroyed { .. }));
    let destroyed = KeyRow { state: KeyState::Destroyed { at_ms: 1_000 }, ..early };
    assert_eq!(keys.admit(&destroyed, Erasures(1), &ring(1)), Ok(()));
    assert!(keys.for_sealing(&subject(1)).is_none());
}

#[test]
fn what_another_replica_destroyed_is_forgotten_when_the_number_is_seen() {
    let mut keys = keyring(4);
    keys.admit(&row(1), Erasures(5), &ring(1)).unwrap();
    keys.see(Erasures(5));
    keys.see(Erasures(4));
    assert!(is_open(&keys.for_opening(KeyId(1))));
    keys.see(Erasures(6));
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Unknown));
    keys.admit(&row(1), Erasures(6), &ring(1)).unwrap();
    keys.destroy(&[KeyId(9)], 1_000, Erasures(8));
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Unknown), "a destruction between was not seen");
}

#[test]
fn a_new_key_of_a_subject_takes_the_place_of_the_destroyed_one() {
    let mut keys = keyring(4);
    keys.admit(&row(1), NONE, &ring(1)).unwrap();
    keys.destroy(&[KeyId(1)], 1_000, Erasures(1));
    let next = DataKey::fresh(KeyId(77), subject(1), &mut seeded(77)).unwrap();
    let wrapped = next.wrap(&ring(1), nonce(&mut seeded(78))).unwrap();
    let row = KeyRow { id: KeyId(77), scope: subject(1), state: KeyState::Live(wrapped) };
    keys.admit(&row, Erasures(1), &ring(1)).unwrap();
    assert_eq!(keys.for_sealing(&subject(1)).unwrap().id(), KeyId(77));
    keys.destroy(&[KeyId(1)], 1_000, Erasures(1));
    assert_eq!(keys.for_sealing(&subject(1)).unwrap().id(), KeyId(77));
}

#[test]
fn of_two_live_keys_for_one_scope_the_later_stays_when_the_other_goes() {
    let mut keys = keyring(2);
    keys.admit(&row(1), NONE, &ring(1)).unwrap();
    let second = DataKey::fresh(KeyId(77), subject(1), &mut seeded(77)).unwrap();
    let wrapped = second.wrap(&ring(1), nonce(&mut seeded(78))).unwrap();
    let row_77 = KeyRow { id: KeyId(77), scope: subject(1), state: KeyState::Live(wrapped) };
    keys.admit(&row_77, NONE, &ring(1)).unwrap();
    keys.admit(&row(2), NONE, &ring(1)).unwrap();
    assert!(matches!(keys.for_opening(KeyId(1)), Lookup::Unknown));
    assert_eq!(keys.for_sealing(&subject(1)).unwrap().id(), KeyId(77));
}

#[test]
fn a_row_that_does_not_open_changes_nothing() {
    let mut keys = keyring(4);
    keys.admit(&row(1), NONE, &ring(1)).unwrap();
    let swapped = KeyRow { id: KeyId(1), ..row(2) };
    assert_eq!(keys.admit(&swapped, NONE, &ring(1)), Err(NotAdmitted::Refused(Refused::Forged)));
    let unknown = NotAdmitted::Refused(Refused::UnknownKek(ring(1).first().id()));
    assert_eq!(keys.admit(&row(2), NONE, &ring(2)), Err(unknown));
    assert!(is_open(&keys.for_opening(KeyId(1))));
    assert_eq!(keys.len(), 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Bring(u8),
    BringOld(u8),
    Destroy(u8),
    DestroyElsewhere(u8),
    Open(u8),
    Seal(u8),
}

fn step() -> impl Strategy<Value = Step> {
    (0u8..6, 0u8..5).prop_map(|(what, n)| match what {
        0 => Step::Bring(n),
        1 => Step::BringOld(n),
        2 => Step::Destroy(n),
        3 => Step::DestroyElsewhere(n),
        4 => Step::Open(n),
        _ => Step::Seal(n),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Against a store that is a list: whatever happens in whatever order, a key that was destroyed here, or elsewhere
    /// with its number seen since, is never open; and there are never more slots than allowed.
    #[test]
    fn a_destroyed_key_opens_nothing(steps in proptest::collection::vec(step(), 0..60), keys_max in 1usize..5) {
        let (ring, mut keys) = (ring(1), keyring(keys_max));
        let live: Vec<KeyRow> = (0..5).map(row).collect();
        let mut rows = live.clone();
        let (mut count, mut seen) = (0, 0);
        let mut known = [false; 5];
        for step in steps {
            match step {
                Step::Bring(n) => {
                    prop_assert_eq!(keys.admit(&rows[usize::from(n)], Erasures(count), &ring), Ok(()));
                    seen = count;
                }
                Step::BringOld(n) if seen > 0 => {
                    let stale = keys.admit(&live[usize::from(n)], Erasures(seen - 1), &ring);
                    prop_assert_eq!(stale, Err(NotAdmitted::Stale));
                }
                Step::Destroy(n) => {
                    count += 1;
                    seen = count;
                    rows[usize::from(n)].state = KeyState::Destroyed { at_ms: 5 };
                    keys.destroy(&[KeyId(n.into())], 5, Erasures(count));
                }
                Step::DestroyElsewhere(n) => {
                    count += 1;
                    rows[usize::from(n)].state = KeyState::Destroyed { at_ms: 5 };
                }
                Step::BringOld(_) | Step::Open(_) | Step::Seal(_) => {}
            }
            if seen == count {
                known = std::array::from_fn(|n| matches!(rows[n].state, KeyState::Destroyed { .. }));
            }
            prop_assert!(keys.len() <= keys_max);
            let touched: Vec<u8> = match step {
                Step::Open(n) | Step::Seal(n) => vec![n],
                _ => (0..5).collect(),
            };
            for n in touched {
                let sealing = keys.for_sealing(&subject(n));
                prop_assert!(sealing.is_none_or(|key| key.scope() == &subject(n) && !known[usize::from(n)]));
                prop_assert!(!is_open(&keys.for_opening(KeyId(n.into()))) || !known[usize::from(n)]);
            }
        }
    }
}
