//! Bundles. Bytes are refused or read; what is read is written again to the same bytes. A bundle that was signed and then
//! changed in any place is refused, or it is still the same bundle and only signatures that nobody trusts have changed.

use sentinel_bundle::{Bundle, Contents, Draft, Kind, Newest, PublicKey, SecretKey, add_signatures};

use crate::source::Source;

const NOW: u64 = 1_800_000_000;

pub fn run(data: &[u8]) {
    if let Ok(contents) = Contents::read(data) {
        let again = add_signatures(data, &[]);
        assert_eq!(again.as_deref(), Ok(data), "there are two ways to write one bundle");
        assert_eq!(contents.parts().count(), contents.manifest().parts.len());
        assert!(!contents.policy().is_empty(), "a bundle without a policy");
    }
    let trusted = [public(1), public(2)];
    if let Ok(bundle) = Bundle::open(data, &trusted, NOW, None) {
        let newest = bundle.newest();
        let again = Bundle::open(data, &trusted, NOW, Some(&newest)).expect("what was opened opens again");
        assert_eq!(again.id(), newest.id);
        let newer = Newest { version: newest.version.saturating_add(1), ..newest };
        assert!(newer == newest || Bundle::open(data, &trusted, NOW, Some(&newer)).is_err());
        assert!(Bundle::open(data, &[public(9)], NOW, None).is_err(), "a key opens what it did not sign");
    }
    changed(data, &trusted);
}

/// A text becomes the policy of a bundle that is signed; what follows it says how the file is changed.
fn changed(data: &[u8], trusted: &[PublicKey]) {
    let (policy, mut source) = Source::after_body(data);
    let feed = source.bytes(64);
    let mut parts = vec![("policy.json", Kind::Policy, policy)];
    if !feed.is_empty() {
        parts.push(("feed", Kind::Feed, feed));
    }
    let draft = Draft { name: "fuzz", version: 5, not_before: 0, expires: NOW + 1, parts, evaluation: None };
    let keys = match source.below(3) {
        0 => vec![secret(1)],
        1 => vec![secret(1), secret(2)],
        _ => vec![secret(1), secret(3)],
    };
    let Ok(whole) = draft.seal(&keys) else {
        assert!(policy.is_empty(), "what can be built cannot be signed");
        return;
    };
    let original = Bundle::open(&whole, trusted, NOW, None).expect("what was signed opens");
    let mut file = whole.clone();
    while !source.is_empty() {
        let at = source.below(file.len().max(1));
        match source.below(5) {
            0 => file.truncate(at),
            1 => file.extend(source.bytes(16)),
            2 => drop(file.splice(at..at, source.bytes(8).iter().copied())),
            3 => drop(file.drain(at..(at + source.below(8)).min(file.len()))),
            _ => {
                let bytes = source.bytes(72);
                file.iter_mut().skip(at).zip(bytes).for_each(|(to, byte)| *to = *byte);
            }
        }
    }
    let Ok(opened) = Bundle::open(&file, trusted, NOW, None) else {
        assert!(file != whole, "it was not changed and is refused");
        return;
    };
    assert_eq!(opened.id(), original.id(), "another bundle was made of it");
    assert!(opened.contents().parts().eq(original.contents().parts()), "its parts were changed");
    assert!(opened.signed_by().iter().all(|key| original.signed_by().contains(key)), "a signer too many");
}

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn public(n: u8) -> PublicKey {
    secret(n).public().expect("a key from a seed is a key")
}
