use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::access::jws::{self, Key};
use crate::access::permission::Permission;
use crate::access::principal::How;

const NOW_MS: i64 = 1_800_000_000_500;
const NOW_S: i64 = 1_800_000_000;

fn signing() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

fn provider(roles: RoleClaim) -> Provider {
    let key = Key::ed25519(None, signing().verifying_key().as_bytes()).unwrap();
    let expected = Expected {
        issuer: "https://id.example".into(),
        audience: "sentinel".into(),
        leeway_s: LEEWAY_S,
        kinds: KINDS,
    };
    Provider::new(KeySet::new(vec![key]).unwrap(), expected, roles).unwrap()
}

fn good() -> Value {
    json!({
        "iss": "https://id.example", "aud": "sentinel", "sub": "ann", "roles": ["analyst"],
        "exp": NOW_S + 600, "nbf": NOW_S - 5, "iat": NOW_S - 5,
    })
}

/// The good claims with one of them changed, or taken away with `null`.
fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims
}

fn sign_in(claims: &Value) -> Result<Principal, TokenError> {
    provider(RoleClaim::default()).sign_in(&jws::sign("JWT", claims, &signing()), &BTreeMap::new(), NOW_MS)
}

#[test]
fn a_person_with_a_good_token_has_the_role_of_the_map() {
    let ann = sign_in(&good()).unwrap();
    assert_eq!((ann.who(), ann.how()), ("jwt:https://id.example/ann", How::Jwt));
    assert!(ann.may(Permission::ReadContent) && !ann.may(Permission::Deploy));
}

#[test]
fn each_claim_has_its_refusal() {
    use TokenError::*;
    let odd = || json!({"a": 1});
    for (name, value, refusal) in [
        ("iss", Value::Null, "missing"),
        ("iss", json!("https://id.example/"), Issuer.code()),
        ("iss", json!(["https://id.example"]), "malformed"),
        ("aud", Value::Null, "missing"),
        ("aud", json!("Sentinel"), Audience.code()),
        ("aud", json!([]), Audience.code()),
        ("aud", json!(["other", "sentinel "]), Audience.code()),
        ("aud", json!(["sentinel", 1]), "malformed"),
        ("aud", odd(), "malformed"),
        ("exp", Value::Null, "missing"),
        ("exp", json!("1900000000"), "malformed"),
        ("exp", json!(1e300), "malformed"),
        ("exp", json!(-1), "malformed"),
        ("exp", json!(u64::MAX), "malformed"),
        ("exp", json!(NOW_S - 61), Expired.code()),
        ("exp", json!(NOW_S - 60), Expired.code()),
        ("exp", json!(0), Expired.code()),
        ("nbf", json!(NOW_S + 61), NotYet.code()),
        ("nbf", json!("1"), "malformed"),
        ("iat", json!(NOW_S + 61), NotYet.code()),
        ("iat", json!(true), "malformed"),
        ("sub", Value::Null, "missing"),
        ("sub", json!(""), "malformed"),
        ("sub", json!(7), "malformed"),
        ("sub", json!("a".repeat(256)), "malformed"),
        ("roles", Value::Null, NoRole.code()),
        ("roles", json!([]), NoRole.code()),
        ("roles", json!("Admin root"), NoRole.code()),
        ("roles", json!([["admin"], {"admin": true}, 1]), NoRole.code()),
        ("roles", odd(), NoRole.code()),
    ] {
        let claims = with(name, value);
        assert_eq!(sign_in(&claims).unwrap_err().code(), refusal, "{claims}");
    }
}

#[test]
fn each_claim_has_its_other_good_forms() {
    for (name, value) in [
        ("aud", json!(["other", "sentinel"])),
        ("exp", json!(NOW_S - 59)),
        ("exp", json!(NOW_S as f64 + 0.5)),
        ("nbf", json!(NOW_S + 60)),
        ("nbf", Value::Null),
        ("iat", json!(NOW_S + 60)),
        ("iat", Value::Null),
        ("roles", json!("analyst")),
        ("roles", json!("openid analyst")),
        ("sub", json!("a".repeat(255))),
    ] {
        let claims = with(name, value);
        assert!(sign_in(&claims).is_ok(), "{claims}: {:?}", sign_in(&claims));
    }
}

#[test]
fn several_values_give_several_roles_and_unknown_ones_nothing() {
    let both = sign_in(&with("roles", json!(["auditor", "root", "approver"]))).unwrap();
    assert_eq!(both.roles(), [Role::Auditor, Role::Approver].into_iter().collect());
}

