use proptest::prelude::*;

use super::*;
use crate::access::permission::Permission;
use crate::access::role::Role;

const NOW_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn grant() -> Grant {
    Grant { label: "filters of the shop".into(), roles: Role::Ingest.into(), scope: None, not_after_ms: None }
}

fn random(seed: u8) -> [u8; RANDOM_BYTES] {
    std::array::from_fn(|idx| (idx as u8).wrapping_mul(59).wrapping_add(seed))
}

fn issue(grant: Grant) -> Issued {
    ApiKey::issue(grant, &random(1), NOW_MS).unwrap()
}

fn let_in(key: &ApiKey, text: &str, now_ms: i64) -> Result<Principal, KeyRefusal> {
    key.let_in(Presented::parse(text).unwrap(), now_ms)
}

#[test]
fn a_key_lets_in_whom_it_was_made_for() {
    let Issued { key, text } = issue(grant());
    assert_eq!(text.len(), 55);
    assert!(text.starts_with(&format!("sk_{}_", key.id)));
    let filter = let_in(&key, &text, NOW_MS).unwrap();
    assert_eq!(filter.who(), format!("key:{}", key.id));
    assert!(filter.may(Permission::SendEvents) && !filter.may(Permission::ReadEvents));
    let scope = Some(Permissions::of(&[Permission::SendEvents]));
    let Issued { key, text } = issue(Grant { scope, ..grant() });
    let filter = let_in(&key, &text, NOW_MS).unwrap();
    assert!(filter.may(Permission::SendEvents) && !filter.may(Permission::TakeLease));
}

#[test]
fn the_text_is_shown_once_and_printed_never() {
    let issued = issue(grant());
    let secret = issued.text.split_at(12).1;
    for printed in [format!("{issued:?}"), format!("{:?}", Presented::parse(&issued.text).unwrap())] {
        assert!(!printed.contains(secret) && printed.contains(issued.key.id.as_str()), "{printed}");
    }
}

#[test]
fn any_changed_bit_is_refused() {
    let Issued { key, text } = issue(grant());
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = str::from_utf8(&bytes).ok().and_then(Presented::parse);
        assert!(changed.is_none_or(|changed| key.let_in(changed, NOW_MS).is_err()), "bit {bit}");
    }
    // The same secret under the name of another key.
    let other = format!("sk_aaaaaaaa_{}", text.split_at(12).1);
    assert_eq!(let_in(&key, &other, NOW_MS), Err(KeyRefusal::Wrong));
}

#[test]
fn another_form_is_no_key() {
    let Issued { text, .. } = issue(grant());
    for other in [
        "",
        "sk_",
        "sk_abcdefgh",
        "sk_abcdefgh_",
        "a-token-of-old",
        "eyJhbGciOiJFZERTQSJ9.e30.AA",
        text.split_at(1).1,
        text.split_at(54).0,
        &format!("{text}A"),
        &format!("{text} "),
        &format!(" {text}"),
        &text.replacen("sk_", "SK_", 1),
        &text.replacen("sk_", "sk-", 1),
        &"é".repeat(40),
        &format!("sk_ABCDEFGH{}", text.split_at(11).1),
        &format!("sk_abcdefg{}", text.split_at(11).1),
    ] {
        assert!(Presented::parse(other).is_none(), "{other:?}");
    }
}

#[test]
fn a_key_ends_when_it_was_said_to() {
    let Issued { key, text } = issue(Grant { not_after_ms: Some(NOW_MS + HOUR_MS), ..grant() });
    assert!(let_in(&key, &text, NOW_MS + HOUR_MS - 1).is_ok());
    assert_eq!(let_in(&key, &text, NOW_MS + HOUR_MS), Err(KeyRefusal::Ended));
}

#[test]
fn a_revoked_key_does_not_come_back() {
    let Issued { mut key, text } = issue(grant());
    key.revoke(NOW_MS + 1);
    key.revoke(NOW_MS + 2);
    assert_eq!(key.revoked_ms, Some(NOW_MS + 1));
    // Whatever the clock says.
    assert_eq!(let_in(&key, &text, NOW_MS), Err(KeyRefusal::Revoked));
    assert!(key.rotate(&random(2), HOUR_MS, NOW_MS + 3).unwrap_err().contains("it was revoked"));
}

