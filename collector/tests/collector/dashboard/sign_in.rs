//! Every way in that docs/access.md names, in the browser: a wallet, a token of an identity provider, and tokens and keys as
//! links and typed.

use sentinel_collector::Config;
use sentinel_harness::browser::key;
use serde_json::json;

use super::scene::{Scene, scene_with};
use crate::access::configured;
use crate::access::hand::{Issuer, Wallet};
use crate::bundles::ADMIN;
use crate::support::Folder;

/// A wallet as an extension brings it into the page: it knows its key, and signs what it is shown for its own site.
const EXTENSION: &str = r#"
    window.solana = {
        publicKey: { toString: () => "ADDRESS" },
        connect: async () => ({ publicKey: window.solana.publicKey }),
        signMessage: async (message) => {
            const text = new TextDecoder().decode(message);
            if (!text.startsWith(`${location.hostname} wants you to sign in`)) throw new Error("another site");
            const pkcs8 = new Uint8Array([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32, ...Array(32).fill(SEED)]);
            const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
            return { signature: new Uint8Array(await crypto.subtle.sign("Ed25519", key, message)) };
        },
    };
"#;

async fn scene(folder: &Folder) -> Option<(Scene, Issuer)> {
    let issuer = Issuer::new(&folder.file("jwks.json"));
    let config = Config {
        admin_tokens: vec![ADMIN.to_owned()],
        site: Some("http://127.0.0.1".to_owned()),
        ..configured(folder, &issuer)
    };
    Some((scene_with(config).await?, issuer))
}

impl Scene {
    fn sign_out(&self) {
        self.browser.click(".me summary").unwrap();
        self.browser.click_text("button", "Sign out").unwrap();
        self.browser.until_there("#token").unwrap();
    }

    fn roles(&self) -> String {
        self.browser.until_there(".me summary").unwrap()
    }

    async fn give(&self, path: &str, role: &str) {
        let body = json!({ "roles": [role] }).to_string();
        self.operator.admin.send("PUT", path, body.as_bytes()).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_signs_in_with_its_role_until_that_is_taken_away() {
    let folder = Folder::new();
    let Some((scene, _)) = scene(&folder).await else { return };
    let wallet = Wallet::new(7);
    let extension = EXTENSION.replace("ADDRESS", &wallet.address).replace("SEED", "7");
    scene.browser.bring_along(&extension).unwrap();
    scene.browser.open(&scene.address("")).unwrap();
    scene.browser.click_text("button", "Sign in with your wallet").unwrap();
    let said = scene
        .browser
        .until("return document.querySelector('[role=alert]').textContent || null", &[])
        .unwrap();
    assert!(said.as_str().unwrap().contains("role"), "a wallet that nobody gave a role is told why: {said}");
    let path = format!("/v1/wallets/{}", wallet.address);
    scene.give(&path, "analyst").await;
    scene.browser.click_text("button", "Sign in with your wallet").unwrap();
    assert_eq!(scene.roles(), "analyst");
    scene.go("settings");
    scene.browser.until_text(&format!("wallet:{}", wallet.address)).unwrap();
    scene.operator.admin.send("DELETE", &path, b"").await.ok();
    scene.browser.run("location.hash = '#/health'", &[]).unwrap();
    scene.browser.until_there("#token").unwrap();
    scene.nothing_went_wrong();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_identity_provider_signs_in_by_link_and_typed() {
    let folder = Folder::new();
    let Some((scene, issuer)) = scene(&folder).await else { return };
    let token = issuer.token(&json!({"roles": ["viewer"]}));
    scene.sign_in(&token);
    assert_eq!(scene.roles(), "viewer");
    scene.sign_out();
    scene.browser.type_into("#token", &format!("{token}{}", key::ENTER)).unwrap();
    assert_eq!(scene.roles(), "viewer");
    scene.sign_out();
    // A value of the claim that an admin has given a role to.
    scene.give("/v1/claims/night-shift", "approver").await;
    scene.sign_in(&issuer.token(&json!({"roles": ["night-shift"]})));
    assert_eq!(scene.roles(), "approver");
    scene.sign_out();
    scene
        .browser
        .type_into(
            "#token",
            &format!("{}{}", issuer.signed_by_another(&json!({"roles": ["admin"]})), key::ENTER),
        )
        .unwrap();
    scene
        .browser
        .until("return document.querySelector('[role=alert]').textContent.length > 20", &[])
        .unwrap();
    assert!(!scene.is_there("#menu"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_of_the_configuration_sign_in_by_link_and_typed() {
    let folder = Folder::new();
    let Some((scene, _)) = scene(&folder).await else { return };
    let key = scene.key_of("auditor").await;
    for (token, roles) in [(ADMIN, "admin"), (key.as_str(), "auditor")] {
        scene.sign_in(token);
        assert_eq!(scene.roles(), roles);
        scene.sign_out();
        scene.browser.type_into("#token", &format!("{token}{}", key::ENTER)).unwrap();
        assert_eq!(scene.roles(), roles);
        scene.sign_out();
    }
    scene.nothing_went_wrong();
}
