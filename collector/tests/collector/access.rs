//! Who may come in, and how: keys, wallets, an identity provider, the first admin.

pub(crate) mod hand;
mod last_admin;
mod published;
mod table;

use std::time::{Duration, Instant};

use sentinel_collector::{Config, JwtIssuer, JwtKeys};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Folder, Running, TOKEN, config, event, start};
use hand::{Issuer, Wallet};

const SITE: &str = "https://sentinel.example";

/// A collector with an identity provider and a site, whose first admin has a key.
struct Scene {
    running: Running,
    issuer: Issuer,
    admin: Client,
}

async fn scene(folder: &Folder) -> Scene {
    let issuer = Issuer::new(&folder.file("jwks.json"));
    let config = Config { throttle: false, ..configured(folder, &issuer) };
    let running = start(config).await;
    let secret =
        first_admin(&running, json!({"key": "the first admin"})).await.status_is(201)["secret"].clone();
    let admin = running.client.with_token(secret.as_str().unwrap());
    Scene { running, issuer, admin }
}

pub(crate) fn configured(folder: &Folder, issuer: &Issuer) -> Config {
    let jwt = JwtIssuer {
        issuer: hand::ISSUER.to_owned(),
        audience: hand::AUDIENCE.to_owned(),
        keys: JwtKeys::File(issuer.file.clone()),
        roles_claim: "roles".to_owned(),
    };
    Config { jwt: Some(jwt), site: Some(SITE.to_owned()), ..config(&folder.database()) }
}

async fn first_admin(running: &Running, body: Value) -> Answer {
    let client = running.client.with_token(running.first_token.as_ref().unwrap());
    client.send("POST", "/v1/bootstrap", body.to_string().as_bytes()).await
}

