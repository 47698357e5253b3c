//! `cargo xtask up --with prometheus,alertmanager`: those who watch, as Debian packages them, with the shipped rules and a
//! configuration that fits what is running.

use std::{env, net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use sentinel_harness::prometheus::{
    Alertmanager, HINT, Prometheus, PrometheusOptions, Scrape, has_alertmanager, has_prometheus,
};

use crate::build::{root, run_command};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Monitor {
    Prometheus,
    Alertmanager,
}

/// Stopped when it is dropped.
pub(crate) struct Monitors {
    prometheus: Option<Prometheus>,
    alertmanager: Option<Alertmanager>,
}

impl Monitors {
    pub(crate) fn start(wanted: &[Monitor], envoy_admin: SocketAddr, collector: SocketAddr) -> Result<Self> {
        install_missing(wanted)?;
        let alertmanager = match wanted.contains(&Monitor::Alertmanager) {
            true => Some(Alertmanager::start(None)?),
            false => None,
        };
        let prometheus = match wanted.contains(&Monitor::Prometheus) {
            true => {
                let rules = root().join("ops/prometheus");
                Some(Prometheus::start(&PrometheusOptions {
                    scrapes: vec![
                        scrape("sentinel-proxy", envoy_admin, "/stats/prometheus"),
                        scrape("sentinel-collector", collector, "/metrics"),
                    ],
                    rules: ["recording.yml", "alerts.yml"].map(|file| rules.join(file)).into(),
                    alertmanager: alertmanager.as_ref().map(Alertmanager::addr),
                    interval: SCRAPED_EVERY,
                })?)
            }
            false => None,
        };
        Ok(Self { prometheus, alertmanager })
    }

    pub(crate) fn print(&self) {
        if let Some(prometheus) = &self.prometheus {
            println!("Prometheus       http://{}   alerts http://{0}/alerts", prometheus.addr());
        }
        if let Some(alertmanager) = &self.alertmanager {
            println!("Alertmanager     http://{}", alertmanager.addr());
        }
    }

    /// Waits until Prometheus has scraped both sides.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(prometheus) = &self.prometheus else { return Ok(()) };
        let until = std::time::Instant::now() + 4 * SCRAPED_EVERY;
        loop {
            let up = prometheus.query("up == 1")?.len();
            let guarded = prometheus.query("sum(sentinel_requests_total{layer=\"filter\"}) > 0")?;
            if up == 2 && !guarded.is_empty() {
                println!("Prometheus: scrapes Envoy and the collector");
                return Ok(());
            }
            if std::time::Instant::now() > until {
                bail!("Prometheus scrapes {up} of 2 targets\n{}", prometheus.log());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn scrape(job: &str, addr: SocketAddr, path: &str) -> Scrape {
    Scrape { job: job.to_owned(), addr, path: path.to_owned() }
}

/// By Debian's own tool, where it is there and may be used; otherwise it is said what to do.
fn install_missing(wanted: &[Monitor]) -> Result<()> {
    let is_missing = wanted.iter().any(|monitor| match monitor {
        Monitor::Prometheus => !has_prometheus(),
        Monitor::Alertmanager => !has_alertmanager(),
    });
    if !is_missing {
        return Ok(());
    }
    if !is_root() || !has_apt() {
        bail!(
            "--with: Prometheus or Alertmanager is not installed; {HINT} (as root), or set $PROMETHEUS and $ALERTMANAGER"
        );
    }
    println!("installing prometheus and prometheus-alertmanager");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "--no-install-recommends", "prometheus", "prometheus-alertmanager"]);
    run_command(apt.env("DEBIAN_FRONTEND", "noninteractive")).context("try apt-get update first")
}

fn has_apt() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join("apt-get").is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

const SCRAPED_EVERY: Duration = Duration::from_secs(5);
