use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::access::challenge::{Challenge, LIFETIME_MS, Site};
use crate::access::permission::Permission;
use crate::access::role::Role;

const NOW_MS: i64 = 1_800_000_000_000;

struct Scene {
    challenger: Challenger,
    wallets: Wallets,
    recent: Recent,
}

fn wallet(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn address(key: &SigningKey) -> Address {
    Address::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

fn signed(key: &SigningKey, text: &str) -> String {
    base58::encode(&key.sign(text.as_bytes()).to_bytes())
}

/// A collector at which the first wallet is an approver, and the second has no role.
fn scene() -> Scene {
    let site = Site::new("a.example", "https://a.example/", "mainnet").unwrap();
    let mut wallets = Wallets::default();
    wallets.set(&address(&wallet(1)), Role::Approver.into()).unwrap();
    Scene { challenger: Challenger::new(site, &[5; 32]).unwrap(), wallets, recent: Recent::default() }
}

impl Scene {
    fn ask(&self, key: &SigningKey) -> Challenge {
        self.challenger.challenge(&address(key), [3; 10], NOW_MS)
    }

    fn answer(
        &mut self,
        who: &SigningKey,
        nonce: &str,
        signature: &str,
        now_ms: i64,
    ) -> Result<Proven, WalletRefusal> {
        let who = address(who).to_string();
        sign_in(&self.challenger, &self.wallets, &mut self.recent, &who, nonce, signature, now_ms)
    }
}

#[test]
fn who_has_the_key_gets_the_role_of_the_address_once() {
    let mut scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    let signature = signed(&wallet(1), &text);
    let person = scene.answer(&wallet(1), &nonce, &signature, NOW_MS + 9).unwrap().principal();
    assert_eq!(person.who(), format!("wallet:{}", address(&wallet(1))));
    assert!(person.may(Permission::Deploy) && !person.may(Permission::ManageKeys));
    assert_eq!(scene.answer(&wallet(1), &nonce, &signature, NOW_MS + 10), Err(WalletRefusal::Used));
}

#[test]
fn a_wrong_answer_does_not_use_up_the_challenge_of_another() {
    let mut scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    let stranger = signed(&wallet(2), &text);
    assert_eq!(scene.answer(&wallet(1), &nonce, &stranger, NOW_MS), Err(WalletRefusal::Signature));
    assert_eq!(scene.answer(&wallet(2), &nonce, &stranger, NOW_MS), Err(WalletRefusal::Nonce));
    assert!(scene.answer(&wallet(1), &nonce, &signed(&wallet(1), &text), NOW_MS).is_ok());
}

#[test]
fn a_signature_over_any_other_text_is_refused() {
    let mut scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    for other in [
        format!("{text}\n"),
        text.replace("a.example", "b.example"),
        text.replace("Version: 1", "Version: 2"),
        text.replace('\n', "\r\n"),
        nonce.clone(),
        String::new(),
    ] {
        let signature = signed(&wallet(1), &other);
        assert_eq!(
            scene.answer(&wallet(1), &nonce, &signature, NOW_MS),
            Err(WalletRefusal::Signature),
            "{other}"
        );
    }
}

#[test]
fn late_it_is_refused_and_without_a_role_too() {
    let mut scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    let signature = signed(&wallet(1), &text);
    let late = scene.answer(&wallet(1), &nonce, &signature, NOW_MS + LIFETIME_MS);
    assert_eq!(late, Err(WalletRefusal::Expired));
    let Challenge { nonce, text, .. } = scene.ask(&wallet(2));
    let signature = signed(&wallet(2), &text);
    // As often as one likes: it leaves nothing behind.
    for _ in 0..100 {
        assert_eq!(scene.answer(&wallet(2), &nonce, &signature, NOW_MS), Err(WalletRefusal::NoRole));
    }
}

#[test]
fn a_role_that_was_taken_away_is_gone() {
    let mut scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    assert!(scene.wallets.take_away(&address(&wallet(1))));
    assert!(!scene.wallets.take_away(&address(&wallet(1))));
    let answer = scene.answer(&wallet(1), &nonce, &signed(&wallet(1), &text), NOW_MS);
    assert_eq!(answer, Err(WalletRefusal::NoRole));
    assert!(scene.wallets.set(&address(&wallet(1)), Roles::default()).is_err());
}

#[test]
fn addresses_that_nobody_has_a_key_for_are_refused() {
    // The system program is a weak key that anyone can sign for; the second is no point of the curve.
    for text in ["11111111111111111111111111111111", "5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1", "", "0"]
    {
        assert!(matches!(Address::parse(text), Err(WalletRefusal::Malformed(_))), "{text}");
    }
}

#[test]
fn a_forged_signature_for_a_weak_key_is_refused() {
    // With the neutral point as key and commitment, and nothing as response, plain verification accepts any text.
    let weak: [u8; 32] = std::array::from_fn(|idx| u8::from(idx == 0));
    let mut signature = [0; 64];
    signature[0] = 1;
    let plain = ed25519_dalek::VerifyingKey::from_bytes(&weak).unwrap();
    let forged = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(ed25519_dalek::Verifier::verify(&plain, b"any text", &forged).is_ok(), "the attack is real");
    assert!(plain.verify_strict(b"any text", &forged).is_err());
    assert!(Address::from_bytes(&weak).is_err());
}

#[test]
fn any_changed_bit_of_the_signature_is_refused() {
    let scene = scene();
    let Challenge { nonce, text, .. } = scene.ask(&wallet(1));
    let who = address(&wallet(1)).to_string();
    let signature = wallet(1).sign(text.as_bytes()).to_bytes();
    let answer = |signature: &[u8; 64]| {
        prove(&scene.challenger, &scene.wallets, &who, &nonce, &base58::encode(signature), NOW_MS)
    };
    assert!(answer(&signature).is_ok());
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(answer(&changed), Err(WalletRefusal::Signature), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_refused(
        who in ".{0,50}|[1-9A-HJ-NP-Za-km-z]{43,44}",
        nonce in ".{0,50}|[1-9A-HJ-NP-Za-km-z]{43,44}",
        signature in ".{0,50}|[1-9A-HJ-NP-Za-km-z]{87,88}",
        now_ms in any::<i64>(),
    ) {
        let mut scene = scene();
        let Scene { challenger, wallets, recent } = &mut scene;
        prop_assert!(sign_in(challenger, wallets, recent, &who, &nonce, &signature, now_ms).is_err());
    }
}
