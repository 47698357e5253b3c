//! Time goes only forwards, and so do versions.

use sentinel_bundle::{Bundle, BundleError, Newest};

use crate::forge::{NOW, draft, open, public, secret};

#[test]
fn it_is_valid_from_the_first_second_to_the_one_before_the_last() {
    let bundle = draft().seal(&[secret(1)]).unwrap();
    let (not_before, expires) = (NOW - 10, NOW + 10);
    let at = |now| Bundle::open(&bundle, &[public(1)], now, None).map(|bundle| bundle.id());
    for now in [not_before, NOW, expires - 1] {
        assert!(at(now).is_ok(), "{now}");
    }
    for now in [0, not_before - 1] {
        assert_eq!(at(now), Err(BundleError::NotYetValid { not_before, now }));
    }
    for now in [expires, expires + 1, u64::MAX] {
        assert_eq!(at(now), Err(BundleError::Expired { expires, now }));
    }
}

#[test]
fn versions_go_only_forwards() {
    let of_version = |version, name| {
        let draft = sentinel_bundle::Draft { version, name, ..draft() };
        draft.seal(&[secret(1)]).unwrap()
    };
    let seventh = of_version(7, "shop");
    let newest = open(&seventh).unwrap().newest();
    assert_eq!(newest.version, 7);
    let after = |bundle: &[u8], newest: &Newest| {
        Bundle::open(bundle, &[public(1)], NOW, Some(newest)).map(|bundle| bundle.newest())
    };
    assert_eq!(after(&seventh, &newest), Ok(newest), "the same one again");
    for version in 1..7 {
        let error = after(&of_version(version, "shop"), &newest).unwrap_err();
        assert_eq!(error, BundleError::Older { version, newest: 7 });
        assert_eq!(error.to_string(), format!("the bundle has version {version}, version 7 was seen before"));
    }
    let other = of_version(7, "shop-2");
    let id = open(&other).unwrap().id();
    let error = after(&other, &newest).unwrap_err();
    assert_eq!(error, BundleError::SameVersion { version: 7, id, newest: newest.id });
    let last = after(&of_version(u64::MAX, "shop"), &newest).unwrap();
    assert_eq!(last.version, u64::MAX);
    assert_eq!(after(&seventh, &last).unwrap_err().label(), "older");
}
