//! Every operation of the document that the collector serves, for every role and every way in, and for tokens that were
//! good once or never. What comes of it is written into `docs/access-table.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::hand::{Wallet, now_ms};
use super::{Scene, scene, text};
use crate::openapi::document::{Document, Operation};
use crate::support::{Answer, Client, Folder};

/// A request that is refused for nothing but who sends it, or is answered in a way that changes nothing.
const NOTHING: [(&str, &str); 5] =
    [("id", "nothing-1"), ("address", "nobody"), ("value", "nobody"), ("verb", "freeze"), ("path", "none")];

async fn ask(client: &Client, operation: Operation<'_>, body: &[u8]) -> Answer {
    // Otherwise it would be answered, and without an end.
    let wrong = if operation.path == "/v1/live" { "?limit=none" } else { "" };
    client.send(&operation.method(), &(operation.target(&NOTHING) + wrong), body).await
}

/// Every role that the document names.
fn roles(document: &Document) -> Vec<&str> {
    let all = document.operations().into_iter().flat_map(|operation| operation.roles());
    let all: BTreeSet<&str> = all.collect();
    let order = ["viewer", "analyst", "approver", "admin", "auditor", "ingest"];
    assert_eq!(all, BTreeSet::from(order), "the columns of the table are the roles of the document");
    order.to_vec()
}

#[tokio::test]
async fn every_endpoint_is_open_to_the_roles_of_the_document_and_to_nobody_else() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let document = Document::of(&scene.running.client).await;
    let roles = roles(&document);
    let mut let_in: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for role in &roles {
        scene.give(&format!("/v1/claims/{role}-there"), &[role]).await.status_is(200);
        let wallet = Wallet::new(role.len() as u8);
        scene.give(&format!("/v1/wallets/{}", wallet.address), &[role]).await.status_is(200);
        let tokens = [
            ("api_key", scene.key_of(role).await.1),
            ("jwt", scene.issuer.token(&json!({"roles": [format!("{role}-there")]}))),
            ("wallet", scene.session(&wallet).await),
        ];
        for (how, token) in tokens {
            let me = scene.whoami(&token).await.ok();
            assert_eq!((&me["how"], &me["roles"]), (&json!(how), &json!([role])));
            let mine: Vec<String> = me["permissions"].as_array().unwrap().iter().map(text).collect();
            for operation in document.operations().into_iter().filter(|each| each.access() != "own_proof") {
                let answer = ask(&scene.client(&token), operation, b"[").await;
                let allowed = operation.access() == "anyone" || operation.roles().contains(role);
                let refused = matches!(answer.status, 401 | 403);
                let name = operation.name();
                assert_eq!(refused, !allowed, "{name} as {role} by {how}: {answer:?}");
                assert!(answer.status != 405 && answer.status < 500, "{name}: {answer:?}");
                if let Some(permission) = operation.permission() {
                    assert_eq!(mine.iter().any(|mine| mine == permission), allowed, "{name} as {role}");
                }
                if !refused {
                    let_in.entry(name).or_default().insert(role);
                }
            }
        }
    }
    let mut table = format!("| endpoint | {} |\n|---|{}\n", roles.join(" | "), "---|".repeat(roles.len()));
    for operation in document.operations() {
        let cell = |role: &&str| match (operation.access(), let_in.get(&operation.name())) {
            ("own_proof", _) => " proof |",
            (_, Some(roles)) if roles.contains(role) => " yes |",
            _ => " |",
        };
        let cells: String = roles.iter().map(cell).collect();
        table.push_str(&format!("| `{}` |{cells}\n", operation.name()));
    }
    written("Endpoints and roles", &table);
}

