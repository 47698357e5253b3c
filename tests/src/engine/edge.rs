//! The built edge module in one host of JavaScript for all cases: a server for each policy.

use std::{
    collections::HashMap,
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

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

    /// Servers that guard what goes to `upstream`, each with a plugin configuration by the name of its server. `options` are
    /// those of the package.
    pub fn serve(
        self,
        edge: &Path,
        configs: &[(String, String)],
        options: &Value,
        upstream: SocketAddr,
        collector: SocketAddr,
    ) -> Result<WorkerHost> {
        if self == Self::Workerd {
            let workers = configs.iter().map(|(name, config)| worker(name, config, options)).collect();
            let externals = vec![("upstream".to_owned(), upstream), ("collector".to_owned(), collector)];
            let wanted = Workerd { workers, externals, modules: edge.to_owned() };
            return WorkerHost::workerd(&Self::workerd()?, &wanted);
        }
        let servers: Vec<Value> =
            configs.iter().map(|(name, config)| json!({"name": name, "config": config})).collect();
        let wanted = json!({
            "edge": edge,
            "upstream": format!("http://{upstream}"),
            "collector": format!("http://{collector}"),
            "servers": servers,
            "options": options,
        });
        let mut command = self.command()?;
        command.arg(folder().join("edge/servers.mjs"));
        WorkerHost::script(command, configs.len(), &wanted)
    }
}

fn worker(name: &str, config: &str, options: &Value) -> Worker {
    Worker {
        name: name.to_owned(),
        script: format!(
            "import {{ sentinel }} from \"./workerd.js\";\nexport default sentinel({options});\n"
        ),
        texts: vec![("SENTINEL".to_owned(), config.to_owned())],
        services: vec![("collector".to_owned(), "collector".to_owned())],
        outbound: "upstream".to_owned(),
        more: String::new(),
    }
}

impl InEdge {
    pub fn new(policies: &Policies, host: EdgeHost) -> Result<Self> {
        let ends = Ends::start()?;
        let config = |name: &str| Ok((name.to_owned(), plugin_config(policies, name)?));
        let configs: Vec<_> = policies.names().map(config).collect::<Result<_>>()?;
        let (upstream, collector) = (ends.upstream.addr(), ends.collector.addr());
        let running = host.serve(&built_edge()?, &configs, &json!({}), upstream, collector)?;
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
