//! A fake proxy-wasm host with state: one worker of a proxy that runs a built filter in this process.
//!
//! It answers what Envoy would answer (statuses, which map is there in which phase, buffering, local replies), on a
//! virtual clock and with seeded randomness, so that an exchange gives the same result and the same fuel every time.
//! It is not a proxy: there is one exchange at a time and no socket.

mod abi;
mod callouts;
mod exchange;
mod faults;
mod flow;
mod imports;
mod metrics;
mod module;
mod properties;
mod state;
mod stream;
mod vm;
mod wasi;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Result, anyhow, bail};

pub use self::abi::Status;
pub use self::callouts::{Callout, CalloutReply};
pub use self::faults::Faults;
pub use self::metrics::MetricValue;
pub use self::module::FilterModule;
pub use self::state::{LogLevel, LogLine};
pub use self::stream::LocalReply;

use self::exchange::{CalloutHandler, Exchange, Finished};
use self::flow::Limits;
use self::state::HostState;
use self::vm::{Vm, as_u32};
use crate::wire::{Request, Response, Seen, UpstreamSaw};

/// Write `HostOptions { plugin_config, ..Default::default() }`.
#[derive(Clone, Debug)]
pub struct HostOptions {
    pub vm_id: String,
    pub plugin_config: Vec<u8>,
    pub vm_config: Vec<u8>,
    /// Envoy's `allow_on_headers_stop_iteration`. False: Pause in the headers callback holds the body back too,
    /// with no body callback until the filter continues the stream.
    pub holds_headers: bool,
    /// A held body over this many bytes ends in 413 (request) or 500 (response).
    pub buffer_limit: usize,
    /// Read before the properties that the host has by itself.
    pub properties: Vec<(Vec<String>, Vec<u8>)>,
    /// None: a call may run as long as it likes.
    pub fuel_per_call: Option<u64>,
    pub seed: u64,
    pub start_time_ns: u64,
    /// Clusters for which `proxy_http_call` answers BadArgument; every other cluster is known.
    pub unknown_clusters: Vec<String>,
    pub end_of_stream: EndOfStream,
}

/// How the end of a body without trailers reaches the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfStream {
    /// A callback of its own that brings no bytes, as with Envoy's HTTP/1.1 codec. HTTP/2 requests never do this.
    Alone,
    /// Together with the last chunk.
    WithLastChunk,
}

/// One fake worker with one VM.
pub struct Proxy {
    module: FilterModule,
    options: HostOptions,
    vm: Vm,
    root_id: u32,
    vm_started: bool,
    configured: bool,
    n_exchanges: u64,
    callout_handler: Option<CalloutHandler>,
    last: Option<Finished>,
    fuel_before: u64,
    fuel_of_last_exchange: u64,
}

impl Proxy {
    /// Instantiates the module and configures it. A refusal by the filter is no error here: see [`Self::configured`].
    pub fn start(module: &FilterModule, options: HostOptions) -> Result<Self> {
        let state = HostState::new(&options);
        let vm = Vm::start(module, state, options.fuel_per_call)?;
        let mut proxy = Self {
            module: module.clone(),
            options,
            vm,
            root_id: 0,
            vm_started: false,
            configured: false,
            n_exchanges: 0,
            callout_handler: None,
            last: None,
            fuel_before: 0,
            fuel_of_last_exchange: 0,
        };
        proxy.open_root()?;
        Ok(proxy)
    }

    /// What Envoy does with a new plugin configuration: try it on a throw-away VM, then make a new root context in
    /// the running VM and let go of the old one. False: the filter refused it, and the old one goes on.
    pub fn reconfigure(&mut self, plugin_config: &[u8]) -> Result<bool> {
        let options = HostOptions { plugin_config: plugin_config.to_vec(), ..self.options.clone() };
        let mut canary = Self::start(&self.module, options.clone())?;
        let accepted = canary.vm_started && canary.configured;
        self.vm.state_mut().logs.append(&mut canary.vm.state_mut().logs);
        if !accepted {
            return Ok(false);
        }
        self.options = options;
        let old = self.root_id;
        self.open_root()?;
        self.close_root(old)?;
        Ok(self.vm_started && self.configured)
    }

    /// A further root context in the same VM, as while streams of an old configuration finish beside the new one. It is
    /// the one that [`Self::exchange`] and [`Self::tick`] go to until [`Self::use_root`]. Answers its id.
    pub fn add_root(&mut self, plugin_config: &[u8]) -> Result<u32> {
        self.options.plugin_config = plugin_config.to_vec();
        self.open_root()?;
        Ok(self.root_id)
    }

    pub fn use_root(&mut self, root_id: u32) {
        self.root_id = root_id;
        self.vm.state_mut().root_id = root_id;
    }

