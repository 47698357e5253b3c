//! The document is whole.

use std::collections::BTreeSet;

use super::*;
use crate::http::endpoints::ENDPOINTS;

#[test]
fn every_endpoint_has_one_description_and_every_description_an_endpoint() {
    let listed: Vec<(&str, &str)> =
        ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path)).filter(is_interface).collect();
    let mut described: Vec<(&str, &str)> =
        operations().iter().map(|operation| (operation.method, operation.path)).collect();
    let mut expected = listed.clone();
    expected.sort_unstable();
    described.sort_unstable();
    assert_eq!(
        described, expected,
        "describe it in a file of collector/src/http/openapi, in this test's order"
    );
    let ids: BTreeSet<&str> = operations().iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), listed.len(), "ids of operations are names in generated clients");
}

#[test]
fn every_code_is_in_the_table_with_its_status() {
    const SOURCE: &str = include_str!("../error.rs");
    let mut found = BTreeSet::new();
    for made in SOURCE.split("StatusCode::").skip(1) {
        let Some((status, rest)) = made.split_once(", \"") else { continue };
        let Some((word, _)) = rest.split_once('"') else { continue };
        if !status.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            continue;
        }
        let code = codes::find(word).unwrap_or_else(|| panic!("{word} is not in the table of codes"));
        let of_code = axum::http::StatusCode::from_u16(code.status).unwrap();
        let name = of_code.canonical_reason().unwrap().to_ascii_uppercase().replace(' ', "_");
        assert_eq!(name, status, "{word}");
        found.insert(word);
    }
    let known: BTreeSet<&str> = codes::CODES.iter().map(|code| code.word).collect();
    assert_eq!(found, known);
    for operation in operations() {
        for code in operation.codes {
            assert!(known.contains(code), "{} {}: {code}", operation.method, operation.path);
        }
    }
}

#[test]
fn every_form_has_a_name_of_its_own() {
    let document = document::document(MetricsAccess::Reader);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        // Of two types with one name the second gets a number.
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "{name}: rename one of them");
    }
}

#[test]
fn with_open_metrics_the_document_says_so() {
    let of = |metrics| document::document(metrics)["paths"]["/metrics"]["get"]["x-access"].clone();
    assert_eq!(of(MetricsAccess::Anyone), "anyone");
    assert_eq!(of(MetricsAccess::Reader), "permission");
}

/// Not a page for people, which no program asks for.
fn is_interface((_, path): &(&str, &str)) -> bool {
    *path != "/" && !path.starts_with("/assets/")
}
