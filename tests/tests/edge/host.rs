//! The hosts of the edge, and how one of them is started with what a trial wants.

use std::{env, net::SocketAddr, path::PathBuf};

use anyhow::Result;
use sentinel_harness::{
    viceroy::{self, Service, Viceroy},
    worker::WorkerHost,
};
use sentinel_tests::engine::{EdgeHost, Entry, Servers, built_edge, built_program};
use serde_json::json;

/// A host, and what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// What the package has for this very host.
    Package(EdgeHost),
    /// `fetch.js` of the package, in the host's own server.
    Fetch(EdgeHost),
    /// The program for Fastly Compute.
    Viceroy,
}

/// One that runs.
pub(crate) enum Running {
    Worker(WorkerHost),
    Viceroy(Viceroy),
}

/// What a trial wants of its host.
pub(crate) struct Wish {
    /// Plugin configurations by the names of their servers. Viceroy has the first one only.
    pub(crate) configs: Vec<(String, String)>,
    pub(crate) upstream: SocketAddr,
    pub(crate) collector: SocketAddr,
    /// Instead of the package as it is shipped.
    pub(crate) package: Option<PathBuf>,
    /// Where signed bundles lie, and what lies there at the start.
    pub(crate) store: Option<(SocketAddr, Vec<u8>)>,
    pub(crate) has_objects: bool,
}

impl Host {
    pub(crate) const ALL: [Self; 8] = [
        Self::Package(EdgeHost::Workerd),
        Self::Package(EdgeHost::Node),
        Self::Package(EdgeHost::Deno),
        Self::Package(EdgeHost::Bun),
        Self::Fetch(EdgeHost::Node),
        Self::Fetch(EdgeHost::Deno),
        Self::Fetch(EdgeHost::Bun),
        Self::Viceroy,
    ];

    /// Those that can be tried on this machine; of the others it is said.
    pub(crate) fn here() -> Vec<Self> {
        let (asked, others) = Self::ALL.into_iter().partition::<Vec<_>, _>(|host| host.is_asked_for());
        if !others.is_empty() {
            let names: Vec<&str> = others.into_iter().map(Self::name).collect();
            eprintln!("SKIPPED: the edge on {}; run it with: cargo xtask test --edge", names.join(", "));
        }
        let can_be_tried = |host: &Self| match host.find() {
            Ok(()) => true,
            Err(error) => {
                eprintln!("SKIPPED: the edge on {}: {error:#}", host.name());
                false
            }
        };
        asked.into_iter().filter(can_be_tried).collect()
    }

    /// `cargo xtask test --edge` names what it has built.
    fn is_asked_for(self) -> bool {
        let variable = if self == Self::Viceroy { "SENTINEL_COMPUTE" } else { "SENTINEL_EDGE" };
        env::var_os(variable).is_some()
    }

    /// Installs it, if npm has it.
    fn find(self) -> Result<()> {
        match self {
            Self::Package(host) | Self::Fetch(host) => host.command().map(drop),
            Self::Viceroy => viceroy::find().map(drop),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Package(host) => host.name(),
            Self::Fetch(EdgeHost::Workerd) => "workerd, fetch",
            Self::Fetch(EdgeHost::Node) => "node, fetch",
            Self::Fetch(EdgeHost::Deno) => "deno, fetch",
            Self::Fetch(EdgeHost::Bun) => "bun, fetch",
            Self::Viceroy => "viceroy",
        }
    }

    pub(crate) fn has_objects(self) -> bool {
        self == Self::Package(EdgeHost::Workerd)
    }

    /// By a path of the servers of these tests.
    pub(crate) const fn can_be_scheduled(self) -> bool {
        matches!(self, Self::Fetch(_))
    }

    /// What a configuration calls the collector: a binding or a backend, or else a URL.
    pub(crate) fn cluster(self, collector: SocketAddr) -> String {
        match self {
            Self::Fetch(_) => format!("http://{collector}"),
            Self::Package(_) | Self::Viceroy => "collector".to_owned(),
        }
    }

    pub(crate) fn start(self, wish: Wish) -> Result<Running> {
        let Wish { configs, upstream, collector, package, store, has_objects } = wish;
        let entry = match self {
            Self::Package(_) => Entry::Host,
            Self::Fetch(_) => Entry::Fetch,
            Self::Viceroy => {
                let config = configs.into_iter().map(|(_, config)| config).next().unwrap_or_default();
                return Ok(Running::Viceroy(program(config, upstream, collector, store.map(|(_, it)| it))?));
            }
        };
        let (Self::Package(host) | Self::Fetch(host)) = self else { unreachable!() };
        let servers = Servers {
            package: package.map_or_else(built_edge, Ok)?,
            entry,
            configs,
            options: json!({ "metrics": { "path": "/-/metrics", "token": "metrics-token" } }),
            upstream,
            collector,
            store: store.map(|(addr, _)| addr),
            has_objects,
        };
        Ok(Running::Worker(host.serve(&servers)?))
    }
}

fn program(
    config: String,
    upstream: SocketAddr,
    collector: SocketAddr,
    stored: Option<Vec<u8>>,
) -> Result<Viceroy> {
    let text = |key: &str, value: &str| ("sentinel".to_owned(), key.to_owned(), value.to_owned());
    let mut texts = vec![text("idle_ms", "60000"), text("events", "sentinel-events")];
    if stored.is_some() {
        texts.extend([text("bundles", "bundles"), text("bundle_poll_s", "1")]);
    }
    let service = Service {
        module: built_program()?,
        backends: vec![("upstream".to_owned(), upstream), ("collector".to_owned(), collector)],
        texts,
        secrets: vec![text("config", &config)],
        values: stored.map(|bytes| ("bundles".to_owned(), "bundle".to_owned(), bytes)).into_iter().collect(),
    };
    Viceroy::start(&viceroy::find()?, &service)
}

impl Running {
    pub(crate) fn addr(&self, server: &str) -> SocketAddr {
        match self {
            Self::Worker(host) => host.addr(server).unwrap(),
            Self::Viceroy(host) => host.addr(),
        }
    }

    pub(crate) fn log(&self) -> String {
        match self {
            Self::Worker(host) => host.log(),
            Self::Viceroy(host) => host.log(),
        }
    }
}