    pub fn root_id(&self) -> u32 {
        self.root_id
    }

    /// Lets go of a root context.
    pub fn close_root(&mut self, root_id: u32) -> Result<()> {
        self.vm.callback("proxy_on_done", root_id, &[])?;
        self.vm.callback("proxy_on_delete", root_id, &[])?;
        let state = self.vm.state_mut();
        state.tick_periods_ms.remove(&root_id);
        state.callouts.forget_root(root_id);
        Ok(())
    }

    /// What Envoy does after a VM died under FAIL_RELOAD: linear memory is lost; shared data, queues and the values
    /// of metrics are kept.
    pub fn restart_vm(&mut self) -> Result<()> {
        self.fuel_before += std::mem::take(&mut self.vm.fuel_used);
        let mut state = std::mem::replace(self.vm.state_mut(), HostState::new(&self.options));
        state.forget_vm();
        self.vm = Vm::start(&self.module, state, self.options.fuel_per_call)?;
        self.open_root()
    }

    /// Runs one whole exchange. An error means a trap in a callback: the VM is dead until [`Self::restart_vm`].
    pub fn exchange(
        &mut self,
        request: &Request,
        upstream: &mut dyn FnMut(&UpstreamSaw) -> Response,
    ) -> Result<Seen> {
        if !(self.vm_started && self.configured) {
            bail!("the filter refused its configuration, so a proxy would not serve");
        }
        self.n_exchanges += 1;
        self.last = None;
        let limits = Limits { buffer: self.options.buffer_limit, holds_headers: self.options.holds_headers };
        let fuel_before = self.vm.fuel_used;
        let exchange = Exchange {
            vm: &mut self.vm,
            limits,
            end_alone: self.options.end_of_stream == EndOfStream::Alone,
            http2: request.http2,
            head_only: request.method == "HEAD",
            callouts: self.callout_handler.as_mut(),
            seen: Seen::default(),
            local: None,
        };
        let finished = exchange.run(self.n_exchanges, request, upstream);
        self.fuel_of_last_exchange = self.vm.fuel_used - fuel_before;
        let finished = finished?;
        let seen = finished.seen.clone();
        self.last = Some(finished);
        Ok(seen)
    }

    /// Runs the root's tick now; the clock stays.
    pub fn tick(&mut self) -> Result<()> {
        self.vm.tick()
    }

    /// Sets the virtual clock, back, too.
    pub fn set_clock(&mut self, ns: u64) {
        self.vm.state_mut().clock_ns = ns;
    }

    /// Moves the virtual clock; nothing runs.
    pub fn advance(&mut self, ns: u64) {
        self.vm.state_mut().clock_ns += ns;
    }

    /// The HTTP calls dispatched since the last time this was asked, answered or not.
    pub fn callouts(&mut self) -> Vec<Callout> {
        std::mem::take(&mut self.vm.state_mut().callouts.dispatched)
    }

    pub fn answer_callout(&mut self, token: u32, reply: CalloutReply) -> Result<()> {
        self.vm.answer_callout(token, reply)
    }

    /// Answers callouts while an exchange waits for one; None leaves a call to its timeout.
    pub fn on_callout(&mut self, handler: impl FnMut(&Callout) -> Option<CalloutReply> + 'static) {
        self.callout_handler = Some(Box::new(handler));
    }

    pub fn unknown_clusters(&mut self) -> &mut BTreeSet<String> {
        &mut self.vm.state_mut().callouts.unknown_clusters
    }

    pub fn faults(&mut self) -> &mut Faults {
        &mut self.vm.state_mut().faults
    }

    /// Sets a property, or takes the place of one that the host has.
    pub fn set_property(&mut self, path: &[&str], value: impl Into<Vec<u8>>) {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let properties = &mut self.vm.state_mut().properties;
        properties.retain(|(given, _)| *given != path);
        properties.push((path, value.into()));
    }

    pub fn set_shared_data(&mut self, key: &[u8], value: &[u8]) {
        let state = self.vm.state_mut();
        state.next_cas += 1;
        state.shared_data.insert(key.to_vec(), (value.to_vec(), state.next_cas));
    }

    pub fn clear_logs(&mut self) {
        self.vm.state_mut().logs.clear();
    }

    /// What `proxy_on_vm_start` answered for the current root context.
    pub fn vm_started(&self) -> bool {
        self.vm_started
    }

    /// What `proxy_on_configure` answered for the current root context.
    pub fn configured(&self) -> bool {
        self.configured
    }

    pub fn alive(&self) -> bool {
        self.vm.dead.is_none()
    }

