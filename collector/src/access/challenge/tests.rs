use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_800_000_000_000;

fn address(seed: u8) -> Address {
    Address::from_bytes(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

fn challenger(domain: &str, key: u8) -> Challenger {
    let site = Site::new(domain, &format!("https://{domain}/sign-in"), "mainnet").unwrap();
    Challenger::new(site, &[key; 32]).unwrap()
}

#[test]
fn the_text_has_the_form_that_wallets_know() {
    let challenge = challenger("sentinel.example.org:8443", 1).challenge(&address(1), [3; 10], NOW_MS);
    let nonce = &challenge.nonce;
    assert_eq!(
        challenge.text,
        format!(
            "sentinel.example.org:8443 wants you to sign in with your Solana account:\n\
             AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9\n\
             \n\
             Sign in to Sentinel. This signature moves no funds and costs nothing.\n\
             \n\
             URI: https://sentinel.example.org:8443/sign-in\n\
             Version: 1\n\
             Chain ID: mainnet\n\
             Nonce: {nonce}\n\
             Issued At: 2027-01-15T08:00:00.000Z\n\
             Expiration Time: 2027-01-15T08:05:00.000Z"
        )
    );
    // EIP-4361 asks for at least eight letters and digits.
    assert!(nonce.len() >= 8 && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(challenge.expires_ms, NOW_MS + LIFETIME_MS);
}

#[test]
fn a_nonce_is_known_again_by_any_replica_with_the_key() {
    let challenge = challenger("a.example", 1).challenge(&address(1), [3; 10], NOW_MS);
    let reopened = challenger("a.example", 1).reopen(&address(1), &challenge.nonce, NOW_MS + 1);
    assert_eq!(reopened, Ok(challenge));
}

#[test]
fn a_nonce_is_bound_to_address_domain_and_key() {
    let nonce = challenger("a.example", 1).challenge(&address(1), [3; 10], NOW_MS).nonce;
    let known = |domain: &str, key, of| challenger(domain, key).reopen(&address(of), &nonce, NOW_MS);
    assert!(known("a.example", 1, 1).is_ok());
    for other in [known("b.example", 1, 1), known("a.example", 2, 1), known("a.example", 1, 2)] {
        assert_eq!(other, Err(WalletRefusal::Nonce));
    }
}

#[test]
fn a_nonce_is_open_for_five_minutes() {
    let challenger = challenger("a.example", 1);
    let nonce = challenger.challenge(&address(1), [3; 10], NOW_MS).nonce;
    for (after_ms, open) in [
        (0, true),
        (LIFETIME_MS - 1, true),
        (LIFETIME_MS, false),
        (i64::MAX - NOW_MS, false),
        (-CLOCK_DIFFERENCE_MS, true),
        (-CLOCK_DIFFERENCE_MS - 1, false),
        (-NOW_MS, false),
    ] {
        let reopened = challenger.reopen(&address(1), &nonce, NOW_MS + after_ms);
        assert_eq!(
            reopened.map(|_| ()),
            if open { Ok(()) } else { Err(WalletRefusal::Expired) },
            "{after_ms}"
        );
    }
}

#[test]
fn a_changed_nonce_is_unknown() {
    let challenger = challenger("a.example", 1);
    let nonce = challenger.challenge(&address(1), [3; 10], NOW_MS).nonce;
    let bytes: [u8; NONCE_BYTES] = base58::decode(&nonce).unwrap();
    for bit in 0..NONCE_BYTES * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = challenger.reopen(&address(1), &base58::encode(&changed), NOW_MS);
        assert_eq!(changed, Err(WalletRefusal::Nonce), "bit {bit}");
    }
}

#[test]
fn a_site_that_would_confuse_people_is_refused() {
    let site = |domain: &str, uri: &str| Site::new(domain, uri, "mainnet");
    for (domain, uri) in [
        ("a.example", "https://a.example"),
        ("a.example:8443", "https://a.example:8443/x?y"),
        ("localhost:8080", "http://localhost:8080/"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:1", "http://[::1]:1/"),
    ] {
        assert!(site(domain, uri).is_ok(), "{domain} {uri}");
    }
    for (domain, uri) in [
        ("", "https://"),
        ("A.example", "https://A.example"),
        ("a.example\n\nb", "https://a.example"),
        ("a.example wants", "https://a.example wants"),
        ("a.example/", "https://a.example/"),
        ("a@b.example", "https://a@b.example"),
        ("a.example", "http://a.example"),
        ("localhost.example", "http://localhost.example"),
        ("a.example", "https://a.example.evil.example"),
        ("a.example", "https://a.example@evil.example"),
        ("a.example", "https://b.example"),
        ("a.example", "https://a.example/a b"),
        ("a.example", "https://a.example/\nNonce: x"),
        ("a.example", "a.example"),
    ] {
        assert!(site(domain, uri).is_err(), "{domain} {uri}");
    }
    assert!(Site::new("a.example", "https://a.example", "mainnet\nNonce: x").is_err());
}

#[test]
fn the_key_is_not_printed() {
    assert!(!format!("{:?}", challenger("a.example", 77)).contains("77"));
}

proptest! {
    #[test]
    fn any_nonce_is_unknown(text in ".{0,60}|[1-9A-HJ-NP-Za-km-z]{43,44}", now_ms in any::<i64>()) {
        let reopened = challenger("a.example", 1).reopen(&address(1), &text, now_ms);
        prop_assert_eq!(reopened, Err(WalletRefusal::Nonce));
    }

    #[test]
    fn any_time_gives_a_challenge_that_is_open_then(now_ms in any::<i64>(), random in any::<[u8; RANDOM_BYTES]>()) {
        let challenger = challenger("a.example", 1);
        let challenge = challenger.challenge(&address(1), random, now_ms);
        let open = challenger.reopen(&address(1), &challenge.nonce, now_ms).is_ok();
        prop_assert_eq!(open, (-CLOCK_DIFFERENCE_MS..=TIME_MS_MAX + LIFETIME_MS - 1).contains(&now_ms));
    }
}
