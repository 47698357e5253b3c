//! The built filter in the fake host: one proxy for each policy and thread, as a proxy has one VM for each worker.

use std::{cell::RefCell, collections::HashMap};

use anyhow::{Context, Result, ensure};
use sentinel_core::event::Event;
use sentinel_harness::{
    fake_host::{CalloutReply, FilterModule, HostOptions, Proxy},
    wire::{Request, Response},
};
use serde::Deserialize;

use super::built_filter;
use crate::{
    case::{Case, Policies},
    expect::Outcome,
};

#[derive(Debug)]
pub struct InWasmtime {
    module: FilterModule,
    /// Plugin configurations by the name of their policy.
    configs: HashMap<String, String>,
}

thread_local! {
    /// By policy; started on first use.
    static PROXIES: RefCell<HashMap<String, Proxy>> = RefCell::default();
}

/// What the filter posts to its collector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
}

impl InWasmtime {
    pub fn new(policies: &Policies) -> Result<Self> {
        let config = |name: &str| Ok((name.to_owned(), plugin_config(policies, name)?));
        Ok(Self {
            module: FilterModule::load(&built_filter()?)?,
            configs: policies.names().map(config).collect::<Result<_>>()?,
        })
    }

    fn start(&self, policy: &str) -> Result<Proxy> {
        let plugin_config = self.configs.get(policy).context("no such policy")?.clone().into_bytes();
        let options = HostOptions { plugin_config, ..HostOptions::default() };
        let mut proxy = Proxy::start(&self.module, options)?;
        // The first request with a body shows the filter that its host holds headers.
        proxy.exchange(&Request::post("/", "hello"), &mut |_| Response::new(200, "hello"))?;
        take_events(&mut proxy)?;
        ensure!(proxy.metric("sentinel.degraded") == 0, "degraded: {:?}", proxy.logs());
        Ok(proxy)
    }
}

impl super::Engine for InWasmtime {
    fn run(&self, case: &Case) -> Result<Outcome> {
        PROXIES.with_borrow_mut(|proxies| {
            let mut proxy = match proxies.remove(&case.policy) {
                Some(proxy) => proxy,
                None => self.start(&case.policy)?,
            };
            let outcome = exchange(&mut proxy, case)?;
            // Only a proxy that did well is used again.
            proxies.insert(case.policy.clone(), proxy);
            Ok(outcome)
        })
    }
}

fn exchange(proxy: &mut Proxy, case: &Case) -> Result<Outcome> {
    for (request, response) in &case.before {
        proxy.exchange(request, &mut |_| response.clone())?;
        take_events(proxy)?;
    }
    let seen = proxy.exchange(&case.request, &mut |_| case.response.clone())?;
    let mut events = take_events(proxy)?;
    let event = events.pop().with_context(|| format!("no event; {:?}", seen.note))?;
    ensure!(events.is_empty(), "more than one event");
    Ok(Outcome { event, client: seen.client, upstream: seen.upstream })
}

/// Lets the filter deliver what it has.
fn take_events(proxy: &mut Proxy) -> Result<Vec<Event>> {
    proxy.advance(FLUSH_NS);
    proxy.tick()?;
    let mut events = Vec::new();
    for callout in proxy.callouts() {
        let batch: Batch = serde_json::from_slice(&callout.body)?;
        events.extend(batch.events);
        proxy.answer_callout(callout.token, CalloutReply::ok("{}"))?;
    }
    Ok(events)
}

pub(super) fn plugin_config(policies: &Policies, name: &str) -> Result<String> {
    let policy = policies.document(name)?;
    let collector =
        serde_json::json!({"cluster": "collector", "token": "test-token", "flush_ms": 50, "batch": 100});
    Ok(serde_json::json!({"policy": policy, "collector": collector}).to_string())
}

const FLUSH_NS: u64 = 60_000_000;
