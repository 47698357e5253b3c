//! The parameters of the document are those that the server knows, with the values that it takes: it is asked, and its
//! own words are compared.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::Operation;
use super::scene::Scene;
use crate::support::Folder;

#[tokio::test]
async fn the_parameters_of_a_query_are_those_that_the_server_takes() {
    let folder = Folder::new();
    let scene = Scene::new(&folder).await;
    let (mut n_read, mut n_compared) = (0, 0);
    for operation in scene.document.operations().into_iter().filter(|operation| operation.method == "get") {
        let declared: BTreeSet<&str> = operation
            .parameters("query")
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let client = scene.client(operation);
        let answer = client.get(&with(operation, "no_such", "1")).await;
        if answer.status != 400 {
            assert!(declared.is_empty(), "{} does not look at its query", operation.name());
            continue;
        }
        let error = answer.refused(400, "bad_parameter");
        let said = error["message"].as_str().unwrap();
        let known = said.split_once("but there are ").map_or("", |(_, known)| known);
        let known: BTreeSet<&str> = known.split(", ").filter(|name| !name.is_empty()).collect();
        assert_eq!(declared, known, "{}", operation.name());
        n_read += 1;
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            let Some(says) = expectation(&parameter["schema"]) else { continue };
            let error = client.get(&with(operation, name, "no%20such")).await.refused(400, "bad_parameter");
            assert_eq!(error["parameter"], name, "{}", operation.name());
            assert!(
                error["message"].as_str().unwrap().ends_with(&says),
                "{}: {error}, {says}",
                operation.name()
            );
            n_compared += 1;
        }
    }
    assert!(n_read >= 8 && n_compared >= 30, "{n_read} {n_compared}");
}

/// How the server tells the values that it takes.
fn expectation(schema: &Value) -> Option<String> {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        return Some(format!("is not one of {}", words.join(", ")));
    }
    let what = match schema["type"].as_str()? {
        "integer" => "a whole number",
        "number" => "a number",
        _ => return None,
    };
    Some(format!("is not {what} from {} to {}", schema["minimum"], schema["maximum"]))
}

/// The target with one more parameter, or with another value of one that it needs.
fn with(operation: Operation<'_>, name: &str, value: &str) -> String {
    let target = operation.target(&[]);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(&format!("{name}=")));
    let pairs: Vec<String> = others.map(str::to_owned).chain([format!("{name}={value}")]).collect();
    format!("{path}?{}", pairs.join("&"))
}
