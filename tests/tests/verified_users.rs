//! Limits by the claims of tokens, in a real Envoy whose `jwt_authn` filter verifies them: whoever has a valid token is
//! counted by what it says, and nobody else is.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sentinel_bundle::base64;
use sentinel_core::hash::sha256;
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    http1,
    upstream::Upstream,
    wire::{Request, Response, UpstreamSaw},
};
use sentinel_tests::engine::built_filter;
use serde_json::{Value, json};

const ISSUER: &str = "https://issuer.test";
const SECRET: &[u8] = b"a secret that only the issuer has";
const OF_SOMEBODY_ELSE: &[u8] = b"a secret that somebody else made";
const BODY: &str = r#"{"messages":[{"role":"user","content":"Good morning."}]}"#;

fn base64url(bytes: &[u8]) -> String {
    base64::encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK_BYTES: usize = 64;
    let mut block = [0; BLOCK_BYTES];
    block[..key.len()].copy_from_slice(key);
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], text].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

/// Valid for so many seconds.
fn token(claims: &Value, secret: &[u8], seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let mut payload = json!({ "iss": ISSUER, "exp": now + seconds });
    for (name, value) in claims.as_object().unwrap() {
        payload[name] = value.clone();
    }
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": "one" });
    let signed = [header, payload].map(|part| base64url(part.to_string().as_bytes())).join(".");
    let signature = base64url(&hmac_sha256(secret, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Verifies tokens, and lets those on that have none or a wrong one.
fn verifier() -> Value {
    let key = json!({ "kty": "oct", "alg": "HS256", "kid": "one", "k": base64url(SECRET) });
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "issuer": {
                "issuer": ISSUER,
                "local_jwks": { "inline_string": json!({ "keys": [key] }).to_string() },
                "payload_in_metadata": "verified",
            } },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "requires_any": { "requirements": [
                { "provider_name": "issuer" }, { "allow_missing_or_failed": {} },
            ] } } }],
        },
    })
}

struct Site {
    envoy: Envoy,
    _upstream: Upstream,
}

impl Site {
    fn start() -> Self {
        let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
        let claim = |path: &[&str]| json!({ "payload": "verified", "path": path });
        let config = json!({ "policy": {
            "rates": {
                "who": { "user_claim": claim(&["sub"]), "tenant_claim": claim(&["org", "id"]) },
                "limits": [
                    { "name": "per-user", "key": "user", "per_hour": 3, "routes": ["users"] },
                    { "name": "per-tenant", "key": "tenant", "per_hour": 3, "routes": ["tenants"] },
                ],
            },
            "routes": [
                { "name": "users", "match": { "path": "/users" } }, { "name": "tenants", "match": { "path": "/tenants" } },
            ],
            "profiles": { "default": { "model": { "enabled": false } } },
        } });
        let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
        let mut bootstrap = Bootstrap::new(upstream.addr(), Some(filter));
        bootstrap.listeners.iter_mut().for_each(|listener| listener.filters_before.push(verifier()));
        let options =
            EnvoyOptions { ready_within: Duration::from_secs(300), ..EnvoyOptions::new(&bootstrap) };
        Self { envoy: Envoy::start(&options).unwrap(), _upstream: upstream }
    }

    /// The statuses of so many requests with a token.
    fn send(&self, path: &str, token: Option<&str>, times: usize) -> Vec<u16> {
        let mut request = Request::json(path, BODY);
        if let Some(token) = token {
            request = request.with_header("authorization", format!("Bearer {token}"));
        }
        // What a client says of itself counts for nothing.
        let request = request.with_header("x-user", "bob").with_header("x-tenant", "acme");
        let addr = self.envoy.addr("main").unwrap();
        let send = |_| http1::exchange(addr, &request, Duration::from_secs(30)).unwrap().unwrap().status;
        (0..times).map(send).collect()
    }
}

#[test]
fn who_has_a_valid_token_is_counted_by_it_and_nobody_by_another() {
    const GO_ON: [u16; 3] = [200; 3];
    let site = Site::start();
    let of = |claims: &Value| token(claims, SECRET, 600);

    // A user, by two tokens that are not the same.
    let (ann, again) = (of(&json!({ "sub": "ann" })), of(&json!({ "sub": "ann", "jti": "another" })));
    assert_eq!(site.send("/users", Some(&ann), 2), [200, 200]);
    assert_eq!(site.send("/users", Some(&again), 2), [200, 429]);

    // Tokens that are forged, old, or of another issuer are not Bob's, whatever they say: they count by address together.
    let forged = token(&json!({ "sub": "bob" }), OF_SOMEBODY_ELSE, 600);
    let old = token(&json!({ "sub": "bob" }), SECRET, -3_600);
    let foreign = token(&json!({ "sub": "bob", "iss": "https://other.test" }), SECRET, 600);
    let unsigned = forged.rsplit_once('.').unwrap().0.to_owned() + ".";
    assert_eq!(site.send("/users", Some(&forged), 1), [200]);
    assert_eq!(site.send("/users", Some(&old), 1), [200]);
    assert_eq!(site.send("/users", Some(&foreign), 2), [200, 429]);
    for token in [None, Some(&forged), Some(&old), Some(&foreign), Some(&unsigned)] {
        assert_eq!(site.send("/users", token.map(String::as_str), 1), [429], "{token:?}");
    }
    let bob = of(&json!({ "sub": "bob" }));
    assert_eq!(site.send("/users", Some(&bob), 3), GO_ON, "others have used up what is Bob's");
    assert_eq!(site.send("/users", Some(&bob), 1), [429]);

    // A tenant, whoever of them comes; and one whose id is a number.
    let acme = |sub: &str| of(&json!({ "sub": sub, "org": { "id": "acme" } }));
    assert_eq!(site.send("/tenants", Some(&acme("ann")), 2), [200, 200]);
    assert_eq!(site.send("/tenants", Some(&acme("bob")), 2), [200, 429]);
    for id in [json!("globex"), json!(42), json!(43)] {
        let token = of(&json!({ "sub": "ann", "org": { "id": id } }));
        assert_eq!(site.send("/tenants", Some(&token), 4), [200, 200, 200, 429], "{id}");
    }
}
