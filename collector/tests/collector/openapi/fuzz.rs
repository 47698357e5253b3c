//! `schemathesis` makes up requests from the document: those that it allows, those at its edges, and those that it
//! does not allow. Whatever is sent, the collector answers with a status and a form that the document names.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_harness::python::{Finished, Python};

use super::scene::Scene;
use crate::bundles::ADMIN;
use crate::support::{Folder, TOKEN};

/// The same requests each time.
const SEED: &str = "20261122";
/// For each operation, of those that are made up by chance.
const EXAMPLES_MAX: &str = "10";
const WITHIN: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_answer_that_the_document_does_not_name() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/collector/openapi");
    let python = match Python::with(&here.join("requirements.txt")) {
        Ok(python) => python,
        Err(error) => return skipped(&format!("{error:#}")),
    };
    let folder = Folder::new();
    let scene = Scene::new(&folder).await;
    let mut operations = scene.document.operations();
    // Nobody waits for the end of the feed, which has none.
    operations.retain(|operation| operation.id() != "watchEvents");
    // Nobody may do all: what filters do, and what people do.
    let (people, filters): (Vec<_>, Vec<_>) = operations
        .into_iter()
        .partition(|operation| operation.access() != "permission" || operation.roles().contains(&"admin"));
    for (token, operations) in [(ADMIN, people), (TOKEN, filters)] {
        assert!(operations.len() >= 4, "somebody has to be there for each token");
        let ids: Vec<String> = operations.iter().map(|operation| operation.id().to_owned()).collect();
        let base = format!("http://{}", scene.running.client.address);
        let (python, script) = (python.clone(), here.join("fuzz.py"));
        let run = move || run(&python, &script, &base, token, &ids);
        let Finished { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(status.success(), "{stdout}\n{stderr}");
        let tested = format!("Tested: {}", operations.len());
        assert!(stdout.contains(&tested), "expected {tested} in {stdout}");
    }
    // Whatever was sent, the collector is well, and people can still read what was there.
    assert_eq!(scene.running.client.json("/health/ready").await["status"], "ok");
    scene.admin.json("/v1/events/a-1").await;
}

fn run(python: &Python, script: &Path, base: &str, token: &str, ids: &[String]) -> Finished {
    let document = format!("{base}/openapi.json");
    let authorization = format!("Authorization:Bearer {token}");
    let config = script.with_file_name("schemathesis.toml");
    let mut args = vec![
        "--config-file",
        config.to_str().unwrap(),
        "run",
        document.as_str(),
        "--header",
        authorization.as_str(),
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        EXAMPLES_MAX,
        "--seed",
        SEED,
        "--generation-deterministic",
        "--continue-on-failure",
        // With more, Hypothesis fails now and then.
        "--workers",
        "1",
        "--request-timeout",
        "60",
        "--no-color",
    ];
    args.extend(ids.iter().flat_map(|id| ["--include-operation-id", id.as_str()]));
    python.run(script, args, WITHIN).unwrap()
}

/// Past the capture of output: whoever runs the tests sees it.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED, the collector was not fuzzed with schemathesis: {why}\n");
}
