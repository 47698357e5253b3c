//! The host border: every call this filter makes to the proxy.
//!
//! The `proxy-wasm` crate brings the callbacks, the dispatch and the HTTP callout. Its other calls panic on any
//! status they do not expect, and one panic ends the VM; so those calls are imported here a second time (a
//! wasm module may import a function as often as it likes), with the status as a number and a `Result` out.
#![allow(unsafe_code, reason = "foreign functions; each use says why it is sound")]

use std::{fmt, ptr, time::Duration};

use proxy_wasm::{
    hostcalls,
    types::{LogLevel, MetricType},
};
use sentinel_core::{Direction, Reply, Time, http::Headers};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, len: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(kind: u32, start: usize, size: usize, data: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_len: usize, data: *const u8, len: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_len: usize, data: *const u8, len: usize, cas: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
}

/// A host call that did not do what it should: which one, and the status it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostError {
    call: &'static str,
    status: u32,
}

impl HostError {
    /// Somebody else was faster.
    pub(crate) const VERSION_CONFLICT: Self = Self { call: SET_SHARED_DATA, status: 8 };
    pub(crate) const NOBODY_TO_ASK: Self = Self { call: "no collector is configured", status: 0 };
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gave status {}", self.call, self.status)
    }
}

pub(crate) type HostResult<T> = Result<T, HostError>;

const NOT_FOUND: u32 = 1;
const SET_SHARED_DATA: &str = "set_shared_data";
const NO_GRPC_STATUS: i32 = -1;

/// Buffers of the ABI that this filter touches.
#[derive(Clone, Copy)]
enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CalloutResponseBody = 4,
    PluginConfiguration = 7,
}

/// The headers of a message as one allocation, as the host gives them.
pub(crate) struct HeaderPairs(Vec<u8>);

impl HeaderPairs {
    /// Slices into the allocation. A list that contradicts itself ends where it does.
    pub(crate) fn headers(&self) -> Headers<'_> {
        let bytes = &self.0;
        let size_at = |idx: usize| {
            let size = bytes.get(4 + 4 * idx..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*size) as usize)
        };
        let count = bytes.first_chunk::<4>().map_or(0, |count| u32::from_le_bytes(*count) as usize);
        let mut at = count.saturating_mul(8).saturating_add(4);
        let pair = |idx| {
            let (name_len, value_len) = (size_at(2 * idx)?, size_at(2 * idx + 1)?);
            let name = bytes.get(at..at.checked_add(name_len)?)?;
            at += name_len + 1;
            let value = bytes.get(at..at.checked_add(value_len)?)?;
            at += value_len + 1;
            Some((name, value))
        };
        (0..count).map_while(pair).collect()
    }
}

