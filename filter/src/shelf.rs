//! The place in shared data where the VMs of a proxy find the bundles that one of them got.

use std::time::Duration;

use proxy_wasm::types::LogLevel;
use sentinel_adapter::asker::Package;
use sentinel_bundle::{Hash, Newest};
use sentinel_core::{Time, config::BundleSource};

use crate::{host, vm};

pub(crate) struct Shelf {
    prefix: String,
}

impl Shelf {
    pub(crate) fn new(plugin: &str) -> Self {
        Self { prefix: format!("sentinel.bundle/{plugin}") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Numbers what is on the shelf; 0 where nothing is. Cheap to ask for.
    pub(crate) fn generation(&self) -> u64 {
        let bytes = host::shared_data(&self.key(GENERATION));
        bytes.and_then(|bytes| bytes.first_chunk::<8>().copied()).map_or(0, u64::from_le_bytes)
    }

    /// With its own number, which may be a later one already.
    pub(crate) fn package(&self) -> Option<(u64, Package)> {
        read(&host::shared_data(&self.key(PACKAGE))?)
    }

    /// One value, so that nobody ever reads a half; the number by which others notice it comes after. Two VMs that both lead
    /// write the same thing twice.
    pub(crate) fn put(&self, package: &Package) -> u64 {
        let next = self.generation() + 1;
        if let Err(error) = host::set_shared_data(&self.key(PACKAGE), &write(next, package)) {
            host::log(LogLevel::Warn, &format!("a bundle could not be shared with other workers: {error}"));
        }
        let _ = host::set_shared_data(&self.key(GENERATION), &next.to_le_bytes());
        next
    }

    pub(crate) fn newest(&self) -> Option<Newest> {
        let bytes = host::shared_data(&self.key("newest"))?;
        let (version, id) = bytes.split_first_chunk::<8>()?;
        Some(Newest { version: u64::from_le_bytes(*version), id: Hash(*id.first_chunk::<32>()?) })
    }

    pub(crate) fn remember(&self, newest: Newest) {
        let bytes = [newest.version.to_le_bytes().as_slice(), &newest.id.0].concat();
        if let Err(error) = host::set_shared_data(&self.key("newest"), &bytes) {
            host::log(LogLevel::Warn, &format!("the newest version could not be kept: {error}"));
        }
    }

    /// Whether this VM is the one that asks. It is for as long as it keeps saying so; when it falls silent, another
    /// takes over.
    pub(crate) fn lead(&self, source: &BundleSource, now: Time) -> bool {
        let key = self.key("leader");
        let held = host::shared_data_versioned(&key);
        let name = vm::with(|vm| vm.name.clone());
        let silence = Duration::from_secs(source.poll_s.into()) * SILENT_POLLS;
        let until = now.0.saturating_add(u64::try_from(silence.as_nanos()).unwrap_or(u64::MAX));
        if let Some((bytes, _)) = &held
            && let Some((claimed, leader)) = bytes.split_first_chunk::<8>()
            && leader != name.as_bytes()
            // A claim that reaches further than any does was made before the clock was set back.
            && (now.0..=until).contains(&u64::from_le_bytes(*claimed))
        {
            return false;
        }
        let claim = [until.to_le_bytes().as_slice(), name.as_bytes()].concat();
        host::swap_shared_data(&key, &claim, held.map(|(_, version)| version)).is_ok()
    }
}

fn write(generation: u64, package: &Package) -> Vec<u8> {
    let Package { etag, active, trial, candidate } = package;
    let parts = [etag.as_bytes(), trial.as_bytes(), active, candidate];
    let mut bytes = generation.to_le_bytes().to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn read(bytes: &[u8]) -> Option<(u64, Package)> {
    let (generation, mut rest) = bytes.split_first_chunk::<8>()?;
    let mut part = || {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (part, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        rest = behind;
        Some(part.to_vec())
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (etag, trial) = (text(part()?), text(part()?));
    let package = Package { etag, trial, active: part()?, candidate: part()? };
    Some((u64::from_le_bytes(*generation), package))
}

const PACKAGE: &str = "package";
const GENERATION: &str = "package_generation";
/// A leader that has missed so many polls has gone.
const SILENT_POLLS: u32 = 3;