    pub fn metrics(&self) -> BTreeMap<String, MetricValue> {
        self.vm.state().metrics.values.clone()
    }

    /// The number of one metric; 0 where it is not defined.
    pub fn metric(&self, name: &str) -> u64 {
        self.vm.state().metrics.values.get(name).map_or(0, MetricValue::number)
    }

    pub fn logs(&self) -> &[LogLine] {
        &self.vm.state().logs
    }

    /// The filter state that the last exchange set, without Envoy's `wasm.` prefix.
    pub fn filter_state(&self) -> BTreeMap<String, Vec<u8>> {
        let Some(last) = &self.last else { return BTreeMap::new() };
        let state = last.stream.filter_state.iter();
        state.map(|(path, value)| (String::from_utf8_lossy(path).into_owned(), value.clone())).collect()
    }

    pub fn shared_data(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let shared = &self.vm.state().shared_data;
        shared.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    /// The reply that took the place of the upstream's in the last exchange, by the filter or by the host.
    pub fn local_reply(&self) -> Option<&LocalReply> {
        self.last.as_ref()?.local.as_ref()
    }

    pub fn local_reply_details(&self) -> Option<&str> {
        self.local_reply().map(|reply| reply.details.as_str())
    }

    pub fn now_ns(&self) -> u64 {
        self.vm.state().clock_ns
    }

    pub fn tick_period_ms(&self) -> u32 {
        self.tick_period_of(self.root_id)
    }

    /// The same of another root context.
    pub fn tick_period_of(&self, root_id: u32) -> u32 {
        self.vm.state().tick_periods_ms.get(&root_id).copied().unwrap_or(0)
    }

    /// The size of the VM's linear memory.
    pub fn memory_bytes(&self) -> usize {
        self.vm.memory_bytes()
    }

    /// Fuel since the start, over all VMs.
    pub fn fuel_used(&self) -> u64 {
        self.fuel_before + self.vm.fuel_used
    }

    pub fn fuel_of_last_exchange(&self) -> u64 {
        self.fuel_of_last_exchange
    }

    /// A new root context in the current VM, started and configured.
    fn open_root(&mut self) -> Result<()> {
        let plugin_config = self.options.plugin_config.clone();
        let vm = &mut self.vm;
        let state = vm.state_mut();
        let root_id = state.next_context_id;
        state.next_context_id += 1;
        state.root_id = root_id;
        state.tick_periods_ms.insert(root_id, 0);
        let (vm_size, plugin_size) = (as_u32(state.vm_config.len()), as_u32(plugin_config.len()));
        vm.callback("proxy_on_context_create", root_id, &[0])?;
        let vm_started = vm.callback("proxy_on_vm_start", root_id, &[vm_size])?.unwrap_or(1) != 0;
        vm.state_mut().configuration = Some(plugin_config);
        let configured = vm.callback("proxy_on_configure", root_id, &[plugin_size]);
        vm.state_mut().configuration = None;
        let configured = configured?.unwrap_or(1) != 0;
        self.root_id = root_id;
        self.vm_started = vm_started;
        self.configured = configured;
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("module", &self.module)
            .field("vm", &self.vm)
            .field("configured", &self.configured)
            .field("n_exchanges", &self.n_exchanges)
            .finish_non_exhaustive()
    }
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            vm_id: "vm".to_owned(),
            plugin_config: Vec::new(),
            vm_config: Vec::new(),
            holds_headers: true,
            buffer_limit: 1 << 20,
            properties: Vec::new(),
            fuel_per_call: None,
            seed: 0,
            // A date in 2026, so that times look like times.
            start_time_ns: 1_790_000_000_000_000_000,
            unknown_clusters: Vec::new(),
            end_of_stream: EndOfStream::Alone,
        }
    }
}

impl HostState {
    fn new(options: &HostOptions) -> Self {
        let mut callouts = callouts::Callouts::default();
        callouts.unknown_clusters.extend(options.unknown_clusters.iter().cloned());
        Self {
            memory: None,
            allocate: None,
            root_id: 0,
            effective: 0,
            tick_periods_ms: BTreeMap::new(),
            stream: None,
            configuration: None,
            call_answer: None,
            vm_id: options.vm_id.clone(),
            vm_config: options.vm_config.clone(),
            properties: options.properties.clone(),
            clock_ns: options.start_time_ns,
            random: options.seed,
            next_context_id: 1,
            shared_data: BTreeMap::new(),
            next_cas: 0,
            queues: state::Queues::default(),
            metrics: metrics::Metrics::default(),
            callouts,
            faults: Faults::default(),
            logs: Vec::new(),
        }
    }
}

/// wasmtime's errors are not `std` errors; `{:?}` has the causes and the wasm backtrace.
fn wasm_error(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}
