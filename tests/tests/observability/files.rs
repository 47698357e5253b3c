//! Rules and dashboards as they are shipped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

pub(crate) fn repository() -> PathBuf {
    sentinel_tests::folder().parent().unwrap().to_owned()
}

pub(crate) fn rule_file(name: &str) -> String {
    fs::read_to_string(repository().join("ops/prometheus").join(name)).unwrap()
}

pub(crate) fn rules(file: &str) -> Vec<Value> {
    let document: Value = serde_saphyr::from_str(&rule_file(file)).unwrap();
    let groups = document["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

pub(crate) fn alerts() -> Vec<Value> {
    let rules = rules("alerts.yml");
    assert!(rules.iter().all(|rule| rule["alert"].is_string()), "alerts.yml has other rules, too");
    rules
}

/// By file.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(repository().join("ops/grafana")).unwrap().map(|file| file.unwrap().path());
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_one = path.extension().is_some_and(|extension| extension == "json");
        is_one.then(|| (name, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()))
    };
    files.filter_map(named).collect()
}

/// Each query of each panel with where it stands, as Grafana sends it.
pub(crate) fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{file}: {}", panel["title"].as_str().unwrap());
                queries.push((place, as_sent(target["expr"].as_str().unwrap())));
            }
        }
    }
    queries
}

fn as_sent(query: &str) -> String {
    let sent = [("$__rate_interval", "10s"), ("$__range", "1m"), ("$instance", ".*")]
        .iter()
        .fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value));
    assert!(!sent.contains('$'), "a variable is left in {sent}");
    sent
}

/// Names of metrics in an expression: what is neither in braces nor in quotes, and begins as metrics do that are asked for.
pub(crate) fn metric_names(expression: &str) -> BTreeSet<String> {
    let (mut names, mut word, mut is_selector, mut is_text) = (BTreeSet::new(), String::new(), false, false);
    for letter in expression.chars().chain([' ']) {
        match letter {
            '"' => is_text = !is_text,
            '{' if !is_text => is_selector = true,
            '}' if !is_text => is_selector = false,
            _ => {}
        }
        let is_part = letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
        if is_part && !is_selector && !is_text {
            word.push(letter);
            continue;
        }
        let found = std::mem::take(&mut word);
        if ["sentinel_", "sentinel:", "envoy_"].iter().any(|prefix| found.starts_with(prefix)) {
            names.insert(found);
        }
    }
    names
}

/// Whether the source of the collector has this name as a text of its own.
pub(crate) fn collector_writes(name: &str) -> bool {
    contains(&repository().join("collector/src"), &format!("\"{name}\""))
}

fn contains(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => contains(&path, text),
        false => fs::read_to_string(&path).is_ok_and(|source| source.contains(text)),
    })
}

/// The same rules for people in a hurry: windows of minutes are seconds, a day is two minutes, and nothing waits.
pub(crate) fn quickened(rules: &str) -> String {
    let mut quick = String::new();
    for line in rules.lines().filter(|line| !line.trim_start().starts_with("for: ")) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            let Some((window, after)) = after.split_once(']') else { break };
            quick.push_str(before);
            match window {
                // Longer than the whole test: what was before an outage must not be forgotten.
                "1d" => quick.push_str("[15m]"),
                "1h" | "5m" | "10m" | "15m" => quick.push_str("[8s]"),
                // Not a window: a list of YAML.
                other => quick.push_str(&format!("[{other}]")),
            }
            rest = after;
        }
        let rest = ["10m", "15m", "30m"]
            .iter()
            .fold(rest.to_owned(), |rest, long| rest.replace(&format!("offset {long}"), "offset 8s"));
        quick.push_str(&rest);
        quick.push('\n');
    }
    quick
}
