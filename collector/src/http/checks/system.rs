//! The machine, as this process sees it: memory, files, load, room for the database.

use std::fs;
use std::path::Path;

use super::Check;
use crate::http::App;

pub(super) fn checks(app: &App) -> Vec<Check> {
    vec![
        Check::at_most(
            "uptime",
            app.started.elapsed().as_secs_f64(),
            f64::INFINITY,
            f64::INFINITY,
            "seconds",
        ),
        memory(),
        open_files(),
        load(),
        app.facts.database.as_deref().map_or_else(
            || Check::not_configured("disk", "the database is on another machine, or may be"),
            disk,
        ),
    ]
}

/// What the process holds, of what it may hold.
fn memory() -> Check {
    let resident = kibibytes("/proc/self/status", "VmRSS:");
    let of_machine = kibibytes("/proc/meminfo", "MemTotal:");
    let of_group = fs::read_to_string("/sys/fs/cgroup/memory.max");
    let of_group = of_group.ok().and_then(|text| text.trim().parse::<f64>().ok());
    let most = of_machine.map(|of_machine| of_group.unwrap_or(of_machine).min(of_machine));
    match (resident, most) {
        (Some(resident), Some(most)) => Check::at_most("memory", resident, 0.8 * most, 0.95 * most, "bytes"),
        _ => Check::unknown("memory", "this system does not say"),
    }
}

fn kibibytes(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

fn open_files() -> Check {
    let open = fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most: Option<f64> = limit.and_then(|line| line.split_whitespace().next()?.parse().ok());
    match (open, most) {
        (Some(open), Some(most)) => {
            Check::at_most("open_files", open as f64, 0.8 * most, 0.95 * most, "files")
        }
        _ => Check::unknown("open_files", "this system does not say"),
    }
}

/// How many wanted to run, over the last minute. A machine that is busy is slow, and still works.
fn load() -> Check {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = text.split_whitespace().next().and_then(|load| load.parse().ok());
    match (load, std::thread::available_parallelism()) {
        (Some(load), Ok(cores)) => {
            Check::at_most("load", load, 2.0 * cores.get() as f64, f64::INFINITY, "threads")
        }
        _ => Check::unknown("load", "this system does not say"),
    }
}

fn disk(database: &Path) -> Check {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
    match rustix::fs::statvfs(folder.unwrap_or_else(|| Path::new("."))) {
        Ok(found) => {
            let free = (found.f_bavail as f64) * (found.f_frsize as f64);
            Check::at_least("disk", free, DISK_WARNS_AT, DISK_FAILS_AT, "bytes")
        }
        Err(_) => Check::unknown("disk", "this system does not say"),
    }
}

const DISK_WARNS_AT: f64 = (2_u64 << 30) as f64;
const DISK_FAILS_AT: f64 = (128_u64 << 20) as f64;
