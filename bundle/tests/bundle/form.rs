//! The form of the file: what is written comes back, one content has one file, and what is rightly signed and wrongly
//! made is refused all the same.

use proptest::prelude::*;
use sentinel_bundle::{
    BUNDLE_BYTES_MAX, Bundle, BundleError, Contents, Draft, Hash, Kind, MANIFEST_BYTES_MAX, Manifest,
    PARTS_MAX, SIGNATURES_MAX, add_signatures,
};

use crate::forge::{NOW, POLICY, draft, framed, open, public, secret, signed};

#[test]
fn what_was_put_in_is_what_is_read() {
    let file = draft().seal(&[secret(1)]).unwrap();
    let bundle = open(&file).unwrap();
    let Manifest { name, version, not_before, expires, evaluation, .. } = bundle.manifest();
    assert_eq!((name.as_str(), *version, *not_before, *expires), ("shop", 7, NOW - 10, NOW + 10));
    assert_eq!(*evaluation, Some(Hash::of(b"a report")));
    let contents = bundle.contents();
    assert_eq!(contents.policy(), POLICY);
    assert_eq!(contents.packs(), None);
    assert_eq!(contents.model(), Some(&b"SMDL and so on"[..]));
    assert_eq!(contents.feeds().collect::<Vec<_>>(), [("deny.txt", &b"203.0.113.9"[..])]);
    let names: Vec<&str> = contents.parts().map(|(entry, _)| entry.name.as_str()).collect();
    assert_eq!(names, ["policy.json", "compact.smdl", "deny.txt"]);
    let inside = file.as_ptr_range();
    assert!(contents.parts().all(|(_, bytes)| inside.contains(&bytes.as_ptr())), "parts are not copied");
}

/// Whoever writes another reader needs the very bytes.
#[test]
fn the_file_is_what_the_document_says() {
    let draft = Draft { parts: vec![("policy.json", Kind::Policy, POLICY)], evaluation: None, ..draft() };
    let file = draft.seal(&[secret(1)]).unwrap();
    let manifest = format!(
        "{{\"schema\":\"sentinel.bundle/1\",\"name\":\"shop\",\"version\":7,\"not_before\":1799999990,\
         \"expires\":1800000010,\"parts\":[{{\"name\":\"policy.json\",\"kind\":\"policy\",\"bytes\":{},\"sha256\":\"{}\"}}]}}",
        POLICY.len(),
        Hash::of(POLICY)
    );
    assert_eq!(file, signed(&manifest, POLICY));
    assert_eq!(open(&file).unwrap().id(), Hash::of(manifest.as_bytes()));
}

#[test]
fn the_order_in_which_parts_and_keys_are_named_does_not_show() {
    let file = draft().seal(&[secret(1), secret(2)]).unwrap();
    let mut other = draft();
    other.parts.reverse();
    assert_eq!(other.seal(&[secret(2), secret(1)]).unwrap(), file);
    assert_eq!(draft().seal(&[secret(1), secret(1), secret(2)]).unwrap(), file);
}

fn manifest_of(parts: &[(&str, &str, &[u8])]) -> String {
    let entry = |(name, kind, bytes): &(&str, &str, &[u8])| {
        let (n, hash) = (bytes.len(), Hash::of(bytes));
        format!("{{\"name\":\"{name}\",\"kind\":\"{kind}\",\"bytes\":{n},\"sha256\":\"{hash}\"}}")
    };
    let parts: Vec<String> = parts.iter().map(entry).collect();
    format!(
        "{{\"schema\":\"sentinel.bundle/1\",\"name\":\"shop\",\"version\":7,\"not_before\":1,\"expires\":9000000000,\
         \"parts\":[{}]}}",
        parts.join(",")
    )
}