#[test]
fn a_map_of_ones_own_replaces_the_names() {
    let map =
        BTreeMap::from([("SOC team".to_owned(), Role::Analyst), ("soc-lead".to_owned(), Role::Approver)]);
    let at = |claim: &str, value: Value| {
        let provider = provider(RoleClaim { claim: claim.to_owned(), map: map.clone() });
        let mut claims = with("roles", Value::Null);
        claims.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        provider
            .sign_in(&jws::sign("JWT", &claims, &signing()), &BTreeMap::new(), NOW_MS)
            .map(|person| person.roles())
    };
    let lead = Ok(Role::Approver.into());
    assert_eq!(at("https://id.example/groups", json!({"https://id.example/groups": ["soc-lead"]})), lead);
    assert_eq!(at("/realm_access/roles", json!({"realm_access": {"roles": ["soc-lead"]}})), lead);
    assert_eq!(at("/a~1b/c~0d", json!({"a/b": {"c~d": "soc-lead"}})), lead);
    assert_eq!(at("groups", json!({"groups": ["SOC team"]})), Ok(Role::Analyst.into()));
    assert_eq!(at("groups", json!({"groups": ["admin"]})), Err(TokenError::NoRole));
    assert_eq!(at("/realm_access/roles", json!({"realm_access": ["soc-lead"]})), Err(TokenError::NoRole));
}

#[test]
fn a_token_of_another_kind_or_key_or_form_is_refused() {
    let provider = provider(RoleClaim::default());
    let kind = |kind: &str| provider.sign_in(&jws::sign(kind, &good(), &signing()), &BTreeMap::new(), NOW_MS);
    for taken in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert!(kind(taken).is_ok(), "{taken}");
    }
    for other in ["sentinel-session+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt"] {
        assert_eq!(kind(other).unwrap_err().code(), "malformed", "{other}");
    }
    let stranger = jws::sign("JWT", &good(), &SigningKey::from_bytes(&[43; 32]));
    assert_eq!(provider.sign_in(&stranger, &BTreeMap::new(), NOW_MS).unwrap_err(), TokenError::Signature);
    assert_eq!(sign_in(&json!(["iss"])).unwrap_err().code(), "malformed");
}

#[test]
fn new_keys_replace_the_old() {
    let mut provider = provider(RoleClaim::default());
    let next = SigningKey::from_bytes(&[43; 32]);
    let [old, new] = [signing(), next.clone()].map(|key| jws::sign("JWT", &good(), &key));
    let key = Key::ed25519(None, next.verifying_key().as_bytes()).unwrap();
    provider.set_keys(KeySet::new(vec![key]).unwrap());
    assert_eq!(provider.sign_in(&old, &BTreeMap::new(), NOW_MS).unwrap_err(), TokenError::Signature);
    assert!(provider.sign_in(&new, &BTreeMap::new(), NOW_MS).is_ok());
}

#[test]
fn a_configuration_that_would_let_anyone_in_is_refused() {
    let build = |issuer: &str, audience: &str, leeway_s, claim: &str| {
        let expected = Expected { issuer: issuer.into(), audience: audience.into(), leeway_s, kinds: KINDS };
        Provider::new(KeySet::default(), expected, RoleClaim { claim: claim.into(), ..RoleClaim::default() })
    };
    assert!(build("i", "a", 0, "roles").is_ok());
    for refused in [
        build("", "a", 0, "roles"),
        build("i", "", 0, "roles"),
        build("i", "a", 301, "roles"),
        build("i", "a", -1, "roles"),
        build("i", "a", 0, ""),
    ] {
        assert!(refused.is_err());
    }
}

#[test]
fn a_refusal_says_what_to_do_and_repeats_nothing() {
    let refusal = sign_in(&with("sub", json!({"secret": 1}))).unwrap_err().to_string();
    assert_eq!(refusal, "this is no well-formed token: a claim that is a text is none");
    assert_eq!(sign_in(&with("exp", Value::Null)).unwrap_err().to_string(), "the token lacks an end (exp)");
}

proptest! {
    #[test]
    fn whatever_a_trusted_issuer_claims_is_read_or_refused(
        name in "iss|aud|exp|nbf|iat|sub|roles",
        text in "\\PC{0,30}",
        number in any::<f64>(),
        whole in any::<i64>(),
        now_ms in any::<i64>(),
    ) {
        let provider = provider(RoleClaim::default());
        for value in [json!(text), json!([text]), json!(number), json!(whole), json!({"a": text}), Value::Null] {
            let token = jws::sign("JWT", &with(&name, value), &signing());
            let _ = provider.sign_in(&token, &BTreeMap::new(), NOW_MS);
            let _ = provider.sign_in(&token, &BTreeMap::new(), now_ms);
        }
    }

    #[test]
    fn a_token_is_taken_exactly_within_its_time(from in -2_000i64..2_000, len in 0i64..2_000, now in -4_000i64..4_000) {
        let mut claims = with("nbf", json!(NOW_S + from));
        claims["iat"] = json!(NOW_S + from);
        claims["exp"] = json!(NOW_S + from + len);
        let token = jws::sign("JWT", &claims, &signing());
        let taken = provider(RoleClaim::default()).sign_in(&token, &BTreeMap::new(), (NOW_S + now) * 1_000).is_ok();
        prop_assert_eq!(taken, now >= from - LEEWAY_S && now < from + len + LEEWAY_S);
    }
}