pub(crate) fn log(level: LogLevel, text: &str) {
    // SAFETY: pointer and length describe `text`, which outlives the call. A log that fails has no one to tell.
    let _ = unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

pub(crate) fn now() -> Time {
    let mut nanos = 0;
    // SAFETY: the host writes eight bytes to a live local.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&raw mut nanos) };
    Time(nanos)
}

/// Of the root context that this one belongs to.
pub(crate) fn set_tick_period(period: Duration) -> HostResult<()> {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: plain numbers.
    done("set_tick_period_milliseconds", unsafe { proxy_set_tick_period_milliseconds(millis) })
}

pub(crate) fn plugin_configuration() -> HostResult<Vec<u8>> {
    buffer(Buffer::PluginConfiguration, 0, usize::MAX)
}

/// Bytes `start..start + len` of the body that the host holds.
pub(crate) fn body(direction: Direction, start: usize, len: usize) -> HostResult<Vec<u8>> {
    let bytes = buffer(body_buffer(direction), start, len)?;
    match bytes.len() == len {
        true => Ok(bytes),
        // A body that is shorter than announced must not pass as a whole one.
        false => Err(HostError { call: "get_buffer_bytes (length)", status: 0 }),
    }
}

pub(crate) fn replace_body(direction: Direction, bytes: &[u8]) -> HostResult<()> {
    let kind = body_buffer(direction) as u32;
    // SAFETY: pointer and length describe `bytes`, which outlives the call.
    let status = unsafe { proxy_set_buffer_bytes(kind, 0, usize::MAX, bytes.as_ptr(), bytes.len()) };
    done("set_buffer_bytes", status)
}

pub(crate) fn header_pairs(direction: Direction) -> HostResult<HeaderPairs> {
    received("get_header_map_pairs", |data, len| {
        // SAFETY: the host writes a pointer and a length to live locals.
        unsafe { proxy_get_header_map_pairs(header_map(direction), data, len) }
    })
    .map(HeaderPairs)
}

/// Headers of the answer to a callout.
pub(crate) fn callout_headers() -> HostResult<HeaderPairs> {
    const CALLOUT_RESPONSE_HEADERS: u32 = 6;
    received("get_header_map_pairs", |data, len| {
        // SAFETY: as above.
        unsafe { proxy_get_header_map_pairs(CALLOUT_RESPONSE_HEADERS, data, len) }
    })
    .map(HeaderPairs)
}

pub(crate) fn callout_header(name: &str) -> Option<String> {
    callout_headers().ok()?.headers().text(name).map(str::to_owned)
}

/// The body of the answer to a callout.
pub(crate) fn callout_body(len: usize) -> HostResult<Vec<u8>> {
    buffer(Buffer::CalloutResponseBody, 0, len)
}

pub(crate) fn set_header(direction: Direction, name: &str, value: &str) -> HostResult<()> {
    let map = header_map(direction);
    // SAFETY: pointers and lengths describe strings that outlive the call.
    let status = unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    done("replace_header_map_value", status)
}

pub(crate) fn remove_header(direction: Direction, name: &str) -> HostResult<()> {
    // SAFETY: pointer and length describe `name`, which outlives the call.
    let status = unsafe { proxy_remove_header_map_value(header_map(direction), name.as_ptr(), name.len()) };
    match status {
        NOT_FOUND => Ok(()),
        status => done("remove_header_map_value", status),
    }
}

/// A property of the stream or the plugin. Whatever keeps it from being read, it is not there.
pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    received("get_property", |data, len| {
        // SAFETY: `path` outlives the call; the host writes a pointer and a length to live locals.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) }
    })
    .ok()
}

/// A property that is an unsigned or non-negative number: eight bytes, little endian.
pub(crate) fn number_property(path: &[&str]) -> Option<u64> {
    property(path)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Filter state `wasm.<name>`, for access logs and for the filters behind this one.
pub(crate) fn set_filter_state(name: &str, value: &str) -> HostResult<()> {
    // SAFETY: pointers and lengths describe strings that outlive the call.
    let status = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    done("set_property", status)
}

pub(crate) fn shared_data(key: &str) -> Option<Vec<u8>> {
    shared_data_versioned(key).map(|(value, _)| value)
}

/// With the version, for [`swap_shared_data`].
pub(crate) fn shared_data_versioned(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut version = 0;
    let value = received("get_shared_data", |data, len| {
        // SAFETY: `key` outlives the call; the host writes to live locals.
        unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut version) }
    });
    Some((value.ok()?, version))
}

pub(crate) fn set_shared_data(key: &str, value: &[u8]) -> HostResult<()> {
    swap_shared_data(key, value, None)
}

/// Only if the value is still the one of that version; `None`: whatever it is.
pub(crate) fn swap_shared_data(key: &str, value: &[u8], version: Option<u32>) -> HostResult<()> {
    const WHATEVER_VERSION: u32 = 0;
    let version = version.unwrap_or(WHATEVER_VERSION);
    // SAFETY: pointers and lengths describe slices that outlive the call.
    let status =
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) };
    done(SET_SHARED_DATA, status)
}

/// Lets a paused direction go on, from outside of its own callbacks.
pub(crate) fn resume(direction: Direction) -> HostResult<()> {
    // SAFETY: plain numbers.
    done("continue_stream", unsafe { proxy_continue_stream(stream(direction)) })
}

/// The last resort when neither the original nor a reply may or can be sent.
pub(crate) fn reset(direction: Direction) {
    // SAFETY: plain numbers.
    let _ = unsafe { proxy_close_stream(stream(direction)) };
}