#[test]
fn a_manifest_has_one_text() {
    let right = manifest_of(&[("p", "policy", POLICY)]);
    open(&signed(&right, POLICY)).unwrap();
    for (from, to, reason) in [
        ("sentinel.bundle/1", "sentinel.bundle/2", "schema is"),
        ("\"version\":7", "\"version\": 7", "one form"),
        ("\"version\":7", "\"version\":07", "invalid number"),
        ("\"version\":7", "\"version\":7.0", "floating point"),
        ("\"version\":7", "\"version\":-7", "integer"),
        ("\"version\":7", "\"version\":0", "version is 0"),
        ("\"version\":7", "\"version\":18446744073709551616", "floating point"),
        ("\"version\":7", "\"version\":7,\"version\":8", "duplicate field"),
        ("\"version\":7", "\"version\":7,\"then\":1", "unknown field `then`"),
        ("\"version\":7,", "", "missing field `version`"),
        ("\"name\":\"shop\",\"version\":7", "\"version\":7,\"name\":\"shop\"", "one form"),
        ("\"shop\"", "\"\\u0073hop\"", "one form"),
        ("\"shop\"", "\"my shop\"", "name is"),
        ("\"shop\"", "\"\"", "name is"),
        ("\"name\":\"p\"", "\"name\":\"../p\"", "parts[0].name is"),
        ("\"not_before\":1", "\"not_before\":9000000000", "never be valid"),
        ("\"kind\":\"policy\"", "\"kind\":\"program\"", "unknown variant `program`"),
        ("\"kind\":\"policy\"", "\"kind\":\"feed\"", "0 parts of kind policy"),
        ("\"sha256\":\"", "\"sha256\":\"A", "no SHA-256"),
        ("]}", "],\"evaluation\":null}", "one form"),
        ("]}", "]} ", "one form"),
        ("]}", "]}{}", "trailing characters"),
    ] {
        assert!(right.contains(from), "{from}");
        let error = open(&signed(&right.replacen(from, to, 1), POLICY)).map(|b| b.id()).unwrap_err();
        assert_eq!(error.label(), "malformed", "{to}: {error}");
        assert!(error.to_string().contains(reason), "{to}: {error}");
    }
    for text in ["{}", "[]", "\u{feff}{}", "null", "\u{0}\u{0}"] {
        assert_eq!(open(&signed(text, POLICY)).map(|b| b.id()).unwrap_err().label(), "malformed", "{text:?}");
    }
}

