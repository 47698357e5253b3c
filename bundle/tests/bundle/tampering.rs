//! Every way to change a small bundle, one after the other.

use sentinel_bundle::{Bundle, BundleError};

use crate::forge::{NOW, draft, open, public, secret};

fn refused(changed: &[u8], what: impl Fn() -> String) -> BundleError {
    match open(changed) {
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.label().is_empty());
            error
        }
        Ok(_) => panic!("opened although {}", what()),
    }
}

#[test]
fn every_bit_of_every_byte_counts() {
    let whole = draft().seal(&[secret(1)]).unwrap();
    open(&whole).unwrap();
    let mut changed = whole.clone();
    for at in 0..whole.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            changed[at] ^= mask;
            refused(&changed, || format!("byte {at} was changed by {mask:#x}"));
            changed[at] ^= mask;
        }
    }
    assert_eq!(changed, whole);
}

#[test]
fn what_is_cut_anywhere_is_refused_for_that() {
    let whole = draft().seal(&[secret(1)]).unwrap();
    for len in 0..whole.len() {
        let error = refused(&whole[..len], || format!("only {len} bytes are there"));
        assert_eq!(error.label(), "truncated", "{len}: {error}");
    }
}

#[test]
fn nothing_may_follow_stand_before_or_stand_between() {
    let whole = draft().seal(&[secret(1)]).unwrap();
    for n in 1..200 {
        let longer = [&whole[..], &vec![0; n]].concat();
        let error = refused(&longer, || format!("{n} bytes follow"));
        assert_eq!(error, BundleError::Trailing(n));
    }
    refused(&[&whole[..], &whole].concat(), || "it is there twice".into());
    for at in 0..=whole.len() {
        for byte in [0, b' ', 0xff] {
            let longer = [&whole[..at], &[byte], &whole[at..]].concat();
            refused(&longer, || format!("byte {byte:#x} was put in at {at}"));
        }
    }
    for at in 0..whole.len() {
        let shorter = [&whole[..at], &whole[at + 1..]].concat();
        refused(&shorter, || format!("byte {at} was taken out"));
    }
}

#[test]
fn parts_cannot_change_places() {
    let whole = draft().seal(&[secret(1)]).unwrap();
    let parts: usize = draft().parts.iter().map(|(_, _, bytes)| bytes.len()).sum();
    let from = whole.len() - parts;
    for shift in 1..parts {
        let mut changed = whole.clone();
        changed[from..].rotate_left(shift);
        refused(&changed, || format!("the parts were turned by {shift}"));
    }
}

/// A signature by a key that the reader does not know cannot be checked, and says nothing. So it may be changed; what is
/// in the bundle may not.
#[test]
fn with_several_signatures_no_change_changes_what_is_read() {
    let whole = draft().seal(&[secret(1), secret(2), secret(3)]).unwrap();
    let trusted = [public(1), public(2)];
    let original = Bundle::open(&whole, &trusted, NOW, None).unwrap();
    let mut n_opened = 0;
    for at in 0..whole.len() {
        for mask in [1, 128, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= mask;
            let Ok(opened) = Bundle::open(&changed, &trusted, NOW, None) else { continue };
            n_opened += 1;
            assert_eq!(opened.id(), original.id(), "byte {at}");
            assert!(opened.contents().parts().eq(original.contents().parts()), "byte {at}");
            assert!(opened.signed_by().iter().all(|key| original.signed_by().contains(key)), "byte {at}");
        }
    }
    // The 64 bytes of the third signature, and some of the key ids.
    assert!((64 * 3..=88 * 3).contains(&n_opened), "{n_opened}");
}
