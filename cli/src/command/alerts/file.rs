//! A file of alerts, YAML or JSON: what it comes to, or everything that is wrong with it, a line each.

use std::path::Path;

use sentinel_collector::{AlertPlan, AlertsFile};

use crate::{
    document::{self, Node, Problem},
    report::Fault,
};

pub(crate) fn read(path: &Path) -> Result<AlertPlan, Fault> {
    let text = document::read_text(path)?;
    plan(&text, &|name| std::env::var(name).ok()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|problem| problem.line(path, "")).collect();
        Fault::Input(lines.join("\n"))
    })
}

fn plan(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<AlertPlan, Vec<Problem>> {
    let file: AlertsFile = document::parse(text).map_err(|problem| vec![problem])?;
    let document: Node = document::parse(text).map_err(|problem| vec![problem])?;
    file.plan(variable).map_err(|errors| {
        let problem = |error: sentinel_collector::FileError| {
            let at = Some(document.find(&error.field).at);
            Problem { at, field: error.field, reason: error.reason, nearest: None }
        };
        errors.into_iter().map(problem).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = plan(text, &|_| None).unwrap_err();
        problems.iter().map(|problem| problem.line(Path::new("a.yaml"), "")).collect()
    }

    #[test]
    fn every_error_has_its_place_and_its_reason() {
        let text = "sinks:\n  - name: chat\n    slack: {url_env: NOT_THERE}\nrules:\n  - name: mine\n    within: 5m\n";
        let found = problems(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.yaml:3:13: sinks[0].slack.url_env: "), "{found:?}");
        assert!(found[0].contains("NOT_THERE is not set"), "{found:?}");
        assert!(found[1].starts_with("a.yaml:5:"), "{found:?}");
        assert!(found[1].contains("rules[0].at_least: expected either at_least or below"), "{found:?}");
    }

    #[test]
    fn a_field_that_is_not_known_is_an_error_with_its_line() {
        let found = problems("rules:\n  - name: mine\n    treshold: 1\n");
        assert!(found[0].starts_with("a.yaml:3:") && found[0].contains("treshold"), "{found:?}");
        let found = problems("rules:\n  - {name: mine, at_least: 1, within: soon}\n");
        assert!(found[0].starts_with("a.yaml:2:") && found[0].contains("90s, 5m, 1h"), "{found:?}");
    }

    #[test]
    fn the_documented_file_is_right() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alerts.md");
        let documented = std::fs::read_to_string(PATH).unwrap();
        let (_, rest) = documented.split_once("```yaml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let plan = plan(example, &|_| Some("https://hooks.example/0123456789abcdef".to_owned())).unwrap();
        let shown = plan.describe();
        assert_eq!(shown["sinks"].as_array().unwrap().len(), 4);
        assert!(!shown.to_string().contains("0123456789"), "{shown}");
    }

    #[test]
    fn an_empty_file_is_the_built_in_rules() {
        assert_eq!(plan("{}", &|_| None).unwrap().describe()["rules"].as_array().unwrap().len(), 13);
    }
}
