//! Runs every case of `tests/cases/` on three engines, or on those of the edge, and requires the same outcome.
//!
//! ```text
//! cargo xtask build                                        the filter first: two engines run the built file
//! cargo test -p sentinel-tests --test cases                all cases on all engines
//! cargo test -p sentinel-tests --test cases -- native::    one engine
//! cargo test -p sentinel-tests --test cases -- pii/card    one topic; any part of engine::path::case
//! cargo xtask test --edge                                  the built edge module, in hosts of JavaScript
//! ```
//!
//! Engines: `native` drives `sentinel_core::Exchange`, `wasmtime` the built filter in the fake host, `envoy` the
//! built filter in a real Envoy (`SENTINEL_FILTER` names another file). Where `SENTINEL_EDGE` names the folder of the edge
//! package, the engines are `workerd`, `node`, `deno` and `bun` instead, and `viceroy` with the edge program that
//! `SENTINEL_COMPUTE` names, each through HTTP. Every case runs on `native` with its bodies
//! cut into pieces of 1, 2 and 7 bytes and whole, and what the other engines do is held against it.
//!
//! # A case file
//!
//! ```yaml
//! policy: thresholds          # policies/thresholds.yaml; not given: the built-in policy
//! cases:
//! - name: ignore previous instructions is blocked
//!   before: [{request: .., upstream: ..}]    # exchanges that come first and are not checked; defaults: those of the case
//!   level: 2                  # paranoia level of the built-in policy; not given: 1
//!   request:                  # not given: POST /v1/chat/completions, application/json once there is a body
//!     chat: [{role: user, content: "..."}]     # or json: ..., text: "...", parts: [...]; one of them
//!     with: {tools: []}       # members of the chat body beside `messages`
//!     parts: ['a\xff', {repeat: a, times: 9}, {base64: AAA=}]
//!     headers: {x-a: 'a\xff', x-b: [1, 2], content-type: null}       # null takes a default away
//!     split: 7                # pieces of 7 bytes; also chunked, trailers, http2, expect_continue, method, path, host
//!     address: 10.1.2.3       # of the client; only the core by itself is told it
//!   upstream: {chat: "..."}   # the answer: also json, text, parts, sse, empty, status, headers, split, trailers
//!   expect:                   # what is not given is what harmless traffic gets
//!     action: block           # allow
//!     verdict: malicious      # clean
//!     rules: [a/b]            # the exact set
//!     gaps: {request: [size], response: []}    # the exact sets
//!     status: 403             # as the upstream answered; 403 for a block
//!     upstream: none          # none, unchanged, or any of {body, json, contains, lacks, headers, error}
//!     client: unchanged       # the same for the other end
//!     content: {request: "...", response: stream}     # what the event carries of it; not given: nothing
//!   twin:                     # or twins: [..]; the same exchange with harmless text, a case of its own
//!     chat: [{role: user, content: "..."}]     # or json, text, parts, before, request, upstream, expect
//! ```
//!
//! Checked on every case without being said: `expect::complaints` has the list (receipts balance and account for
//! every byte, a blocked request reaches nobody, a mask leaves valid JSON, an event never has the text, ...).
//!
//! # Proof that it ran
//!
//! `CASES_MIN` bounds the number of cases from below, for each engine. The cases of `canary/` expect what is not so
//! and must fail. The cases of `known-gaps.yaml` must fail, too. A filter that matches nothing is an error.

use std::{
    collections::BTreeMap,
    env,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use sentinel_harness::viceroy;
use sentinel_tests::{
    case::{self, Case, Policies},
    engine::{Cut, EdgeHost, Engine, InEdge, InEnvoy, InViceroy, InWasmtime, Native},
    expect::{complaints, differences},
    folder,
    gaps::KnownGaps,
};

/// Fewer cases than this on any engine, and the run fails: somebody lost a folder.
const CASES_MIN: usize = 700;

const CUTS: [Cut; 4] = [Cut::Whole, Cut::Pieces(1), Cut::Pieces(2), Cut::Pieces(7)];
/// A large body is cut into fewer pieces: they would take minutes and show nothing new.
const SMALL_CUT_BYTES_MAX: usize = 64 * 1024;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let args = Arguments::from_args();
    let policies = Policies::load(&folder().join("policies"))?;
    let cases = case::load(&folder().join("cases"), &policies)?;
    let canaries = case::load(&folder().join("canary"), &policies)?;
    let gaps = KnownGaps::load(&folder().join("known-gaps.yaml"), &cases)?;
    ensure!(cases.len() >= CASES_MIN, "{} cases, there were at least {CASES_MIN}", cases.len());
    ensure!(!canaries.is_empty(), "no canary");
    let run = Arc::new(Run::new(policies)?);

    let mut trials = Vec::new();
    for engine in engines() {
        for case in &cases {
            let reason = gaps.reason(case, engine.name()).map(str::to_owned);
            let (run, case) = (Arc::clone(&run), case.clone());
            let name = format!("{}::{}::{}", engine.name(), case.file, case.name);
            trials.push(Trial::test(name, move || run.trial(engine, &case, reason.as_deref())));
        }
        for case in &canaries {
            let (run, case) = (Arc::clone(&run), case.clone());
            let name = format!("{}::canary/{}::{}", engine.name(), case.file, case.name);
            trials.push(Trial::test(name, move || run.canary(engine, &case)));
        }
    }
    let n_wanted = trials.iter().filter(|trial| !args.is_filtered_out(trial)).count();
    // A lister (nextest) asks for the ignored ones, too, and there are none.
    ensure!(n_wanted > 0 || args.list, "the filter {:?} matches no trial", args.filter);
    let filtered = n_wanted < trials.len();
    let conclusion = libtest_mimic::run(&args, trials);
    if args.list {
        return Ok(conclusion.exit_code());
    }
    let executed = run.executed();
    println!("cases executed: {executed:?}");
    if !filtered && let Some((engine, n)) = executed.iter().find(|(_, n)| **n < CASES_MIN) {
        bail!("{n} cases were executed on {engine}, expected at least {CASES_MIN}");
    }
    Ok(conclusion.exit_code())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Native,
    Wasmtime,
    Envoy,
    Edge(EdgeHost),
    Viceroy,
}

