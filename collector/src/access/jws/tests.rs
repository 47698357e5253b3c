use proptest::prelude::*;

use super::*;

/// RFC 7515, appendix A.1.
const HS256_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const HS256_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// RFC 8037, appendix A.
const ED25519_SECRET: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn hs256_key(id: Option<&str>) -> Key {
    Key::hs256(id.map(str::to_owned), base64url::decode(HS256_KEY).unwrap()).unwrap()
}

fn ed25519_key(id: Option<&str>) -> Key {
    let public = base64url::decode(ED25519_KEY).unwrap().try_into().unwrap();
    Key::ed25519(id.map(str::to_owned), &public).unwrap()
}

fn set(keys: Vec<Key>) -> KeySet {
    KeySet::new(keys).unwrap()
}

/// A token with any header, signed by either kind of key in whatever way the header says.
fn forge(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed =
        format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    format!("{signed}.{}", base64url::encode(&sign(signed.as_bytes())))
}

fn with_hmac(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    move |message| mac.clone().chain_update(message).finalize().into_bytes().to_vec()
}

fn with_ed25519() -> impl Fn(&[u8]) -> Vec<u8> {
    let seed: [u8; 32] = base64url::decode(ED25519_SECRET).unwrap().try_into().unwrap();
    let key = SigningKey::from_bytes(&seed);
    move |message| key.sign(message).to_bytes().to_vec()
}

