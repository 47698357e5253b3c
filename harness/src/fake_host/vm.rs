//! One instance of the module and the calls into it.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use wasmtime::{Func, Instance, Linker, Store, Val};

use super::callouts::CalloutReply;
use super::imports;
use super::module::FilterModule;
use super::state::HostState;
use super::wasm_error;

pub(crate) struct Vm {
    store: Store<HostState>,
    instance: Instance,
    functions: HashMap<&'static str, Option<Func>>,
    fuel_per_call: Option<u64>,
    pub(crate) fuel_used: u64,
    pub(crate) dead: Option<String>,
}

impl Vm {
    pub(crate) fn start(module: &FilterModule, state: HostState, fuel_per_call: Option<u64>) -> Result<Self> {
        let mut store = Store::new(&module.engine, state);
        let mut linker = Linker::new(&module.engine);
        imports::define(&mut linker, &mut store, &module.module)?;
        store.set_fuel(u64::MAX).map_err(wasm_error)?;
        let instance = linker.instantiate(&mut store, &module.module).map_err(wasm_error)?;
        let memory = instance.get_memory(&mut store, "memory").context("the module exports no memory")?;
        let allocate = ["proxy_on_memory_allocate", "malloc"]
            .iter()
            .find_map(|name| instance.get_typed_func::<u32, u32>(&mut store, name).ok());
        store.data_mut().memory = Some(memory);
        store.data_mut().allocate = allocate;
        let mut vm =
            Self { store, instance, functions: HashMap::new(), fuel_per_call, fuel_used: 0, dead: None };
        vm.require_abi()?;
        if vm.call("_initialize", &[])?.is_none() {
            vm.call("_start", &[])?;
        }
        Ok(vm)
    }

    pub(crate) fn state(&self) -> &HostState {
        self.store.data()
    }

    pub(crate) fn state_mut(&mut self) -> &mut HostState {
        self.store.data_mut()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.state().memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Calls a callback of a context; None where the filter does not have it.
    pub(crate) fn callback(&mut self, name: &'static str, context: u32, rest: &[u32]) -> Result<Option<u32>> {
        self.state_mut().effective = context;
        let mut arguments = vec![context];
        arguments.extend_from_slice(rest);
        self.call(name, &arguments)
    }

    /// Runs the callback for an answered callout. Calls belong to a root context, as in Envoy.
    pub(crate) fn answer_callout(&mut self, token: u32, reply: CalloutReply) -> Result<()> {
        let Some(callout) = self.state_mut().callouts.pending.remove(&token) else {
            bail!("no callout with token {token} waits for an answer");
        };
        let answer = reply.into_answer();
        let (n_headers, size) = (as_u32(answer.headers.len()), as_u32(answer.body.len()));
        self.state_mut().call_answer = Some(answer);
        let called =
            self.callback("proxy_on_http_call_response", callout.root_id, &[token, n_headers, size, 0]);
        self.state_mut().call_answer = None;
        called.map(drop)
    }

    /// The root's tick, then the queues that have become ready.
    pub(crate) fn tick(&mut self) -> Result<()> {
        let root_id = self.state().root_id;
        self.callback("proxy_on_tick", root_id, &[])?;
        self.drain_queue_events()
    }

    pub(crate) fn drain_queue_events(&mut self) -> Result<()> {
        let ready = std::mem::take(&mut self.state_mut().queues.ready);
        let root_id = self.state().root_id;
        for id in ready {
            if self.state().queues.registered.contains(&id) {
                self.callback("proxy_on_queue_ready", root_id, &[id])?;
            }
        }
        Ok(())
    }

    fn require_abi(&mut self) -> Result<()> {
        let versions = ["proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0"];
        if versions.iter().all(|name| self.instance.get_func(&mut self.store, name).is_none()) {
            bail!("the module exports none of {versions:?}");
        }
        Ok(())
    }

    fn call(&mut self, name: &'static str, arguments: &[u32]) -> Result<Option<u32>> {
        if let Some(why) = &self.dead {
            bail!("{name} not called: the VM is dead since {why}");
        }
        let Some(function) = self.function(name) else {
            return Ok(None);
        };
        let limit = self.fuel_per_call.unwrap_or(u64::MAX);
        self.store.set_fuel(limit).map_err(wasm_error)?;
        let values: Vec<Val> = arguments.iter().map(|n| Val::I32(n.cast_signed())).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let outcome = function.call(&mut self.store, &values, &mut results);
        self.fuel_used += limit - self.store.get_fuel().map_err(wasm_error)?;
        if let Err(trap) = outcome {
            return Err(self.die(name, trap));
        }
        Ok(Some(results.first().and_then(Val::i32).unwrap_or(0).cast_unsigned()))
    }

    fn function(&mut self, name: &'static str) -> Option<Func> {
        let (instance, store) = (&self.instance, &mut self.store);
        *self.functions.entry(name).or_insert_with(|| instance.get_func(store, name))
    }

    /// The last log lines say what a panic message said.
    fn die(&mut self, name: &str, trap: wasmtime::Error) -> anyhow::Error {
        self.dead = Some(format!("{name} trapped"));
        let logs = &self.state().logs;
        let last: Vec<&str> = logs.iter().rev().take(3).rev().map(|line| line.text.as_str()).collect();
        anyhow!("{name} trapped: {trap:?}\nlast log lines: {last:#?}")
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("state", self.state())
            .field("fuel_used", &self.fuel_used)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

pub(crate) fn as_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
