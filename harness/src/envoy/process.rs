//! Times and memory of a child from `/proc`, and how to stop it.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTimes {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Ended and not yet waited for.
    pub(crate) ended: bool,
}

#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) status: ExitStatus,
    pub(crate) user_cpu: Duration,
    pub(crate) peak_rss: u64,
}

/// Fields 3, 14 and 15 of `/proc/PID/stat`, counted after the name, which may itself hold spaces and brackets.
pub(crate) fn cpu_times(pid: u32) -> Result<CpuTimes> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc stat without a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |idx: usize| -> Result<Duration> {
        let n: f64 = fields.get(idx).context("/proc stat is short")?.parse()?;
        Ok(Duration::from_secs_f64(n / ticks_per_second()))
    };
    Ok(CpuTimes { user: ticks(11)?, system: ticks(12)?, ended: fields.first() == Some(&"Z") })
}

/// A size in `/proc/PID/status`, in bytes.
pub(crate) fn memory(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.with_context(|| format!("no {field}"))?.trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// Looks on until the child has ended, then takes its times: they stay readable until it is waited for. The peak of
/// memory does not, so it is as of the last look, 2 ms earlier at most.
pub(crate) fn watch_to_exit(child: &mut Child, within: Duration) -> Result<Usage> {
    let pid = child.id();
    let started = Instant::now();
    let mut peak_rss = 0;
    loop {
        let times = cpu_times(pid)?;
        if times.ended {
            return Ok(Usage { status: child.wait()?, user_cpu: times.user, peak_rss });
        }
        peak_rss = peak_rss.max(memory(pid, "VmHWM").unwrap_or(0));
        if started.elapsed() > within {
            stop(child, Duration::ZERO);
            bail!("still running after {within:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// SIGTERM, and SIGKILL where that does not help in time.
pub(crate) fn stop(child: &mut Child, patience: Duration) {
    let pid = child.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
    let started = Instant::now();
    while started.elapsed() < patience {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// 100 on every Linux that is common; asked once all the same.
fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(|| {
        let asked = Command::new("getconf").arg("CLK_TCK").output().ok();
        asked.and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok()).unwrap_or(100.0)
    })
}
