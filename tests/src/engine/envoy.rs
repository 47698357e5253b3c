//! The built filter in one Envoy for all cases: a listener for each policy.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::{Context, Result};
use sentinel_harness::{
    bootstrap::{Bootstrap, Listener, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
};
use serde_json::{Value, json};

use super::{
    built_filter,
    ends::{Ends, Speaks},
    wasmtime::plugin_config,
};
use crate::{
    case::{Case, Policies},
    expect::Outcome,
};

#[derive(Debug)]
pub struct InEnvoy {
    envoy: Envoy,
    addrs: HashMap<String, SocketAddr>,
    ends: Ends,
}

impl InEnvoy {
    pub fn new(policies: &Policies) -> Result<Self> {
        let ends = Ends::start()?;
        let envoy = start(policies, &ends)?;
        let addr = |name: &str| Ok((name.to_owned(), envoy.addr(name)?));
        let addrs = policies.names().map(addr).collect::<Result<_>>()?;
        let engine = Self { envoy, addrs, ends };
        for (policy, addr) in &engine.addrs {
            // The first request with a body shows the filter that its host holds headers.
            engine.ends.warm_up(*addr, &format!("first-{policy}"))?;
        }
        Ok(engine)
    }
}

impl super::Engine for InEnvoy {
    fn run(&self, case: &Case) -> Result<Outcome> {
        let addr = self.addrs.get(&case.policy).context("no such policy")?;
        self.ends.exchange(case, *addr, Speaks::Everything).with_context(|| {
            let log = self.envoy.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default();
            format!("Envoy's log ends with\n{}", last.join("\n"))
        })
    }
}

fn start(policies: &Policies, ends: &Ends) -> Result<Envoy> {
    let filter = built_filter()?;
    let mut bootstrap =
        Bootstrap::new(ends.upstream.addr(), None).with_cluster("collector", ends.collector.addr());
    bootstrap.listeners.clear();
    bootstrap.http1_trailers = true;
    for name in policies.names() {
        let mut filter = WasmFilter::new(filter.clone(), plugin_config(policies, name)?);
        name.clone_into(&mut filter.name);
        bootstrap = bootstrap.with_listener(Listener::new(name, Some(filter)));
    }
    let mut options = EnvoyOptions::new(&bootstrap);
    options.bootstrap_yaml = with_websockets(bootstrap.to_json()).to_string();
    Envoy::start(&options)
}

/// Without this Envoy refuses upgrades by itself, before the filter sees them.
fn with_websockets(mut bootstrap: Value) -> Value {
    let listeners = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten() {
        let manager =
            listener.pointer_mut("/filter_chains/0/filters/0/typed_config").and_then(Value::as_object_mut);
        if let Some(manager) = manager {
            manager.insert("upgrade_configs".into(), json!([{"upgrade_type": "websocket"}]));
        }
    }
    bootstrap
}