/// Tokens that let nobody in, each with what its refusal says.
async fn bad_tokens(scene: &Scene) -> BTreeMap<&'static str, (String, &'static str)> {
    let Scene { issuer, .. } = scene;
    let all = json!({"roles": ["viewer", "analyst", "approver", "auditor", "ingest"]});
    let with = |name: &str, value: Value| {
        let mut claims = all.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let now_s = now_ms() / 1_000;
    let good = issuer.token(&all);
    scene.whoami(&good).await.ok();

    let (revoked_id, revoked) = scene.key_of("admin").await;
    scene.whoami(&revoked).await.ok();
    scene.post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).await.status_is(200);
    let (old_id, old) = scene.key_of("admin").await;
    scene.post(&format!("/v1/keys/{old_id}/rotate"), &json!({"grace_ms": 0})).await.status_is(201);
    // Its end is still to come when the collector hears of it.
    let end_ms = now_ms() + 5_000;
    let (_, short) = scene.key(json!({"label": "short", "roles": ["admin"], "not_after_ms": end_ms})).await;
    let (_, right) = scene.key_of("admin").await;
    let last = if right.ends_with('A') { 'E' } else { 'A' };
    let wrong = format!(
        "{}{last}",
        right.strip_suffix(char::is_alphanumeric).or(right.strip_suffix(['-', '_'])).unwrap()
    );

    let wallet = Wallet::new(77);
    let path = format!("/v1/wallets/{}", wallet.address);
    scene.give(&path, &["admin"]).await.status_is(200);
    let session = scene.session(&wallet).await;
    scene.whoami(&session).await.ok();
    scene.admin.send("DELETE", &path, b"").await.status_is(200);

    while now_ms() <= end_ms {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    BTreeMap::from([
        ("expired", (with("exp", json!(now_s - 120)), "has expired")),
        ("not yet", (with("nbf", json!(now_s + 3_600)), "not valid yet")),
        ("wrong audience", (with("aud", json!("another")), "meant for somebody else")),
        ("wrong issuer", (with("iss", json!("https://another.example")), "issued by somebody else")),
        ("wrong signature", (issuer.signed_by_another(&all), "signature of the token is wrong")),
        ("changed", (issuer.changed(&good), "signature of the token is wrong")),
        ("no algorithm", (issuer.unsigned(&all), "")),
        ("the public key as a secret", (issuer.hs256_with_public_key(&all), "way that is not configured")),
        ("no role", (issuer.token(&json!({"roles": ["root"]})), "gives no role")),
        ("the provider's own admin", (issuer.token(&json!({"roles": ["admin"]})), "gives no role")),
        ("a revoked key", (revoked, "")),
        ("a key after its grace", (old, "")),
        ("a key after its end", (short, "")),
        ("a key with a wrong secret", (wrong, "")),
        ("a key that is not there", (format!("sk_aaaaaaaa_{}", "A".repeat(43)), "")),
        ("a session whose wallet has lost its role", (session, "gives no role")),
        ("the spent first token", (scene.running.first_token.clone().unwrap(), "")),
        ("nonsense", ("nonsense".to_owned(), "")),
    ])
}

/// What a column of the table is about; all others are one column together.
const SHOWN: [&str; 4] = ["expired", "wrong audience", "wrong signature", "no algorithm"];

#[tokio::test]
async fn no_endpoint_takes_a_token_that_is_not_good() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let document = Document::of(&scene.running.client).await;
    let bad = bad_tokens(&scene).await;
    let others: Vec<&str> = bad.keys().copied().filter(|state| !SHOWN.contains(state)).collect();
    let deeds = async || {
        let journal = scene.admin.json("/v1/journal?limit=1000").await;
        let lines = journal["entries"].as_array().unwrap().iter();
        lines.filter(|line| line["entry"]["what"] != "refused").count()
    };
    let before = deeds().await;
    let mut table = format!(
        "| endpoint | missing | {} | {} others | replayed nonce |\n|---|{}\n",
        SHOWN.join(" | "),
        others.len(),
        "---|".repeat(SHOWN.len() + 3)
    );
    for operation in document.operations() {
        let name = operation.name();
        let nobody = scene.running.client.with_authorization(None);
        let missing = ask(&nobody, operation, b"{}").await;
        if operation.says["security"] == json!([]) {
            assert_ne!(missing.status, 401, "{name}");
            table.push_str(&format!("| `{name}` |{} |\n", " not asked |".repeat(SHOWN.len() + 2)));
            continue;
        }
        assert_eq!(missing.status, 401, "{name}: {missing:?}");
        let is_bootstrap = operation.access() == "own_proof";
        for (state, (token, says)) in &bad {
            if is_bootstrap && *state == "the spent first token" {
                continue;
            }
            let body: &[u8] = if is_bootstrap { b"{\"key\":\"x\"}" } else { b"{}" };
            let answer = ask(&scene.client(token), operation, body).await;
            assert_eq!(answer.status, 401, "{name} with {state}: {answer:?}");
            assert!(answer.has_header("www-authenticate: bearer"), "{answer:?}");
            if !is_bootstrap {
                assert!(answer.body().contains(says), "{state}: {}", answer.body());
            }
            assert!(!answer.body().contains(token.as_str()));
        }
        table.push_str(&format!("| `{name}` |{} |\n", " 401 |".repeat(SHOWN.len() + 2)));
    }
    assert_eq!(deeds().await, before + 1, "nobody did anything but look twice");
    replay(&scene, &document).await;
    let session = "`POST /v1/auth/wallet/session` |";
    let (before, after) = table.split_once(session).unwrap();
    let (row, after) = after.split_once('\n').unwrap();
    let table = format!("{before}{session}{} 401 |\n{after}", row.strip_suffix(" |").unwrap());
    written("Endpoints and tokens", &format!("{table}\nThe others: {}.\n", others.join(", ")));
}

/// What proves something once proves nothing the second time.
async fn replay(scene: &Scene, document: &Document) {
    let operations = document.operations();
    let operation = operations.iter().find(|operation| operation.id() == "beginSession").unwrap();
    let wallet = Wallet::new(99);
    scene.give(&format!("/v1/wallets/{}", wallet.address), &["viewer"]).await.status_is(200);
    let proof = wallet.answer(&wallet.challenge(&scene.running.client).await).to_string();
    let nobody = scene.running.client.with_authorization(None);
    ask(&nobody, *operation, proof.as_bytes()).await.status_is(200);
    let again = ask(&nobody, *operation, proof.as_bytes()).await.refused(401, "unauthorized");
    assert!(text(&again["message"]).contains("answered already"), "{again}");
}

/// The section of this name in the page, which has to be what was measured.
fn written(section: &str, table: &str) {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access-table.md");
    const WRITE: &str = "SENTINEL_WRITE_DOCS";
    static PAGE: Mutex<()> = Mutex::new(());
    let page_is_ours = PAGE.lock();
    let mut page = std::fs::read_to_string(PATH).unwrap();
    let heading = format!("## {section}\n\n");
    let begin = page.find(&heading).map(|at| at + heading.len()).unwrap_or_else(|| panic!("no {heading}"));
    let begin = page.get(begin..).unwrap().find("| endpoint").map_or(page.len(), |at| begin + at);
    let end = page.get(begin..).unwrap().find("\n## ").map_or(page.len(), |at| begin + at);
    let found = page.get(begin..end).unwrap().to_owned();
    if std::env::var_os(WRITE).is_some() {
        page.replace_range(begin..end, table);
        std::fs::write(PATH, page).unwrap();
        return;
    }
    drop(page_is_ours);
    assert!(
        found == table,
        "docs/access-table.md is not current; run this test once with {WRITE}=1; it is\n{table}"
    );
}
