//! The few WASI preview 1 functions that Envoy gives a filter.

use anyhow::Result;
use wasmtime::Linker;

use super::abi::{self, Guest, Refusal};
use super::state::{HostState, LogLevel, LogLine};
use super::wasm_error;

const MODULE: &str = "wasi_snapshot_preview1";
const ERRNO_OK: i32 = 0;
const ERRNO_BADF: i32 = 8;
const ERRNO_FAULT: i32 = 21;

pub(crate) fn define(linker: &mut Linker<HostState>) -> Result<()> {
    define_all(linker).map_err(wasm_error)
}

fn define_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    // No arguments and no environment: a count of 0 and a size of 0.
    for sizes in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(MODULE, sizes, |mut guest: Guest<'_>, count: u32, size: u32| {
            let written =
                abi::write_u32(&mut guest, count, 0).and_then(|()| abi::write_u32(&mut guest, size, 0));
            errno(written)
        })?;
    }
    for list in ["args_get", "environ_get"] {
        linker.func_wrap(MODULE, list, |_: u32, _: u32| ERRNO_OK)?;
    }
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut guest: Guest<'_>, fd: u32, iovs: u32, count: u32, out: u32| {
            if fd != 1 && fd != 2 {
                return Ok(ERRNO_BADF);
            }
            errno(fd_write(&mut guest, fd, iovs, count, out))
        },
    )?;
    linker.func_wrap(MODULE, "clock_time_get", |mut guest: Guest<'_>, _: u32, _: u64, out: u32| {
        let now = guest.data().clock_ns;
        errno(abi::write_u64(&mut guest, out, now))
    })?;
    linker.func_wrap(MODULE, "random_get", |mut guest: Guest<'_>, out: u32, size: u32| {
        let mut bytes = Vec::new();
        while bytes.len() < size as usize {
            bytes.extend_from_slice(&guest.data_mut().random_u64().to_le_bytes());
        }
        bytes.truncate(size as usize);
        errno(abi::write(&mut guest, out, &bytes))
    })?;
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> {
        Err(wasmtime::format_err!("the filter called proc_exit({code})"))
    })?;
    linker.func_wrap(MODULE, "sched_yield", || ERRNO_OK)?;
    linker.func_wrap(MODULE, "fd_close", |_: u32| ERRNO_BADF)?;
    linker.func_wrap(MODULE, "fd_seek", |_: u32, _: u64, _: u32, _: u32| ERRNO_BADF)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", |_: u32, _: u32| ERRNO_BADF)?;
    Ok(())
}

fn fd_write(guest: &mut Guest<'_>, fd: u32, iovs: u32, count: u32, out: u32) -> abi::Answer {
    let mut text = Vec::new();
    for idx in 0..count {
        let pair = abi::read(guest, iovs.saturating_add(idx.saturating_mul(8)), 8)?;
        let (address, size) = pair.split_at(4);
        text.extend(abi::read(guest, le_u32(address), le_u32(size))?);
    }
    abi::write_u32(guest, out, u32::try_from(text.len()).unwrap_or(u32::MAX))?;
    let level = if fd == 2 { LogLevel::Error } else { LogLevel::Info };
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    if !text.is_empty() {
        guest.data_mut().logs.push(LogLine { level, text });
    }
    Ok(())
}

fn errno(result: abi::Answer) -> wasmtime::Result<i32> {
    match result {
        Ok(()) => Ok(ERRNO_OK),
        Err(Refusal::Status(_)) => Ok(ERRNO_FAULT),
        Err(Refusal::Trap(trap)) => Err(trap),
    }
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}
