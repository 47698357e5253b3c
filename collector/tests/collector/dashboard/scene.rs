//! A collector with an operator, and somebody before a browser.

use sentinel_collector::Config;
use sentinel_harness::{browser::Browser, program::or_skip};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::samples;
use crate::bundles::{self, ADMIN, Operator};
use crate::support::Folder;

pub(crate) struct Scene {
    pub(crate) operator: Operator,
    pub(crate) browser: Browser,
    _turn: MutexGuard<'static, ()>,
}

/// One browser at a time: each takes all of a small machine, and people wait for pages only so long.
static TURN: Mutex<()> = Mutex::const_new(());

/// `None`, said loudly, where Chromium is not installed.
pub(crate) fn browser() -> Option<Browser> {
    or_skip(Browser::find())?;
    Some(Browser::start().unwrap())
}

pub(crate) async fn scene(folder: &Folder) -> Option<Scene> {
    scene_with(bundles::config(folder)).await
}

pub(crate) async fn scene_with(config: Config) -> Option<Scene> {
    let turn = TURN.lock().await;
    let browser = browser()?;
    browser.resize(1280, 900).unwrap();
    Some(Scene { operator: Operator::start(config).await, browser, _turn: turn })
}

impl Scene {
    pub(crate) async fn with_traffic(folder: &Folder) -> Option<Self> {
        let scene = scene(folder).await?;
        for batch in samples::traffic(24 * 9, 14.0, samples::now_ms()).chunks(1_000) {
            scene.operator.filter.ingest(batch).await;
        }
        Some(scene)
    }

    pub(crate) fn address(&self, rest: &str) -> String {
        format!("http://{}/{rest}", self.operator.filter.address)
    }

    /// With a link, as it is printed for people.
    pub(crate) fn sign_in(&self, token: &str) {
        self.browser.open("about:blank").unwrap();
        self.browser.open(&self.address(&format!("#sign-in={token}"))).unwrap();
        self.browser.until_there("#menu").unwrap();
    }

    pub(crate) fn sign_in_as_admin(&self) {
        self.sign_in(ADMIN);
    }

    pub(crate) async fn key_of(&self, role: &str) -> String {
        let body = json!({"label": role, "roles": [role]}).to_string();
        let made = self.operator.admin.send("POST", "/v1/keys", body.as_bytes()).await.status_is(201);
        made["secret"].as_str().unwrap().to_owned()
    }

    /// Until the page of this name is there, with what it has asked for.
    pub(crate) fn go(&self, page: &str) {
        self.browser.run("location.hash = `#/${arguments[0]}`", &[page.into()]).unwrap();
        self.browser
            .until(
                "return location.hash === `#/${arguments[0]}` && document.querySelector('main h1') !== null \
                 && document.querySelector('main [aria-busy]') === null && document.querySelector('.loading') === null",
                &[page.into()],
            )
            .unwrap();
    }

    /// Whatever the page shows.
    pub(crate) fn text(&self) -> String {
        let text = self.browser.run("return document.body.innerText", &[]).unwrap();
        text.as_str().unwrap().to_owned()
    }

    /// All of the page, also what is not shown.
    pub(crate) fn html(&self) -> String {
        let html = self.browser.run("return document.documentElement.outerHTML", &[]).unwrap();
        html.as_str().unwrap().to_owned()
    }

    pub(crate) fn is_there(&self, css: &str) -> bool {
        self.browser.run("return document.querySelector(arguments[0]) !== null", &[css.into()]).unwrap()
            == json!(true)
    }

    /// Scripts that failed, and whatever the policy of the page has refused. Answers that are errors are listed by the
    /// browser, too, and are for the page to deal with.
    #[track_caller]
    pub(crate) fn nothing_went_wrong(&self) {
        let said = self.browser.console().unwrap();
        let wrong: Vec<&String> =
            said.iter().filter(|line| !line.contains("Failed to load resource")).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

pub(crate) fn has_key(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|found| !found.is_null())
}