/// A host of the edge that this machine cannot have is left out, and that is said loudly.
fn engines() -> Vec<On> {
    if env::var_os("SENTINEL_EDGE").is_none() {
        return vec![On::Native, On::Wasmtime, On::Envoy];
    }
    let can_run = |host: &EdgeHost| match host.command() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: all cases on {}: {error:#}", host.name());
            false
        }
    };
    let mut engines: Vec<On> = EdgeHost::ALL.into_iter().filter(can_run).map(On::Edge).collect();
    match viceroy::find() {
        Ok(_) => engines.push(On::Viceroy),
        Err(error) => eprintln!("SKIPPED: all cases on viceroy: {error:#}"),
    }
    engines
}

impl On {
    const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasmtime => "wasmtime",
            Self::Envoy => "envoy",
            Self::Edge(host) => host.name(),
            Self::Viceroy => "viceroy",
        }
    }
}

/// The engines, each started by the first trial that needs it, and how many cases each has run.
struct Run {
    policies: Policies,
    native: Native,
    wasmtime: OnceLock<Result<InWasmtime>>,
    envoy: OnceLock<Result<InEnvoy>>,
    edge: [OnceLock<Result<InEdge>>; EdgeHost::ALL.len()],
    viceroy: OnceLock<Result<InViceroy>>,
    executed: Vec<(On, AtomicUsize)>,
}

impl Run {
    fn new(policies: Policies) -> Result<Self> {
        let native = Native::new(&policies)?;
        let executed = engines().into_iter().map(|on| (on, AtomicUsize::new(0))).collect();
        let (wasmtime, envoy, edge) = (OnceLock::new(), OnceLock::new(), Default::default());
        Ok(Self { policies, native, wasmtime, envoy, edge, viceroy: OnceLock::new(), executed })
    }

    fn trial(&self, on: On, case: &Case, known_gap: Option<&str>) -> Result<(), Failed> {
        // An engine that does not run at all fails every case; that is no known gap, and no canary dies of it.
        let wrong = self.check(on, case).map_err(|error| format!("{error:#}"))?;
        match (wrong.is_empty(), known_gap) {
            (true, None) | (false, Some(_)) => Ok(()),
            (true, Some(reason)) => {
                Err(format!("passes, but known-gaps.yaml says that it fails: {reason}").into())
            }
            (false, None) => Err(wrong.join("\n").into()),
        }
    }

    fn canary(&self, on: On, case: &Case) -> Result<(), Failed> {
        let outcome = self.engine(on).and_then(|engine| engine.run(case)).map_err(|e| format!("{e:#}"))?;
        match complaints(case, &outcome).is_empty() {
            true => Err("passes, although it expects what is not so: the checks check nothing".into()),
            false => Ok(()),
        }
    }

    /// What is wrong with a case. An error: it could not be run.
    fn check(&self, on: On, case: &Case) -> Result<Vec<String>> {
        let outcome = self.engine(on)?.run(case)?;
        if let Some((_, executed)) = self.executed.iter().find(|(other, _)| *other == on) {
            executed.fetch_add(1, Ordering::Relaxed);
        }
        let mut wrong = complaints(case, &outcome);
        match on {
            On::Native => {
                let large = case.request.body().len() > SMALL_CUT_BYTES_MAX;
                for cut in CUTS.into_iter().filter(|cut| !large || *cut == Cut::Whole) {
                    let other = differences(&outcome, &self.native.run_cut(case, cut)?);
                    wrong.extend(other.into_iter().map(|line| format!("{cut:?}: {line}")));
                }
            }
            On::Wasmtime | On::Envoy | On::Edge(_) | On::Viceroy => {
                let native = differences(&outcome, &self.native.run(case)?);
                wrong.extend(native.into_iter().map(|line| format!("unlike native: {line}")));
            }
        }
        Ok(wrong)
    }

    fn engine(&self, on: On) -> Result<&dyn Engine> {
        Ok(match on {
            On::Native => &self.native,
            On::Wasmtime => started(&self.wasmtime, || InWasmtime::new(&self.policies))?,
            On::Envoy => started(&self.envoy, || InEnvoy::new(&self.policies))?,
            On::Edge(host) => {
                let cell = self.edge.get(host as usize).context("no such host")?;
                started(cell, || InEdge::new(&self.policies, host))?
            }
            On::Viceroy => started(&self.viceroy, || InViceroy::new(&self.policies))?,
        })
    }

    fn executed(&self) -> BTreeMap<&'static str, usize> {
        self.executed.iter().map(|(on, n)| (on.name(), n.load(Ordering::Relaxed))).collect()
    }
}

fn started<T>(cell: &OnceLock<Result<T>>, start: impl FnOnce() -> Result<T>) -> Result<&T> {
    cell.get_or_init(start)
        .as_ref()
        .map_err(|error| anyhow!("{error:#}"))
        .context("the engine does not start")
}
