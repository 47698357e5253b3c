//! Two Envoys, a collector and a `redis-server`, each of which can be stopped and started again where it was.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    http1,
    port::free_addr,
    program::{self, or_skip},
    upstream::Upstream,
    wire::{Request, Response},
};
use sentinel_tests::{command::built_command, engine::built_filter};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Each has its own limit.
const ROUTES: [&str; 4] = ["local", "open", "closed", "even"];
const FILTER_TOKEN: &str = "token-of-filters";
const ADMIN_TOKEN: &str = "token-of-administrators";
const WITHIN: Duration = Duration::from_secs(240);

pub(crate) struct Site {
    pub(crate) envoys: [Envoy; 2],
    pub(crate) collector: Server,
    pub(crate) redis: Server,
    _upstream: Upstream,
    _folder: TempDir,
}

/// A server process on an address of its own; it ends with the test.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    addr: SocketAddr,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
}

#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    sentinel_tests::until(what, WITHIN, look)
}

impl Site {
    pub(crate) fn start(rates: &Value) -> Option<Self> {
        let redis_server = or_skip(program::REDIS.find())?;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), ADMIN_TOKEN).unwrap();
        let redis = Server::redis(redis_server, folder.path());
        let mut collector = Server::collector(folder.path(), redis.addr);
        collector.start(&[]);
        let upstream = Upstream::start_unrecorded(|_| Response::json("{}")).unwrap();
        let config = json!({
            "policy": {
                "rates": rates,
                "routes": ROUTES.map(|name| json!({ "name": name, "match": { "path": format!("/{name}") } })),
                "profiles": { "default": { "model": { "enabled": false } } },
            },
            "collector": { "cluster": "collector", "token": FILTER_TOKEN },
        });
        let start = || {
            let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
            let bootstrap =
                Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.addr);
            let ready_within = Duration::from_secs(300);
            let options = EnvoyOptions { concurrency: 2, ready_within, ..EnvoyOptions::new(&bootstrap) };
            Envoy::start(&options).unwrap()
        };
        let envoys = thread::scope(|scope| {
            let two = [(); 2].map(|()| scope.spawn(start));
            two.map(|one| one.join().unwrap())
        });
        Some(Self { envoys, collector, redis, _upstream: upstream, _folder: folder })
    }

    pub(crate) fn addrs(&self) -> [SocketAddr; 2] {
        self.envoys.each_ref().map(|envoy| envoy.addr("main").unwrap())
    }

    /// A sample of the collector's metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.collector.get("/metrics").unwrap();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Leases that were answered so far, by who counted them.
    pub(crate) fn leases(&self, source: &str) -> u64 {
        self.metric(&format!("sentinel_leases_total{{source=\"{source}\"}}"))
    }
}

impl Server {
    fn new(program: PathBuf, folder: &Path) -> Self {
        let addr = free_addr().unwrap();
        let (arguments, environment) = (Vec::new(), Vec::new());
        Self { program, folder: folder.to_owned(), addr, arguments, environment, child: None }
    }

    /// Nothing that it knew outlives it.
    fn redis(program: PathBuf, folder: &Path) -> Self {
        let mut server = Self::new(program, folder);
        let port = server.addr.port().to_string();
        let arguments = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
        server.arguments = arguments.map(str::to_owned).into();
        server.start(&[]);
        server
    }

    fn collector(folder: &Path, redis: SocketAddr) -> Self {
        let mut server = Self::new(built_command().unwrap(), folder);
        let listen = server.addr.to_string();
        let arguments = ["serve", "--listen", &listen, "--database", "events.db"];
        server.arguments = arguments.map(str::to_owned).into();
        server.environment = vec![
            ("SENTINEL_TOKENS", FILTER_TOKEN.to_owned()),
            ("SENTINEL_ADMIN_TOKENS", ADMIN_TOKEN.to_owned()),
            ("SENTINEL_REDIS", format!("redis://{redis}")),
            ("SENTINEL_LOG", "error".to_owned()),
        ];
        server
    }

    pub(crate) fn start(&mut self, more: &[&str]) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(more).current_dir(&self.folder).stdout(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.child = Some(command.spawn().unwrap());
        until("a server that listens", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{} has ended", self.program.display());
            TcpStream::connect(self.addr).ok()
        });
    }

    /// At once, as a machine goes away.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn get(&self, path: &str) -> Option<String> {
        let request = Request::get(path).with_header("authorization", format!("Bearer {ADMIN_TOKEN}"));
        let saw = http1::exchange(self.addr, &request, WITHIN).ok()??;
        (saw.status == 200).then(|| saw.text())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