#[test]
fn parts_are_as_many_as_they_may_be_and_in_their_order() {
    let long = "n".repeat(65);
    for (parts, reason) in [
        (&[][..], "0 parts of kind policy, expected exactly one"),
        (&[("a", "policy", &b"1"[..]), ("b", "policy", b"2")], "2 parts of kind policy"),
        (&[("p", "policy", b"1"), ("a", "packs", b"2"), ("b", "packs", b"3")], "2 parts of kind packs"),
        (&[("p", "policy", b"1"), ("a", "model", b"2"), ("b", "model", b"3")], "2 parts of kind model"),
        (&[("p", "policy", b"1"), ("p", "model", b"2")], "parts[1].name: two parts have the name \"p\""),
        (&[("p", "policy", b"1"), ("b", "feed", b"2"), ("a", "feed", b"3")], "order of kind and name"),
        (&[("m", "model", b"1"), ("p", "policy", b"2")], "order of kind and name"),
        (&[("p", "policy", b"")], "parts[0].bytes is 0"),
        (&[(&long, "policy", b"1")], "1 to 64 letters"),
    ] {
        let bytes: Vec<u8> = parts.iter().flat_map(|(_, _, bytes)| bytes.iter().copied()).collect();
        let error = open(&signed(&manifest_of(parts), &bytes)).map(|b| b.id()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let names: Vec<String> = (0..PARTS_MAX).map(|n| format!("feed-{n:02}")).collect();
    let mut parts = vec![("p", "policy", &b"x"[..])];
    parts.extend(names.iter().skip(1).map(|name| (name.as_str(), "feed", &b"x"[..])));
    open(&signed(&manifest_of(&parts), &[b'x'; PARTS_MAX])).unwrap();
    parts.push(("one-more", "feed", b"x"));
    let error = open(&signed(&manifest_of(&parts), &[b'x'; PARTS_MAX + 1])).map(|b| b.id()).unwrap_err();
    assert_eq!(error.to_string(), "manifest: it lists 33 parts, at most 32 are allowed");
}

#[test]
fn lengths_that_lie_are_refused() {
    let listed = |n: &str| manifest_of(&[("p", "policy", POLICY)]).replace("\"bytes\":30", n);
    assert_eq!(POLICY.len(), 30);
    for (n, label) in [
        ("\"bytes\":29", "tampered"),
        ("\"bytes\":31", "truncated"),
        ("\"bytes\":4294967295", "truncated"),
        ("\"bytes\":4294967296", "malformed"),
    ] {
        assert_eq!(open(&signed(&listed(n), POLICY)).map(|b| b.id()).unwrap_err().label(), label, "{n}");
    }
    let hash = Hash::of(POLICY).to_string();
    let other = manifest_of(&[("p", "policy", POLICY)]).replace(&hash, &Hash::of(b"").to_string());
    let error = open(&signed(&other, POLICY)).map(|b| b.id()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("part p: its SHA-256 is {hash}, the manifest says {}", Hash::of(b""))
    );
}

#[test]
fn limits_hold_before_anything_is_read() {
    let manifest = manifest_of(&[("p", "policy", POLICY)]);
    let none = framed(manifest.as_bytes(), &[], POLICY);
    assert_eq!(open(&none).map(|b| b.id()), Err(BundleError::Signatures(0)));
    let of_keys = |n: usize| {
        let signatures: Vec<_> = (0..n).map(|n| ((n as u64).to_be_bytes(), [0; 64])).collect();
        open(&framed(manifest.as_bytes(), &signatures, POLICY)).map(|b| b.id()).unwrap_err()
    };
    assert_eq!(of_keys(SIGNATURES_MAX).label(), "unknown_key");
    assert_eq!(of_keys(SIGNATURES_MAX + 1), BundleError::Signatures(SIGNATURES_MAX + 1));
    let twice = framed(manifest.as_bytes(), &[([1; 8], [0; 64]), ([1; 8], [0; 64])], POLICY);
    assert_eq!(open(&twice).map(|b| b.id()).unwrap_err().label(), "malformed");

    let long = " ".repeat(MANIFEST_BYTES_MAX + 1);
    let error = open(&signed(&long, b"")).map(|b| b.id());
    assert_eq!(error, Err(BundleError::ManifestLength(MANIFEST_BYTES_MAX + 1)));
    let zeros = vec![0; BUNDLE_BYTES_MAX + 1];
    assert_eq!(open(&zeros).map(|b| b.id()), Err(BundleError::TooLong { bytes: BUNDLE_BYTES_MAX + 1 }));
    let mut other = signed(&manifest, POLICY);
    other[4] = 2;
    assert_eq!(open(&other).map(|b| b.id()), Err(BundleError::Format(2)));

    let whole = signed(&manifest, POLICY).len();
    let fill = vec![b'x'; BUNDLE_BYTES_MAX - whole];
    let with_feed = |fill: &[u8]| {
        let parts = vec![("p", Kind::Policy, POLICY), ("f", Kind::Feed, fill)];
        Draft { parts, evaluation: None, ..draft() }.seal(&[secret(1)]).map(|file| file.len())
    };
    assert!(matches!(with_feed(&fill), Err(BundleError::TooLong { .. })));
    assert!(with_feed(&fill[256..]).is_ok_and(|len| len > BUNDLE_BYTES_MAX - 256));
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

proptest! {
    #[test]
    fn any_content_comes_back_and_has_one_file(
        name in name(),
        version in 1u64..,
        (not_before, seconds) in (0u64..NOW, 1u64..1 << 40),
        policy in prop::collection::vec(any::<u8>(), 1..200),
        optional in prop::array::uniform2(prop::option::of(prop::collection::vec(any::<u8>(), 1..200))),
        feeds in prop::collection::btree_map(name(), prop::collection::vec(any::<u8>(), 1..50), 0..6),
        evaluation in prop::option::of(any::<[u8; 32]>().prop_map(Hash)),
        signers in prop::collection::btree_set(1u8..9, 1..5),
    ) {
        let mut parts = vec![("policy", Kind::Policy, &policy[..])];
        let [packs, model] = &optional;
        parts.extend(packs.iter().map(|bytes| ("packs", Kind::Packs, &bytes[..])));
        parts.extend(model.iter().map(|bytes| ("model", Kind::Model, &bytes[..])));
        let taken = ["policy", "packs", "model"];
        let feeds = feeds.iter().filter(|(name, _)| !taken.contains(&name.as_str()));
        parts.extend(feeds.map(|(name, bytes)| (name.as_str(), Kind::Feed, &bytes[..])));
        let expires = not_before + seconds;
        let draft = Draft { name: &name, version, not_before, expires, parts, evaluation };
        let keys: Vec<_> = signers.iter().map(|n| secret(*n)).collect();
        let file = draft.seal(&keys).unwrap();

        for signer in signers {
            let bundle = Bundle::open(&file, &[public(signer), public(99)], not_before, None).unwrap();
            prop_assert_eq!(bundle.signed_by(), [public(signer).id()]);
            let mut found: Vec<_> =
                bundle.contents().parts().map(|(entry, bytes)| (entry.name.as_str(), entry.kind, bytes)).collect();
            let mut expected = draft.parts.clone();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(draft.seal(&keys).unwrap(), file.clone());
        prop_assert_eq!(add_signatures(&file, &[]).unwrap(), file.clone());
        prop_assert_eq!(Contents::read(&file).unwrap().manifest().expires, expires);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        head in prop::sample::select(vec![&b""[..], b"SNTB", b"SNTB\x01\x00\x01\x00", b"SNTB\x01\x00\x01\x00\x02\x00\x00\x00{}"]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let file = [head, &bytes].concat();
        prop_assert!(open(&file).is_err());
        prop_assert!(Contents::read(&file).is_err());
    }
}
