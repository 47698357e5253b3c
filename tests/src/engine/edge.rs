//! The built edge module in one host of JavaScript for all cases: a server for each policy.

use std::{collections::HashMap, env, net::SocketAddr, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    npm::{self, Packages},
    worker::{Worker, WorkerHost, Workerd},
};
use serde_json::{Value, json};

use super::{
    ends::{Ends, Speaks},
    wasmtime::plugin_config,
};
use crate::{
    case::{Case, Policies},
    expect::Outcome,
    folder,
};

/// Hosts that the edge module runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeHost {
    Workerd,
    Node,
    Deno,
    Bun,
}

#[derive(Debug)]
pub struct InEdge {
    host: WorkerHost,
    addrs: HashMap<String, SocketAddr>,
    ends: Ends,
    speaks: Speaks,
}

/// The package as it is shipped, if the run is about it.
pub fn built_edge() -> Result<PathBuf> {
    let path =
        env::var_os("SENTINEL_EDGE").map_or_else(|| folder().join("../target/dist/edge"), PathBuf::from);
    ensure!(
        path.join("guard_bg.wasm").is_file(),
        "{}: there is no edge module; run `cargo xtask build --edge` first",
        path.display()
    );
    Ok(path.canonicalize()?)
}

impl EdgeHost {
    pub const ALL: [Self; 4] = [Self::Workerd, Self::Node, Self::Deno, Self::Bun];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Node => "node",
            Self::Deno => "deno",
            Self::Bun => "bun",
        }
    }

    pub fn workerd() -> Result<PathBuf> {
        Packages::with(&folder().join("edge/workerd"))?.file("@cloudflare/workerd-linux-64/bin/workerd")
    }

    /// What runs a script on it; an error says why this machine cannot.
    pub fn command(self) -> Result<Command> {
        let others = || Packages::with(&folder().join("edge/others"));
        Ok(match self {
            Self::Workerd => Command::new(Self::workerd()?),
            Self::Node => Command::new(npm::node()?),
            Self::Deno => {
                let mut deno = Command::new(others()?.file("@deno/linux-x64-glibc/deno")?);
                deno.args(["run", "--allow-all", "--quiet"]).env("DENO_NO_UPDATE_CHECK", "1");
                deno
            }
            Self::Bun => Command::new(others()?.file("@oven/bun-linux-x64/bin/bun")?),
        })
    }

    /// Runs servers, all in one process.
    pub fn serve(self, servers: &Servers) -> Result<WorkerHost> {
        let Servers { package, configs, options, upstream, collector, store, entry, .. } = servers;
        if self == Self::Workerd {
            let workers = configs.iter().map(|(name, config)| servers.worker(name, config)).collect();
            let mut externals =
                vec![("upstream".to_owned(), *upstream), ("collector".to_owned(), *collector)];
            externals.extend(store.map(|store| (STORE.to_owned(), store)));
            let wanted = Workerd { workers, externals, modules: package.clone() };
            return WorkerHost::workerd(&Self::workerd()?, &wanted);
        }
        let named: Vec<Value> =
            configs.iter().map(|(name, config)| json!({"name": name, "config": config})).collect();
        let wanted = json!({
            "edge": package,
            "upstream": format!("http://{upstream}"),
            "collector": format!("http://{collector}"),
            "store": store.map(|store| format!("http://{store}")),
            "servers": named,
            "options": options,
        });
        let mut command = self.command()?;
        command.arg(folder().join("edge").join(match entry {
            Entry::Host => "servers.mjs",
            Entry::Fetch => "fetch.mjs",
        }));
        WorkerHost::script(command, configs.len(), &wanted)
    }
}

/// What of the package a server is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What there is for this very host.
    Host,
    /// `fetch.js`, in the host's own server of the web's kind.
    Fetch,
}

/// Servers that guard what goes to one upstream.
#[derive(Clone, Debug)]
pub struct Servers {
    pub package: PathBuf,
    pub entry: Entry,
    /// Plugin configurations by the names of their servers.
    pub configs: Vec<(String, String)>,
    /// Of the package.
    pub options: Value,
    pub upstream: SocketAddr,
    pub collector: SocketAddr,
    /// Where signed bundles lie.
    pub store: Option<SocketAddr>,
    /// Objects of the first server count limits for all of them. Only workerd has such.
    pub has_objects: bool,
}

const STORE: &str = "store";

impl Servers {
    fn worker(&self, name: &str, config: &str) -> Worker {
        let Self { options, .. } = self;
        let mut script = "import { sentinel } from \"./workerd.js\";\n".to_owned();
        let mut members = format!("...{options}");
        if self.store.is_some() {
            members.push_str(", bundles: { store: env.BUNDLES, key: \"bundle\", pollSeconds: 1 }");
        }
        if self.has_objects {
            script.push_str(
                "import { shared } from \"./limits.js\";\nexport { Limits } from \"./limits.js\";\n",
            );
            members.push_str(", limits: shared(env.LIMITS, \"a secret of these tests\")");
        }
        script.push_str(&format!("export default sentinel((env) => ({{ {members} }}));\n"));
        let first = self.configs.first().map(|(first, _)| first.clone()).unwrap_or_default();
        let objects = self.has_objects.then(|| ("LIMITS".to_owned(), "Limits".to_owned(), first.clone()));
        let namespaces = ", durableObjectNamespaces = [(className = \"Limits\", uniqueKey = \"limits\")], durableObjectStorage = (inMemory = void)";
        Worker {
            name: name.to_owned(),
            script,
            texts: vec![("SENTINEL".to_owned(), config.to_owned())],
            services: vec![("collector".to_owned(), "collector".to_owned())],
            stores: self.store.map(|_| ("BUNDLES".to_owned(), STORE.to_owned())).into_iter().collect(),
            objects: objects.into_iter().collect(),
            outbound: "upstream".to_owned(),
            more: if self.has_objects && name == first { namespaces.to_owned() } else { String::new() },
        }
    }
}

impl InEdge {
    pub fn new(policies: &Policies, host: EdgeHost) -> Result<Self> {
        let ends = Ends::start()?;
        let config = |name: &str| Ok((name.to_owned(), plugin_config(policies, name)?));
        let configs: Vec<_> = policies.names().map(config).collect::<Result<_>>()?;
        let running = host.serve(&Servers {
            package: built_edge()?,
            entry: Entry::Host,
            configs,
            options: json!({}),
            upstream: ends.upstream.addr(),
            collector: ends.collector.addr(),
            store: None,
            has_objects: false,
        })?;
        let addr = |name: &str| Ok((name.to_owned(), running.addr(name)?));
        let addrs = policies.names().map(addr).collect::<Result<_>>()?;
        let speaks = if host == EdgeHost::Workerd { Speaks::PlainHttp1 } else { Speaks::Http1 };
        let engine = Self { host: running, addrs, ends, speaks };
        for (policy, addr) in &engine.addrs {
            // The first request makes the instance.
            engine.ends.warm_up(*addr, &format!("first-{policy}"))?;
        }
        Ok(engine)
    }
}

impl super::Engine for InEdge {
    fn run(&self, case: &Case) -> Result<Outcome> {
        let addr = self.addrs.get(&case.policy).context("no such policy")?;
        self.ends.exchange(case, *addr, self.speaks).with_context(|| {
            let log = self.host.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default();
            format!("the host's log ends with\n{}", last.join("\n"))
        })
    }
}
