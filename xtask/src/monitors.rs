//! `cargo xtask up --with prometheus,alertmanager`: those who watch, as Debian packages them, with the shipped rules and a
//! configuration that fits what is running.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};
use sentinel_harness::{
    program,
    prometheus::{Alertmanager, Prometheus, PrometheusOptions, Scrape},
};

use crate::{build::root, debian};

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

fn install_missing(wanted: &[Monitor]) -> Result<()> {
    let programs: Vec<_> = wanted
        .iter()
        .map(|monitor| match monitor {
            Monitor::Prometheus => &program::PROMETHEUS,
            Monitor::Alertmanager => &program::ALERTMANAGER,
        })
        .collect();
    let missing = debian::missing(&programs);
    if !missing.is_empty() && !debian::install(&missing)? {
        bail!(
            "--with: not installed: {}; as root: apt-get install {}, or set $PROMETHEUS and $ALERTMANAGER",
            missing.join(", "),
            missing.join(" ")
        );
    }
    Ok(())
}

const SCRAPED_EVERY: Duration = Duration::from_secs(5);