impl Scene {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.admin.send("POST", path, body.to_string().as_bytes()).await
    }

    /// Its id and its secret.
    async fn key(&self, body: Value) -> (String, String) {
        let made = self.post("/v1/keys", &body).await.status_is(201);
        (text(&made["key"]["id"]), text(&made["secret"]))
    }

    async fn key_of(&self, role: &str) -> (String, String) {
        self.key(json!({"label": role, "roles": [role]})).await
    }

    async fn give(&self, path: &str, roles: &[&str]) -> Answer {
        self.admin.send("PUT", path, json!({ "roles": roles }).to_string().as_bytes()).await
    }

    fn client(&self, token: &str) -> Client {
        self.running.client.with_token(token)
    }

    async fn whoami(&self, token: &str) -> Answer {
        self.client(token).get("/v1/whoami").await
    }

    async fn session(&self, wallet: &Wallet) -> String {
        text(&wallet.sign_in(&self.running.client).await.ok()["token"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_and_its_successor_both_work_until_the_grace_is_over() {
    // Longer than a busy machine leaves either side asleep.
    const GRACE: Duration = Duration::from_secs(6);
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let (id, old) = scene.key(json!({"label": "filters", "roles": ["ingest"]})).await;
    let sends = async |secret: &str| scene.client(secret).post("{\"events\":[]}").await.status;
    assert_eq!(sends(&old).await, 200);
    let begun = Instant::now();
    let grace = json!({"grace_ms": GRACE.as_millis() as u64});
    let rotated = scene.post(&format!("/v1/keys/{id}/rotate"), &grace).await.status_is(201);
    let new = text(&rotated["secret"]);
    assert_eq!((sends(&old).await, sends(&new).await), (200, 200));
    scene.post(&format!("/v1/keys/{id}/rotate"), &json!({})).await.refused(409, "conflict");
    let listed = scene.admin.json("/v1/keys").await;
    let of =
        |id: &Value| listed["keys"].as_array().unwrap().iter().find(|key| key["id"] == *id).unwrap().clone();
    assert_eq!(of(&json!(id))["replaced_by"], rotated["key"]["id"]);
    assert!(!listed.to_string().contains(&new) && !listed.to_string().contains("secret"));
    while sends(&old).await == 200 {
        assert!(begun.elapsed() < 10 * GRACE, "the grace does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= GRACE, "it ended early");
    assert_eq!((sends(&old).await, sends(&new).await), (401, 200));
    let id = text(&rotated["key"]["id"]);
    scene.post(&format!("/v1/keys/{id}/revoke"), &json!({})).await.status_is(200);
    assert_eq!(sends(&new).await, 401);
}

#[tokio::test]
async fn a_key_may_be_narrower_than_its_role_and_never_wider() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let narrow = json!({"label": "proofs", "roles": ["auditor"], "scope": ["read_proofs"]});
    let (_, secret) = scene.key(narrow).await;
    assert_eq!(scene.client(&secret).get("/log/key").await.status, 200);
    scene.client(&secret).get("/v1/events").await.refused(403, "forbidden");
    for (wrong, says) in [
        (json!({"label": "x", "roles": ["viewer"], "scope": ["deploy"]}), "more than the roles"),
        (json!({"label": "x", "roles": ["root"]}), "is no role"),
        (json!({"label": "x", "roles": []}), "roles is empty"),
        (json!({"label": "", "roles": ["viewer"]}), "a label has"),
        (json!({"label": "x", "roles": ["viewer"], "not_after_ms": 5}), "not in the future"),
        (json!({"label": "x", "roles": ["viewer"], "secret": "mine"}), "unknown field"),
    ] {
        let refused = scene.post("/v1/keys", &wrong).await.refused(400, "malformed_body");
        assert!(text(&refused["message"]).contains(says), "{refused}");
    }
    for path in ["/v1/keys/unknown1/revoke", "/v1/keys/aaaaaaaa/rotate"] {
        scene.post(path, &json!({})).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_challenge_is_answered_once_by_its_wallet_also_over_a_restart() {
    let folder = Folder::new();
    let Scene { running, issuer, admin } = scene(&folder).await;
    let wallet = Wallet::new(1);
    let path = format!("/v1/wallets/{}", wallet.address);
    let roles = json!({"roles": ["viewer"]}).to_string();
    admin.send("PUT", &path, roles.as_bytes()).await.status_is(200);
    let challenge = wallet.challenge(&running.client).await;
    assert!(text(&challenge["message"]).starts_with("sentinel.example wants you to sign in"));
    let answer = wallet.answer(&challenge);
    let send = async |client: &Client, body: &Value| {
        client
            .with_authorization(None)
            .send("POST", "/v1/auth/wallet/session", body.to_string().as_bytes())
            .await
    };
    let stranger = Wallet::new(2);
    for (body, says) in [
        (stranger.answer(&challenge), "not made here for this address"),
        (
            json!({"address": wallet.address, "nonce": challenge["nonce"], "signature": stranger.sign(&challenge)}),
            "signature is not of",
        ),
        (stranger.answer(&stranger.challenge(&running.client).await), "has no role"),
    ] {
        let refused = send(&running.client, &body).await.refused(401, "unauthorized");
        assert!(text(&refused["message"]).contains(says), "{refused}");
    }
    let token = text(&send(&running.client, &answer).await.ok()["token"]);
    let again = send(&running.client, &answer).await.refused(401, "unauthorized");
    assert!(text(&again["message"]).contains("answered already"), "{again}");
    let journal = admin.json("/v1/journal").await;
    let mut lines = journal["entries"].as_array().unwrap().iter().map(|line| &line["entry"]);
    let line = lines.find(|line| line["what"] != "refused").unwrap();
    assert_eq!(
        (text(&line["what"]), text(&line["who"])),
        ("sign_in".to_owned(), format!("wallet:{}", wallet.address))
    );
    running.stop().await;

    let running = start(Config { throttle: false, ..configured(&folder, &issuer) }).await;
    assert_eq!(running.first_token, None, "there is an admin");
    send(&running.client, &answer).await.refused(401, "unauthorized");
    assert_eq!(running.client.with_token(&token).get("/v1/whoami").await.ok()["roles"], json!(["viewer"]));
}

#[tokio::test]
async fn the_first_token_makes_one_admin_of_a_kind_that_can_come_in() {
    let folder = Folder::new();
    let issuer = Issuer::new(&folder.file("jwks.json"));
    let wallet = Wallet::new(3);
    for (body, path) in [
        (json!({"wallet": wallet.address}), format!("/v1/wallets/{}", wallet.address)),
        (json!({"claim": "soc-admins"}), "/v1/claims/soc-admins".to_owned()),
    ] {
        let folder = Folder::new();
        let running = start(configured(&folder, &issuer)).await;
        first_admin(&running, json!({"root": "x"})).await.refused(400, "malformed_body");
        first_admin(&running, json!({"wallet": "x"})).await.refused(400, "malformed_body");
        running
            .client
            .with_token(running.first_token.as_ref().unwrap())
            .get("/v1/keys")
            .await
            .refused(401, "unauthorized");
        first_admin(&running, body.clone()).await.status_is(201);
        first_admin(&running, body.clone()).await.refused(401, "unauthorized");
        let token = match body.get("wallet") {
            Some(_) => text(&wallet.sign_in(&running.client).await.ok()["token"]),
            None => issuer.token(&json!({"roles": "soc-admins other"})),
        };
        let admin = running.client.with_token(&token);
        assert_eq!(admin.json(&path).await["roles"], json!(["admin"]));
        let lines = admin.json("/v1/journal").await;
        let first =
            lines["entries"].as_array().unwrap().iter().find(|line| line["entry"]["who"] == "bootstrap");
        assert_eq!(first.unwrap()["entry"]["target"], format!("{path}?roles=admin"));
    }
    // Nobody could sign in as such an admin here.
    let running = folder.start().await;
    for body in [json!({"wallet": wallet.address}), json!({"claim": "soc-admins"})] {
        first_admin(&running, body).await.refused(400, "malformed_body");
    }
    first_admin(&running, json!({"key": "ann"})).await.status_is(201);
}

#[tokio::test]
async fn who_has_shown_nothing_yet_may_not_send_much() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let large = vec![b' '; 20 * 1024];
    for path in ["/v1/auth/wallet/challenge", "/v1/auth/wallet/session"] {
        let client = scene.running.client.with_authorization(None);
        client.send("POST", path, &large).await.refused(413, "too_large");
    }
    scene
        .post("/v1/keys", &json!({"label": "x".repeat(20 * 1024), "roles": ["viewer"]}))
        .await
        .refused(400, "malformed_body");
}

#[tokio::test]
async fn what_admins_change_stands_in_the_journal_with_what_was_given() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let (id, _) = scene.key_of("ingest").await;
    scene.give("/v1/claims/ops", &["viewer", "approver"]).await.status_is(200);
    scene.admin.send("DELETE", "/v1/claims/ops", b"").await.status_is(200);
    scene.admin.send("DELETE", "/v1/claims/ops", b"").await.refused(404, "not_found");
    let journal = scene.admin.json("/v1/journal").await;
    let told: Vec<String> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| format!("{} {}", text(&line["entry"]["target"]), line["entry"]["outcome"]))
        .collect();
    let expected = [
        "/v1/claims/{value} 404".to_owned(),
        "/v1/claims/ops 200".to_owned(),
        "/v1/claims/ops?roles=viewer,approver 200".to_owned(),
        format!("/v1/keys/{id}?roles=ingest 201"),
    ];
    assert_eq!(told[..4], expected);
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_whoever_was_in_does_not() {
    let folder = Folder::new();
    let running = start(config(&folder.database())).await;
    assert_eq!(running.client.post("{\"events\":[]}").await.status, 200);
    let guess =
        async |n: usize| running.client.with_token(&format!("guess-number-{n}")).get("/v1/gaps").await;
    let mut n_let_through = 0;
    // Between two guesses a busy machine may sleep for longer than there is to wait, at first.
    let held = loop {
        let answer = guess(n_let_through).await;
        if answer.status == 429 {
            break answer;
        }
        answer.refused(401, "unauthorized");
        n_let_through += 1;
        assert!(n_let_through < 20, "nobody has to wait");
    };
    assert!(n_let_through >= 6, "after {n_let_through}");
    let wait: u32 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{held:?}");
    held.refused(429, "too_many_failures");
    assert_eq!(running.client.ingest(&[event("a", 1)]).await["accepted"], 1, "{TOKEN} was in before");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_out() {
    let folder = Folder::new();
    let running = folder.start().await;
    for path in ["/v1/whoami", "/v1/events", "/health", "/nothing", "/metrics"] {
        for client in [running.client.clone(), running.client.with_authorization(None)] {
            let answer = client.get(path).await;
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "deny"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(answer.header(name).as_deref(), Some(value), "{path}: {answer:?}");
            }
            assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
            assert_eq!(answer.header("strict-transport-security"), None, "without TLS");
        }
    }
    let key = running.client.get("/log/key").await;
    assert_eq!(
        (key.status, key.header("cache-control").as_deref()),
        (200, Some("private, max-age=604800, immutable")),
        "{key:?}"
    );
}
