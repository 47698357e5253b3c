//! Alerts in the browser: somebody sees one, takes it on, and others see who.

use sentinel_collector::Config;
use serde_json::{Value, json};

use super::samples::attacked;
use super::scene::{Scene, scene_with};
use crate::bundles;
use crate::support::Folder;

async fn with_an_alert(folder: &Folder) -> Option<Scene> {
    // It stays as long as the test needs it.
    let rule = json!({"name": "high-confidence-attack", "resolve_after": "1h"});
    let alerts = crate::alerts::plan(json!({ "rules": [rule] }));
    let scene = scene_with(Config { alerts: Some(alerts), ..bundles::config(folder) }).await?;
    scene.operator.filter.ingest(&[attacked("edge", 1)]).await;
    Some(scene)
}

impl Scene {
    async fn alert(&self) -> Value {
        self.operator.admin.json("/v1/alerts?limit=1").await["alerts"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_taken_on_in_the_browser_and_others_see_by_whom() {
    let folder = Folder::new();
    let Some(scene) = with_an_alert(&folder).await else { return };
    scene.sign_in(&scene.key_of("analyst").await);
    // The page asks again by itself.
    scene.go("alerts");
    scene.browser.click_text("button", "Take it on").unwrap();
    scene.browser.until_text("You have taken it on").unwrap();
    scene.browser.until_text("Taken on by key:").unwrap();
    let alert = scene.alert().await;
    let by = alert["acknowledged_by"].as_str().unwrap();
    assert_eq!(alert["state"], "acknowledged", "{alert}");
    let journal = scene.operator.admin.json("/v1/journal").await.to_string();
    assert!(journal.contains(by) && journal.contains("/acknowledge"), "{journal}");
    // Another one of the same event is still there; nobody has taken that on.
    let taken = scene.browser.run("return document.querySelectorAll('.alert').length - [...document.querySelectorAll('.alert button')].filter((button) => button.textContent === 'Take it on').length", &[]).unwrap();
    assert_eq!(taken, json!(1));
    for role in ["viewer", "auditor"] {
        scene.sign_in(&scene.key_of(role).await);
        scene.go("alerts");
        scene.browser.until_text(&format!("Taken on by {by}")).unwrap();
        assert!(!scene.is_there(".alert button"), "{role}:\n{}", scene.text());
    }
    scene.nothing_went_wrong();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_silenced_with_a_reason_and_the_silence_is_ended() {
    let folder = Folder::new();
    let Some(scene) = with_an_alert(&folder).await else { return };
    scene.sign_in(&scene.key_of("approver").await);
    scene.go("alerts");
    scene.browser.click_text("button", "Silence").unwrap();
    scene.browser.type_into("dialog [name='reason']", "a <b>test</b> of load").unwrap();
    scene.browser.click("dialog button[type='submit']").unwrap();
    scene.browser.until_text("Silenced: nobody is told.").unwrap();
    scene.browser.until_text("a <b>test</b> of load").unwrap();
    // What it has said goes away, and no longer stands before the button.
    scene.browser.until("return document.querySelector('.toast') === null", &[]).unwrap();
    scene.browser.click_text("button", "End it").unwrap();
    scene.browser.until_text("The silence is over").unwrap();
    scene.browser.until("return ![...document.querySelectorAll('main button')].some((button) => button.textContent === 'End it')", &[]).unwrap();
    assert_eq!(scene.operator.admin.json("/v1/silences").await["silences"], json!([]));
    scene.nothing_went_wrong();
}
