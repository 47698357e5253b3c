//! Every page for everyone: names, headings, contrast, sizes, in both colour schemes, on a desk and on a phone; and the
//! pictures of them for the documentation, where `SENTINEL_SCREENSHOTS` names a folder.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::samples::attacked;
use super::scene::Scene;
use crate::support::Folder;

const CHECKS: &str = include_str!("accessible.js");
const PAGES: [&str; 11] = [
    "overview",
    "live",
    "decision/shown-1",
    "sessions",
    "alerts",
    "limits",
    "bundles",
    "approvals",
    "health",
    "journal",
    "settings",
];

async fn furnished(folder: &Folder) -> Option<Scene> {
    let scene = Scene::with_traffic(folder).await?;
    scene.operator.filter.ingest(&[attacked("shown", 1)]).await;
    let first = scene.operator.first().await;
    let second = scene.operator.push(2).await;
    scene.operator.push(3).await;
    scene
        .operator
        .deploy(json!({"bundle": second, "mode": "canary", "percent": 10, "judge": {"automatic": false}}))
        .await;
    scene.operator.mixed(&first, &second, 300, 20, 18).await;
    scene.key_of("analyst").await;
    Some(scene)
}

fn problems(scene: &Scene, page: &str) -> Vec<String> {
    let found = scene.browser.run(CHECKS, &[]).unwrap();
    assert!(found["n_texts"].as_u64().unwrap() > 5, "{page} has hardly any text: {found}");
    found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{page}: {}", problem.as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_barrier_that_a_program_can_find() {
    let folder = Folder::new();
    let Some(scene) = furnished(&folder).await else { return };
    let mut found: Vec<String> = Vec::new();
    scene.browser.resize(1280, 900).unwrap();
    scene.browser.open(&scene.address("")).unwrap();
    scene.browser.until_there("#token").unwrap();
    found.extend(problems(&scene, "sign-in"));
    scene.sign_in_as_admin();
    for (width, dark) in [(1280, false), (1280, true), (360, false), (360, true)] {
        scene.browser.resize(width, 900).unwrap();
        scene.browser.prefer_dark(dark).unwrap();
        for page in PAGES {
            scene.go(page);
            if page.starts_with("decision") {
                scene.browser.click("main button.primary").unwrap();
                scene.browser.until_there("[data-verified]").unwrap();
                scene
                    .browser
                    .run("for (const one of document.querySelectorAll('details')) one.open = true", &[])
                    .unwrap();
            }
            found.extend(problems(&scene, &format!("{page} at {width}{}", if dark { " dark" } else { "" })));
        }
    }
    assert!(found.is_empty(), "{} problems:\n{}", found.len(), found.join("\n"));
    scene.nothing_went_wrong();
}

/// Otherwise a test that finds nothing might look for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_checks_find_what_is_wrong() {
    let folder = Folder::new();
    let Some(scene) = super::scene::scene(&folder).await else { return };
    scene.sign_in_as_admin();
    scene.go("settings");
    assert_eq!(problems(&scene, "settings"), Vec::<String>::new());
    const BREAK: &str = "const main = document.getElementById('main');
        const add = (tag, attributes, text = '') => { const one = document.createElement(tag); for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value); one.textContent = text; main.append(one); return one; };
        add('button', {});
        add('input', { placeholder: 'no label' });
        add('h1', {}, 'another');
        add('h4', {}, 'too deep');
        add('p', {}, 'pale').style.color = '#999999';
        add('div', { id: 'main' });
        add('p', { 'aria-describedby': 'nowhere' }, 'points');
        add('table', {}).insertRow();
        add('button', {}, 'x').style.cssText = 'width:10px;height:10px;min-height:0;padding:0';
        add('div', {}, 'wide').style.width = '3000px';
        add('button', {}, 'no outline').style.outline = 'none';
        add('ul', {}).append(document.createElement('p'));
        add('time', {}, 'now');";
    scene.browser.run(BREAK, &[]).unwrap();
    let found = problems(&scene, "broken").join("\n");
    for what in [
        "has no name",
        "has no label",
        "2 headings of the first level",
        "follows a heading of level",
        "contrast",
        "stands 2 times",
        "nowhere, which is not there",
        "has no caption",
        "too small to touch",
        "pixels wide",
        "does not show the focus",
        "no item of it",
        "without its moment",
    ] {
        assert!(found.contains(what), "{what} is not found:\n{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_for_the_documentation() {
    let Some(to) = std::env::var_os("SENTINEL_SCREENSHOTS").map(PathBuf::from) else { return };
    let folder = Folder::new();
    let scene = furnished(&folder).await.unwrap();
    scene.sign_in_as_admin();
    let take = |name: &str| {
        std::fs::write(to.join(format!("dashboard-{name}.png")), scene.browser.screenshot().unwrap()).unwrap()
    };
    for (name, page, width, height, dark) in [
        ("overview", "overview?last=7d", 1360, 1000, false),
        ("overview-dark", "overview?last=7d", 1360, 1000, true),
        ("live", "live", 1360, 900, false),
        ("decision", "decision/shown-1", 1360, 1250, false),
        ("bundles", "bundles", 1360, 900, false),
        ("phone", "overview", 390, 844, false),
    ] {
        scene.browser.resize(width, height).unwrap();
        scene.browser.prefer_dark(dark).unwrap();
        scene.go(page);
        if name == "decision" {
            scene.browser.press(&["v"]).unwrap();
            scene.browser.until_there("[data-verified]").unwrap();
            scene.browser.run("window.scrollTo(0, 0)", &[]).unwrap();
        }
        // The last bars are drawn, and nothing moves any more.
        let still: Value = json!("return new Promise((resolve) => setTimeout(() => resolve(true), 1800))");
        scene.browser.run(still.as_str().unwrap(), &[]).unwrap();
        take(name);
    }
}
