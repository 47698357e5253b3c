//! An identity provider that publishes its keys at an address: it changes them, goes away, and sends what is no key
//! document.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use sentinel_collector::{Collector, Config, JwtIssuer, JwtKeys};
use sentinel_harness::port::free_addr;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::hand::{AUDIENCE, ISSUER, base64url, unsigned};
use crate::support::{Client, Folder, Running, config, start};

/// What the provider signs with.
struct Key(SigningKey, String);

impl Key {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]), format!("key-{seed}"))
    }

    fn token(&self) -> String {
        let text = unsigned(&json!({"alg": "EdDSA", "kid": self.1}), &json!({"roles": ["viewer"]}));
        let signature = self.0.sign(text.as_bytes()).to_bytes();
        format!("{text}.{}", base64url(&signature))
    }

    fn published(&self) -> Value {
        let x = base64url(self.0.verifying_key().as_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.1, "x": x})
    }
}

fn document(keys: &[&Key]) -> Vec<u8> {
    let keys: Vec<Value> = keys.iter().map(|key| key.published()).collect();
    answer("200 OK", &json!({ "keys": keys }).to_string())
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Answers each request with what it has at the time, and counts.
#[derive(Clone)]
struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<(Vec<u8>, usize)>>,
}

impl Provider {
    async fn start(answer: Vec<u8>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }

    async fn start_at(address: SocketAddr, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let provider =
            Self { address: listener.local_addr().unwrap(), state: Arc::new(Mutex::new((answer, 0))) };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4096]).await;
                let answer = {
                    let mut state = serving.state.lock().unwrap();
                    state.1 += 1;
                    state.0.clone()
                };
                let _ = socket.write_all(&answer).await;
            }
        });
        provider
    }

    fn answers(&self, answer: Vec<u8>) {
        self.state.lock().unwrap().0 = answer;
    }

    fn n_asked(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

fn asking(folder: &Folder, url: &str) -> Config {
    let jwt = JwtIssuer {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        keys: JwtKeys::Url(url.to_owned()),
        roles_claim: "roles".to_owned(),
    };
    Config { jwt: Some(jwt), throttle: false, ..config(&folder.database()) }
}

async fn begin(folder: &Folder, address: SocketAddr) -> Running {
    start(asking(folder, &format!("http://{address}/keys"))).await
}

async fn is_let_in(client: &Client, key: &Key) -> bool {
    let answer = client.with_token(&key.token()).get("/v1/whoami").await;
    assert!(matches!(answer.status, 200 | 401), "{answer:?}");
    answer.status == 200
}

async fn metric(client: &Client, series: &str) -> Option<f64> {
    let text = client.get("/metrics").await.body();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

async fn until_let_in(client: &Client, key: &Key) {
    let begun = Instant::now();
    while !is_let_in(client, key).await {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_new_counts_at_once_and_one_that_is_gone_no_more() {
    let (old, new) = (Key::new(61), Key::new(62));
    let provider = Provider::start(document(&[&old])).await;
    let folder = Folder::new();
    let running = begin(&folder, provider.address).await;
    let client = &running.client;
    assert!(is_let_in(client, &old).await);
    assert_eq!(provider.n_asked(), 1, "at the start");
    provider.answers(document(&[&new]));
    assert!(is_let_in(client, &new).await);
    assert!(!is_let_in(client, &old).await);
    assert_eq!(provider.n_asked(), 2);
    assert_eq!(metric(client, "sentinel_jwks_up").await, Some(1.0));
    assert_eq!(metric(client, "sentinel_jwks_keys").await, Some(1.0));
    assert_eq!(metric(client, "sentinel_jwks_requests_total{outcome=\"good\"}").await, Some(2.0));
    assert!(metric(client, "sentinel_jwks_age_seconds").await.unwrap() < 60.0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_asks_the_provider_once() {
    let known = Key::new(61);
    let provider = Provider::start(document(&[&known])).await;
    let folder = Folder::new();
    let running = begin(&folder, provider.address).await;
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..300_u32 {
        let client = running.client.clone();
        let stranger = Key(SigningKey::from_bytes(&[9; 32]), format!("made-up-{n}"));
        flood.spawn(async move { is_let_in(&client, &stranger).await });
    }
    assert!(flood.join_all().await.into_iter().all(|let_in| !let_in));
    assert!(is_let_in(&running.client, &known).await);
    assert_eq!(provider.n_asked(), 2, "at the start, and for the first of them");
    // A wrong signature of a key that is known is no reason either.
    let forger = Key(SigningKey::from_bytes(&[9; 32]), known.1.clone());
    assert!(!is_let_in(&running.client, &forger).await);
    assert_eq!(provider.n_asked(), 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_stops_no_start_and_takes_nobodys_key() {
    let (key, next) = (Key::new(61), Key::new(62));
    let address = free_addr().unwrap();
    let folder = Folder::new();
    let running = begin(&folder, address).await;
    let client = &running.client;
    assert_eq!(client.get("/health").await.status, 200);
    assert!(!is_let_in(client, &key).await);
    assert_eq!(metric(client, "sentinel_jwks_up").await, Some(0.0));
    assert_eq!(metric(client, "sentinel_jwks_age_seconds").await, None, "never");
    let provider = Provider::start_at(address, document(&[&key])).await;
    until_let_in(client, &key).await;
    assert_eq!(metric(client, "sentinel_jwks_up").await, Some(1.0));
    provider.answers(answer("503 Away", ""));
    assert!(!is_let_in(client, &next).await);
    assert!(is_let_in(client, &key).await);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_document_changes_nothing() {
    let (key, next) = (Key::new(61), Key::new(62));
    let huge =
        format!("{{\"keys\":[{}{}]}}", next.published(), format!(",{}", next.published()).repeat(4_000));
    let elsewhere = Provider::start(document(&[&next])).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    for (what, bad) in [
        ("huge", answer("200 OK", &huge)),
        ("endless", [b"HTTP/1.1 200 OK\r\n\r\n", &vec![b' '; 4 << 20][..]].concat()),
        ("announced", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec()),
        ("deep", answer("200 OK", &"[".repeat(100_000))),
        ("html", answer("200 OK", "<html>sign in</html>")),
        ("twice", answer("200 OK", "{\"keys\":[],\"keys\":[]}")),
        ("elsewhere", redirect.into_bytes()),
        ("cut", document(&[&next])[..100].to_vec()),
    ] {
        let provider = Provider::start(document(&[&key])).await;
        let folder = Folder::new();
        let running = begin(&folder, provider.address).await;
        let client = &running.client;
        provider.answers(bad);
        assert!(!is_let_in(client, &next).await, "{what}");
        assert_eq!(provider.n_asked(), 2, "{what}");
        assert!(is_let_in(client, &key).await, "{what}");
        assert_eq!(
            metric(client, "sentinel_jwks_requests_total{outcome=\"failed\"}").await,
            Some(1.0),
            "{what}"
        );
        running.stop().await;
    }
    assert_eq!(elsewhere.n_asked(), 0, "redirects are not followed");
}

#[tokio::test]
async fn an_address_that_anybody_on_the_way_could_answer_for_is_refused_at_the_start() {
    let folder = Folder::new();
    for (url, says) in [
        ("http://id.example/keys", "neither https:// nor on this machine"),
        ("http://127.0.0.1.example/keys", "neither https:// nor on this machine"),
        ("https://ann:secret@id.example/keys", "user"),
        ("id.example", "does not begin"),
    ] {
        let error = Collector::bind(asking(&folder, url)).await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