#[test]
fn the_vectors_of_the_rfcs_verify() {
    let signed = set(vec![hs256_key(None)]).verify(HS256_TOKEN).unwrap();
    assert_eq!(signed.kind.as_deref(), Some("JWT"));
    assert!(signed.payload.starts_with(b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,"));
    let signed = set(vec![ed25519_key(None)]).verify(ED25519_TOKEN).unwrap();
    assert_eq!((signed.kind, signed.payload), (None, b"Example of Ed25519 signing".to_vec()));
    assert_eq!(forge(r#"{"alg":"EdDSA"}"#, "Example of Ed25519 signing", with_ed25519()), ED25519_TOKEN);
    // With both configured, each finds its own.
    let both = set(vec![hs256_key(None), ed25519_key(None)]);
    assert!(both.verify(HS256_TOKEN).is_ok() && both.verify(ED25519_TOKEN).is_ok());
}

#[test]
fn any_changed_bit_is_refused() {
    let keys = set(vec![hs256_key(None), ed25519_key(None)]);
    for token in [HS256_TOKEN, ED25519_TOKEN] {
        for bit in 0..token.len() * 8 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = str::from_utf8(&bytes) {
                assert!(keys.verify(changed).is_err(), "bit {bit} of {token}");
            }
        }
        for len in 0..token.len() {
            assert!(keys.verify(token.split_at(len).0).is_err(), "{len} bytes of {token}");
        }
    }
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let keys = set(vec![ed25519_key(None)]);
    let public = base64url::decode(ED25519_KEY).unwrap();
    // Who knows only the public key signs with it as if it were a shared secret.
    let confused = forge(r#"{"alg":"HS256"}"#, "{}", with_hmac(&public));
    assert_eq!(keys.verify(&confused).unwrap_err(), TokenError::Algorithm);
    let text = forge(r#"{"alg":"HS256"}"#, "{}", with_hmac(ED25519_KEY.as_bytes()));
    assert_eq!(keys.verify(&text).unwrap_err(), TokenError::Algorithm);
    // Nor with the id of the key.
    let named = set(vec![ed25519_key(Some("a")), hs256_key(Some("b"))]);
    let confused = forge(r#"{"alg":"HS256","kid":"a"}"#, "{}", with_hmac(&public));
    assert_eq!(named.verify(&confused).unwrap_err(), TokenError::Algorithm);
    for algorithm in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "RS256", "ES256", "PS256", "eddsa",
        "Ed25519", "EdDSA ",
    ] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        for token in [forge(&header, "{}", |_| Vec::new()), forge(&header, "{}", with_ed25519())] {
            assert_eq!(keys.verify(&token).unwrap_err(), TokenError::Algorithm, "{algorithm:?}");
            assert_eq!(KeySet::default().verify(&token).unwrap_err(), TokenError::Algorithm, "{algorithm:?}");
        }
    }
}

#[test]
fn the_key_that_is_named_is_the_key_that_counts() {
    let by = |header: &str| forge(header, "{}", with_ed25519());
    let named = set(vec![ed25519_key(Some("a"))]);
    assert!(named.verify(&by(r#"{"alg":"EdDSA","kid":"a"}"#)).is_ok());
    assert!(named.verify(&by(r#"{"alg":"EdDSA"}"#)).is_ok());
    assert_eq!(named.verify(&by(r#"{"alg":"EdDSA","kid":"b"}"#)).unwrap_err(), TokenError::UnknownKey);
    let nameless = set(vec![ed25519_key(None)]);
    assert!(nameless.verify(&by(r#"{"alg":"EdDSA","kid":"b"}"#)).is_ok());
    let other = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    let two = set(vec![Key::ed25519(Some("b".into()), &other).unwrap(), ed25519_key(Some("a"))]);
    assert_eq!(two.verify(&by(r#"{"alg":"EdDSA","kid":"b"}"#)).unwrap_err(), TokenError::Signature);
    assert!(two.verify(&by(r#"{"alg":"EdDSA"}"#)).is_ok());
    assert_eq!(KeySet::default().verify(ED25519_TOKEN).unwrap_err(), TokenError::UnknownKey);
}

#[test]
fn a_header_is_read_strictly() {
    let keys = set(vec![ed25519_key(None)]);
    let refusal = |header: &str| keys.verify(&forge(header, "{}", with_ed25519())).unwrap_err();
    for header in [
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"EdDSA","kid":1}"#,
        r#"{"alg":"EdDSA","typ":1}"#,
        r#"{"alg":"EdDSA","crit":["b64"],"b64":true}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
        r#"["EdDSA"]"#,
        "EdDSA",
        "",
    ] {
        assert!(matches!(refusal(header), TokenError::Malformed(_)), "{header}: {:?}", refusal(header));
    }
    assert_eq!(refusal("{}"), TokenError::Missing("the algorithm"));
}

#[test]
fn a_form_that_is_not_three_parts_is_refused() {
    let keys = set(vec![ed25519_key(None)]);
    let (signed, signature) = ED25519_TOKEN.rsplit_once('.').unwrap();
    for token in [
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "....",
        " ",
        &format!("{ED25519_TOKEN}."),
        &format!(".{ED25519_TOKEN}"),
        &format!("{ED25519_TOKEN}="),
        &format!("{ED25519_TOKEN}\n"),
        &format!(" {ED25519_TOKEN}"),
        &format!("{signed}.{signature}.{signature}"),
    ] {
        assert!(matches!(keys.verify(token), Err(TokenError::Malformed(_))), "{token:?}");
    }
    assert_eq!(keys.verify(&format!("{signed}.")).unwrap_err(), TokenError::Signature);
    assert!(matches!(keys.verify(""), Err(TokenError::Missing(_))));
    let long = forge(r#"{"alg":"EdDSA"}"#, &"a".repeat(TOKEN_BYTES_MAX), with_ed25519());
    assert_eq!(keys.verify(&long).unwrap_err(), TokenError::Malformed("it is longer than 8 KiB"));
}

#[test]
fn keys_that_are_worth_nothing_are_refused() {
    assert!(Key::hs256(None, vec![1; 31]).is_err());
    assert!(Key::ed25519(None, &[0; 32]).is_err());
    assert!(KeySet::new(vec![hs256_key(Some("a")), ed25519_key(Some("a"))]).is_err());
    assert!(KeySet::new(vec![hs256_key(None); KEYS_MAX]).is_ok());
    assert!(KeySet::new(vec![hs256_key(None); KEYS_MAX + 1]).is_err());
    let printed = format!(
        "{:?}",
        set(vec![Key::hs256(None, b"a secret of more than thirty-two bytes".to_vec()).unwrap()])
    );
    assert!(printed.contains("HS256") && !printed.contains("97, 32"), "{printed}");
}

proptest! {
    #[test]
    fn any_text_is_refused(text in ".{0,200}|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,90}") {
        prop_assert!(set(vec![ed25519_key(None), hs256_key(None)]).verify(&text).is_err());
    }

    #[test]
    fn any_header_with_any_signature_is_refused(
        header in "\\{\"alg\":\"(EdDSA|HS256|none)\"(,\"[a-z]{3,4}\":(\"a\"|1|null|\\{\\}))?\\}",
        payload in "\\PC{0,40}",
        signature in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let token = forge(&header, &payload, |_| signature.clone());
        prop_assert!(set(vec![ed25519_key(None), hs256_key(None)]).verify(&token).is_err());
    }

    #[test]
    fn what_was_signed_comes_back(payload in "\\PC{0,200}") {
        let token = forge(r#"{"alg":"EdDSA"}"#, &payload, with_ed25519());
        let signed = set(vec![ed25519_key(None)]).verify(&token).unwrap();
        prop_assert_eq!(signed.payload, payload.into_bytes());
    }
}
