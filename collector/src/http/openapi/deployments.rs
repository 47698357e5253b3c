//! Bundles, their deployments, and what people say about decisions.

use serde_json::json;

use super::operation::{BYTES, Operation, Shape};
use super::parameter::{one_of, page_size, path, pattern, query, whole};
use crate::domain::BundleInfo;
use crate::http::deployments::{Change, LIMIT_DEFAULT, LIMIT_MAX, List, Shown};
use crate::http::{bundles, feedback, subjects};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new("POST", "/v1/bundles", TAG, "pushBundle", "Bring a bundle, which nobody is given yet")
            .takes_bytes()
            .answers::<BundleInfo>(201, "It is new.")
            .answers::<BundleInfo>(200, "It was there already.")
            .or("malformed_body")
            .or("conflict")
            .or("invalid_bundle"),
        Operation::new("GET", "/v1/bundles", TAG, "listBundles", "Which bundles there are")
            .reads_query()
            .answers::<bundles::List>(200, "All of them."),
        Operation::new("GET", "/v1/bundles/{id}", TAG, "getBundle", "A bundle as it was pushed")
            .with(path("id", pattern("^[0-9a-f]{64}$"), BUNDLE, "The id of a bundle."))
            .answers_as(200, "Its bytes.", BYTES, Shape::Bytes)
            .or("not_found"),
        Operation::new("POST", "/v1/deployments", TAG, "beginDeployment", "Give a bundle to filters, or try it first")
            .takes::<crate::deploy::Request>(json!({"bundle": BUNDLE, "mode": "canary", "percent": 5}))
            .answers::<Shown>(201, "The deployment that has begun.")
            .or("not_found")
            .or("conflict")
            .or("invalid_bundle"),
        Operation::new("GET", "/v1/deployments", TAG, "listDeployments", "What is active, under way, and was")
            .reads_query()
            .with(query("limit", page_size(LIMIT_MAX, LIMIT_DEFAULT), "How many past ones, at most."))
            .with(query("before", whole(1, i64::MAX), "`next` of the page before."))
            .answers::<List>(200, "One page, newest first."),
        Operation::new("POST", "/v1/deployments/current/{verb}", TAG, "changeDeployment", "Decide about the trial under way")
            .with(path(
                "verb",
                one_of(&["promote", "rollback", "freeze", "unfreeze"]),
                "freeze",
                "What shall become of it.",
            ))
            .may_take::<Change>(json!({"reason": "too early to tell"}))
            .answers::<Shown>(200, "The deployment as it is now.")
            .or("not_found")
            .or("conflict")
            .or("invalid_bundle"),
        Operation::new("POST", "/v1/feedback", TAG, "giveFeedback", "Say whether a decision was right")
            .takes::<feedback::Body>(json!({"event": "a-1", "label": "true_positive"}))
            .answers::<feedback::Noted>(200, "It was noted.")
            .or("not_found")
            .or("conflict"),
        Operation::new("POST", "/v1/subjects/erase", "access", "eraseSubject", "Forget a person")
            .about("Destroys the keys of all texts about the subject. The log stays as it is and still verifies.")
            .takes::<subjects::Body>(json!({"subject": "ann"}))
            .answers::<crate::evidence::Erased>(200, "What it came to."),
    ]
}

const TAG: &str = "bundles";
const BUNDLE: &str = "6b3f0d1c5e2a49788d7c6b5a493827160f1e2d3c4b5a69788796a5b4c3d2e1f0";