pub(crate) fn send_reply(reply: &Reply) -> HostResult<()> {
    let pairs: Vec<(&[u8], &[u8])> =
        reply.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let headers = serialise(&pairs);
    // SAFETY: pointers and lengths describe slices that outlive the call.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(reply.status),
            reply.details.as_ptr(),
            reply.details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    };
    done("send_local_response", status)
}

pub(crate) fn define_metric(kind: MetricType, name: &str) -> HostResult<u32> {
    let mut id = 0;
    // SAFETY: `name` outlives the call; the host writes four bytes to a live local.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    done("define_metric", status).map(|()| id)
}

pub(crate) fn increment(metric: u32, by: u64) {
    // SAFETY: plain numbers. A counter that cannot be raised has no one to tell.
    let _ = unsafe { proxy_increment_metric(metric, i64::try_from(by).unwrap_or(i64::MAX)) };
}

/// Of a gauge, up or down.
pub(crate) fn shift(metric: u32, by: i64) {
    // SAFETY: plain numbers.
    let _ = unsafe { proxy_increment_metric(metric, by) };
}

pub(crate) fn record(metric: u32, value: u64) {
    // SAFETY: plain numbers.
    let _ = unsafe { proxy_record_metric(metric, value) };
}

/// Runs `f` with host calls going to another context of this VM, then comes back to `own`.
pub(crate) fn in_context<T>(id: u32, own: u32, f: impl FnOnce() -> T) -> HostResult<T> {
    // SAFETY: plain numbers; an unknown id gives a status.
    done("set_effective_context", unsafe { proxy_set_effective_context(id) })?;
    let out = f();
    // SAFETY: as above; `own` is the context whose callback is running.
    let _ = unsafe { proxy_set_effective_context(own) };
    Ok(out)
}

/// An HTTP callout; answers its token. The crate has to make this call, because it routes the answer by a token
/// that it registers itself. Of the statuses it would panic on, no host gives one here.
pub(crate) fn call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: &[u8],
    timeout: Duration,
) -> HostResult<u32> {
    hostcalls::dispatch_http_call(cluster, headers, Some(body), Vec::new(), timeout)
        .map_err(|status| HostError { call: "http_call", status: status as u32 })
}

fn buffer(kind: Buffer, start: usize, max: usize) -> HostResult<Vec<u8>> {
    if max == 0 {
        return Ok(Vec::new());
    }
    received("get_buffer_bytes", |data, len| {
        // SAFETY: the host writes a pointer and a length to live locals.
        unsafe { proxy_get_buffer_bytes(kind as u32, start, max, data, len) }
    })
}

/// Takes over what the host has allocated in this VM for an answer.
fn received(call: &'static str, ask: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> HostResult<Vec<u8>> {
    let (mut data, mut len) = (ptr::null_mut(), 0);
    done(call, ask(&raw mut data, &raw mut len))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the host got this memory from `proxy_on_memory_allocate`, which leaks a boxed slice of exactly
    // `len` bytes, filled it, and hands it over for good.
    Ok(unsafe { Vec::from_raw_parts(data, len, len) })
}

/// The pair list of the ABI: count, sizes, then each name and value with a zero behind it.
fn serialise(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let size = 4 + pairs.iter().map(|(name, value)| 8 + name.len() + value.len() + 2).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&(pairs.len() as u32).to_le_bytes());
    for (name, value) in pairs {
        out.extend_from_slice(&(name.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

fn done(call: &'static str, status: u32) -> HostResult<()> {
    match status {
        0 => Ok(()),
        status => Err(HostError { call, status }),
    }
}

const fn body_buffer(direction: Direction) -> Buffer {
    match direction {
        Direction::Request => Buffer::RequestBody,
        Direction::Response => Buffer::ResponseBody,
    }
}

const fn header_map(direction: Direction) -> u32 {
    match direction {
        Direction::Request => 0,
        Direction::Response => 2,
    }
}

const fn stream(direction: Direction) -> u32 {
    match direction {
        Direction::Request => 0,
        Direction::Response => 1,
    }
}
