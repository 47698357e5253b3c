//! The built edge program in Viceroy: a service for each policy, started by the first case that needs it.

use std::{
    collections::HashMap,
    env,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sentinel_harness::viceroy::{self, REQUESTS_OF_AN_INSTANCE, Service, Viceroy};

use super::{
    ends::{Ends, Speaks},
    wasmtime::plugin_config,
};
use crate::{
    case::{Case, Policies},
    expect::Outcome,
    folder,
};

/// Started when a case first needs it.
type Started = OnceLock<Result<Mutex<Viceroy>>>;

#[derive(Debug)]
pub struct InViceroy {
    binary: PathBuf,
    program: PathBuf,
    configs: HashMap<String, (String, Started)>,
    ends: Ends,
    fillers: AtomicU64,
}

/// The program as it is shipped.
pub fn built_program() -> Result<PathBuf> {
    let path = env::var_os("SENTINEL_COMPUTE")
        .map_or_else(|| folder().join("../target/dist/compute/sentinel.wasm"), PathBuf::from);
    ensure!(
        path.is_file(),
        "{}: there is no such file; run `cargo xtask build --edge` first",
        path.display()
    );
    Ok(path.canonicalize()?)
}

impl InViceroy {
    pub fn new(policies: &Policies) -> Result<Self> {
        let config = |name: &str| {
            let config = plugin_config(policies, name)?;
            Ok((name.to_owned(), (config, OnceLock::new())))
        };
        let configs = policies.names().map(config).collect::<Result<_>>()?;
        let (binary, program) = (viceroy::find()?, built_program()?);
        Ok(Self { binary, program, configs, ends: Ends::start()?, fillers: AtomicU64::new(0) })
    }

    /// Locked, because a second request at a time is another instance's, which remembers nothing of the first.
    fn service(&self, policy: &str) -> Result<MutexGuard<'_, Viceroy>> {
        let (config, service) = self.configs.get(policy).context("no such policy")?;
        let started = service.get_or_init(|| self.start(config).map(Mutex::new));
        let service = started.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        Ok(service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self, config: &str) -> Result<Viceroy> {
        let text = |key: &str, value: &str| ("sentinel".to_owned(), key.to_owned(), value.to_owned());
        let service = Service {
            module: self.program.clone(),
            backends: vec![
                ("upstream".to_owned(), self.ends.upstream.addr()),
                ("collector".to_owned(), self.ends.collector.addr()),
            ],
            texts: vec![text("idle_ms", "60000")],
            secrets: vec![text("config", config)],
            ..Service::default()
        };
        Viceroy::start(&self.binary, &service)
    }

    /// Leaves a case with more than one exchange an instance that has had a single request.
    fn with_new_instance(&self, service: &Viceroy) -> Result<()> {
        let mut first = None;
        for _ in 0..=REQUESTS_OF_AN_INSTANCE {
            let id = format!("filler-{}", self.fillers.fetch_add(1, Relaxed));
            let event = self.ends.warm_up(service.addr(), &id)?;
            if first.get_or_insert_with(|| event.vm.clone()) != &event.vm {
                return Ok(());
            }
        }
        bail!("an instance has more than {REQUESTS_OF_AN_INSTANCE} requests")
    }
}

impl super::Engine for InViceroy {
    fn run(&self, case: &Case) -> Result<Outcome> {
        let service = self.service(&case.policy)?;
        let run = || {
            if !case.before.is_empty() {
                ensure!(
                    case.before.len() + 2 <= REQUESTS_OF_AN_INSTANCE,
                    "too many exchanges for an instance"
                );
                self.with_new_instance(&service)?;
            }
            self.ends.exchange(case, service.addr(), Speaks::Http1)
        };
        run().with_context(|| {
            let log = service.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default();
            format!("Viceroy's log ends with\n{}", last.join("\n"))
        })
    }
}