#[test]
fn both_keys_work_during_the_grace_and_only_the_new_one_after_it() {
    let Issued { key: mut old, text: old_text } = issue(grant());
    let Issued { key: new, text: new_text } = old.rotate(&random(2), HOUR_MS, NOW_MS).unwrap();
    assert_eq!((new.grant.clone(), new.replaced), (grant(), None));
    assert_eq!(old.replaced, Some(Replaced { by: new.id, until_ms: NOW_MS + HOUR_MS }));
    assert_ne!(old_text, new_text);
    for (now_ms, old_works) in [(NOW_MS, true), (NOW_MS + HOUR_MS - 1, true), (NOW_MS + HOUR_MS, false)] {
        assert_eq!(let_in(&old, &old_text, now_ms).is_ok(), old_works);
        assert!(let_in(&new, &new_text, now_ms).is_ok());
    }
    assert_eq!(let_in(&old, &old_text, NOW_MS + HOUR_MS), Err(KeyRefusal::Replaced));
    assert_eq!(let_in(&new, &old_text, NOW_MS), Err(KeyRefusal::Wrong));
}

#[test]
fn a_grace_is_not_made_longer_and_ends_with_the_key() {
    let end_ms = NOW_MS + 2 * HOUR_MS;
    let Issued { mut key, text } = issue(Grant { not_after_ms: Some(end_ms), ..grant() });
    assert!(key.rotate(&random(2), GRACE_MS_MAX + 1, NOW_MS).is_err());
    assert!(key.rotate(&random(2), -1, NOW_MS).is_err());
    assert!(key.rotate(&random(1), HOUR_MS, NOW_MS).unwrap_err().contains("the name of the old one"));
    assert_eq!(key.replaced, None, "what failed has changed nothing");
    let next = key.rotate(&random(2), GRACE_MS_MAX, NOW_MS + HOUR_MS).unwrap();
    assert_eq!(next.key.grant.not_after_ms, Some(NOW_MS + 3 * HOUR_MS), "it lasts as long again");
    assert!(
        key.rotate(&random(3), GRACE_MS_MAX, NOW_MS + HOUR_MS).unwrap_err().contains("successor already")
    );
    assert_eq!(let_in(&key, &text, end_ms), Err(KeyRefusal::Ended));
    assert!(key.rotate(&random(3), 0, end_ms).unwrap_err().contains("it has ended"));
}

#[test]
fn a_grant_that_is_a_mistake_is_refused_with_the_reason() {
    let refusal = |grant: Grant| ApiKey::issue(grant, &random(1), NOW_MS).unwrap_err();
    for label in ["", "a\nb", &"a".repeat(65)] {
        assert!(refusal(Grant { label: label.into(), ..grant() }).contains("a label has"));
    }
    assert!(refusal(Grant { roles: Roles::default(), ..grant() }).contains("at least one role"));
    let scope = Some(Permissions::of(&[Permission::SendEvents, Permission::Deploy]));
    assert_eq!(refusal(Grant { scope, ..grant() }), "the scope deploy is more than the roles ingest allow");
    assert!(refusal(Grant { scope: Some(Permissions::default()), ..grant() }).contains("scope is empty"));
    assert!(refusal(Grant { not_after_ms: Some(NOW_MS), ..grant() }).contains("not in the future"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}|sk_[a-z2-9]{8}_[A-Za-z0-9_-]{43}") {
        let key = issue(grant()).key;
        if let Some(presented) = Presented::parse(&text) {
            prop_assert_eq!(key.let_in(presented, NOW_MS), Err(KeyRefusal::Wrong));
        }
    }

    #[test]
    fn every_key_that_is_made_is_read(bytes in proptest::collection::vec(any::<u8>(), RANDOM_BYTES)) {
        let random: [u8; RANDOM_BYTES] = bytes.try_into().unwrap();
        let Issued { key, text } = ApiKey::issue(grant(), &random, NOW_MS).unwrap();
        prop_assert_eq!(KeyId::parse(key.id.as_str()), Some(key.id));
        prop_assert!(let_in(&key, &text, NOW_MS).is_ok());
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
