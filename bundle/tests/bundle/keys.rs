//! Who may sign, and how keys change without a pause.

use curve::*;
use sentinel_bundle::{Bundle, BundleError, KeyError, PublicKey, SecretKey, add_signatures};

use crate::forge::{NOW, POLICY, draft, framed, open, public, secret, signature_of};

/// The order of the group that signatures are numbers of, smallest byte first.
mod curve {
    pub(super) const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
}

#[test]
fn a_key_that_nobody_trusts_opens_nothing() {
    let bundle = draft().seal(&[secret(2)]).unwrap();
    let error = open(&bundle).unwrap_err();
    let [other, ours] = [public(2).id(), public(1).id()];
    assert_eq!(error, BundleError::NoTrustedKey { signed_by: vec![other], trusted: vec![ours] });
    assert_eq!(
        error.to_string(),
        format!("no signature is by a trusted key: signed by {other}, trusted is {ours}")
    );
    let nobody = Bundle::open(&bundle, &[], NOW, None).unwrap_err();
    assert_eq!(nobody.label(), "unknown_key");
}

/// The life of a change of keys: old, both, new. A reader that knows one of the two never stops.
#[test]
fn keys_change_while_both_are_in_use() {
    let old = draft().seal(&[secret(1)]).unwrap();
    let both = add_signatures(&old, &[secret(2)]).unwrap();
    let new = draft().seal(&[secret(2)]).unwrap();
    let opens = |bundle: &[u8], trusted: &[u8]| {
        let trusted: Vec<PublicKey> = trusted.iter().map(|n| public(*n)).collect();
        Bundle::open(bundle, &trusted, NOW, None).map(|bundle| (bundle.id(), bundle.signed_by().len())).ok()
    };
    let id = Some(open(&old).unwrap().id());
    for (bundle, trusted, signers) in [
        (&old, &[1][..], Some(1)),
        (&old, &[1, 2], Some(1)),
        (&old, &[2], None),
        (&both, &[1], Some(1)),
        (&both, &[1, 2], Some(2)),
        (&both, &[2], Some(1)),
        (&new, &[1], None),
        (&new, &[1, 2], Some(1)),
        (&new, &[2], Some(1)),
        (&both, &[3], None),
    ] {
        let opened = opens(bundle, trusted);
        assert_eq!(opened.map(|(_, n)| n), signers, "{trusted:?}");
        assert!(opened.is_none_or(|(other, _)| Some(other) == id), "signatures are no part of the id");
    }
    assert_eq!(both, draft().seal(&[secret(2), secret(1)]).unwrap(), "the order of signing shows");
    assert_eq!(add_signatures(&both, &[secret(1)]).unwrap(), both, "who has signed signs again");
    assert_eq!(add_signatures(&both, &[]).unwrap(), both);
}

/// Somebody who holds one trusted key must not be able to hide that another one's signature is forged.
#[test]
fn a_wrong_signature_by_a_trusted_key_is_not_made_good_by_another() {
    let bundle = draft().seal(&[secret(1), secret(2)]).unwrap();
    let manifest = open(&bundle).unwrap().manifest().to_bytes();
    let parts = &bundle[12 + manifest.len() + 2 * 72..];
    let right = |n| signature_of(&draft().seal(&[secret(n)]).unwrap(), &manifest);
    let mut signatures = [right(1), (public(2).id().0, [7; 64])];
    signatures.sort();
    let forged = framed(&manifest, &signatures, parts);
    let error = Bundle::open(&forged, &[public(1), public(2)], NOW, None).unwrap_err();
    assert_eq!(error, BundleError::WrongSignature(public(2).id()));
    assert!(open(&forged).is_ok(), "of a key that is not trusted nothing is asked");
}

#[test]
fn a_signature_is_for_bundles_alone_and_for_one() {
    let mut draft = draft();
    draft.parts.retain(|(_, _, bytes)| *bytes == POLICY);
    let bundle = draft.seal(&[secret(1)]).unwrap();
    let manifest = open(&bundle).unwrap().manifest().to_bytes();
    let bare = {
        use ed25519_dalek::{Signer, SigningKey};
        SigningKey::from_bytes(&[1; 32]).sign(&manifest).to_bytes()
    };
    let key = public(1).id();
    let error = open(&framed(&manifest, &[(key.0, bare)], POLICY)).map(|bundle| bundle.id()).unwrap_err();
    assert_eq!(error, BundleError::WrongSignature(key));
    draft.version += 1;
    let next = draft.seal(&[secret(1)]).unwrap();
    let borrowed = signature_of(&next, &open(&next).unwrap().manifest().to_bytes());
    let error = open(&framed(&manifest, &[borrowed], POLICY)).map(|bundle| bundle.id()).unwrap_err();
    assert_eq!(error, BundleError::WrongSignature(key));
}

/// Adding the order of the group to the second half of a signature gives another number that a lenient reader accepts.
#[test]
fn one_signature_cannot_be_turned_into_another() {
    let bundle = draft().seal(&[secret(1)]).unwrap();
    let manifest = open(&bundle).unwrap().manifest().to_bytes();
    let (key, mut signature) = signature_of(&bundle, &manifest);
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    let parts = &bundle[12 + manifest.len() + 72..];
    let error = open(&framed(&manifest, &[(key, signature)], parts)).map(|bundle| bundle.id()).unwrap_err();
    assert_eq!(error, BundleError::WrongSignature(public(1).id()));
}

#[test]
fn keys_that_anyone_can_sign_for_are_refused() {
    // The points whose small multiples come back to nought: of order 1, 2, 4 and 8.
    let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let mut eighth = [0; 32];
    for (byte, pair) in eighth.iter_mut().zip(order_8.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    let mut first = [0; 32];
    first[0] = 1;
    let mut second = [0xff; 32];
    (second[0], second[31]) = (0xec, 0x7f);
    for point in [[0; 32], first, second, eighth] {
        let error = PublicKey::from_bytes(&point).unwrap_err();
        assert!(error.to_string().contains("weak"), "{point:?}: {error}");
    }
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert!(PublicKey::from_bytes(&no_point).is_err());
}

#[test]
fn keys_have_one_text() {
    let (secret, public) = (secret(9), public(9));
    assert_eq!(PublicKey::parse(&public.to_string()), Ok(public.clone()));
    let again = SecretKey::parse(&secret.to_text()).unwrap();
    assert_eq!(again.public(), Ok(public.clone()));
    assert_eq!(format!("{secret:?}"), "SecretKey(..)");
    let text = public.to_string();
    for wrong in
        ["", "ed25519:", &text[8..], &text[..text.len() - 1], &format!("{text}\n"), &secret.to_text()]
    {
        let error: KeyError = PublicKey::parse(wrong).unwrap_err();
        assert!(error.to_string().contains("ed25519:"), "{wrong:?}: {error}");
    }
    assert!(SecretKey::parse(&text).is_err());
}

/// The first example of RFC 8032, so that keys of other tools are the same keys here.
#[test]
fn keys_are_those_of_the_standard() {
    let bytes = |hex: &str| -> [u8; 32] {
        std::array::from_fn(|idx| u8::from_str_radix(&hex[2 * idx..2 * idx + 2], 16).unwrap())
    };
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(SecretKey::from_seed(&seed).public(), PublicKey::from_bytes(&public));
}
