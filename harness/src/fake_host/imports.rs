//! The `env.proxy_*` functions.

use std::time::Duration;

use anyhow::{Result, bail};
use wasmtime::{ExternType, Linker, Module, Store, Val};

use super::abi::{self, Answer, Guest, Refusal, Status};
use super::callouts::Callout;
use super::properties;
use super::state::{HostState, LogLevel, LogLine};
use super::stream::{Direction, LocalReply};
use super::wasm_error;
use crate::wire::Headers;

/// Defines every import of the module, or names the one that no proxy-wasm host has.
pub(crate) fn define(
    linker: &mut Linker<HostState>,
    store: &mut Store<HostState>,
    module: &Module,
) -> Result<()> {
    define_proxy(linker).map_err(wasm_error)?;
    super::wasi::define(linker)?;
    for import in module.imports() {
        let (space, name) = (import.module(), import.name());
        if linker.get(&mut *store, space, name).is_ok() {
            continue;
        }
        let ExternType::Func(ty) = import.ty() else {
            bail!("the module imports {space}.{name}, which is not a function");
        };
        if space != "env" || !name.starts_with("proxy_") {
            bail!("the module imports {space}.{name}, which no proxy-wasm host has");
        }
        let unimplemented = |_: Guest<'_>, _: &[Val], results: &mut [Val]| {
            results.iter_mut().for_each(|result| *result = Val::I32(Status::Unimplemented as i32));
            Ok(())
        };
        linker.func_new(space, name, ty, unimplemented).map_err(wasm_error)?;
    }
    Ok(())
}

/// Each function answers a status; a forced fault comes first.
macro_rules! proxy_functions {
    ($linker:ident: $($name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap(
            "env",
            concat!("proxy_", stringify!($name)),
            |mut guest: Guest<'_>, $($arg: $ty),*| -> wasmtime::Result<u32> {
                if let Some(status) = guest.data_mut().faults.on_call(concat!("proxy_", stringify!($name))) {
                    return Ok(status);
                }
                match $name(&mut guest, $($arg),*) {
                    Ok(()) => Ok(Status::Ok as u32),
                    Err(Refusal::Status(status)) => Ok(status as u32),
                    Err(Refusal::Trap(trap)) => Err(trap),
                }
            },
        )?;
    )*};
}

fn define_proxy(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    proxy_functions!(linker:
        log(level: u32, text: u32, size: u32);
        get_log_level(out: u32);
        get_current_time_nanoseconds(out: u32);
        set_tick_period_milliseconds(period_ms: u32);
        get_buffer_bytes(kind: u32, start: u32, length: u32, data_out: u32, size_out: u32);
        set_buffer_bytes(kind: u32, start: u32, length: u32, data: u32, size: u32);
        get_buffer_status(kind: u32, size_out: u32, flags_out: u32);
        get_header_map_pairs(kind: u32, data_out: u32, size_out: u32);
        set_header_map_pairs(kind: u32, data: u32, size: u32);
        get_header_map_value(kind: u32, key: u32, key_size: u32, data_out: u32, size_out: u32);
        add_header_map_value(kind: u32, key: u32, key_size: u32, value: u32, value_size: u32);
        replace_header_map_value(kind: u32, key: u32, key_size: u32, value: u32, value_size: u32);
        remove_header_map_value(kind: u32, key: u32, key_size: u32);
        get_header_map_size(kind: u32, size_out: u32);
        get_property(path: u32, path_size: u32, data_out: u32, size_out: u32);
        set_property(path: u32, path_size: u32, value: u32, value_size: u32);
        get_shared_data(key: u32, key_size: u32, data_out: u32, size_out: u32, cas_out: u32);
        set_shared_data(key: u32, key_size: u32, value: u32, value_size: u32, cas: u32);
        register_shared_queue(name: u32, name_size: u32, id_out: u32);
        resolve_shared_queue(vm: u32, vm_size: u32, name: u32, name_size: u32, id_out: u32);
        enqueue_shared_queue(id: u32, value: u32, value_size: u32);
        dequeue_shared_queue(id: u32, data_out: u32, size_out: u32);
        define_metric(kind: u32, name: u32, name_size: u32, id_out: u32);
        increment_metric(id: u32, offset: i64);
        record_metric(id: u32, value: u64);
        get_metric(id: u32, out: u32);
        continue_stream(kind: u32);
        close_stream(kind: u32);
        send_local_response(status: u32, details: u32, details_size: u32, body: u32, body_size: u32,
            headers: u32, headers_size: u32, grpc_status: i32);
        http_call(cluster: u32, cluster_size: u32, headers: u32, headers_size: u32, body: u32, body_size: u32,
            trailers: u32, trailers_size: u32, timeout_ms: u32, token_out: u32);
        set_effective_context(id: u32);
        done();
        call_foreign_function(name: u32, name_size: u32, data: u32, size: u32, data_out: u32, size_out: u32);
    );
    Ok(())
}

fn log(guest: &mut Guest<'_>, level: u32, text: u32, size: u32) -> Answer {
    let level = LogLevel::from_number(level).ok_or(Status::BadArgument)?;
    let text = abi::read_text(guest, text, size)?;
    guest.data_mut().logs.push(LogLine { level, text });
    Ok(())
}

fn get_log_level(guest: &mut Guest<'_>, out: u32) -> Answer {
    abi::write_u32(guest, out, LogLevel::Trace as u32)
}

fn get_current_time_nanoseconds(guest: &mut Guest<'_>, out: u32) -> Answer {
    let now = guest.data().clock_ns;
    abi::write_u64(guest, out, now)
}

fn set_tick_period_milliseconds(guest: &mut Guest<'_>, period_ms: u32) -> Answer {
    let state = guest.data_mut();
    let root_id = state.effective_root();
    state.tick_periods_ms.insert(root_id, period_ms);
    Ok(())
}

fn get_buffer_bytes(
    guest: &mut Guest<'_>,
    kind: u32,
    start: u32,
    length: u32,
    data_out: u32,
    size_out: u32,
) -> Answer {
    let start = start as usize;
    let bytes = buffer(guest.data_mut(), kind)?;
    if start > bytes.len() {
        return Err(Status::BadArgument.into());
    }
    // Nothing to copy writes nothing at all, as in Envoy: the filter's own initial values stay.
    let wanted: Vec<u8> = bytes.iter().skip(start).take(length as usize).copied().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    abi::give(guest, &wanted, data_out, size_out)
}

fn buffer(state: &mut HostState, kind: u32) -> Answer<&[u8]> {
    let not_found = Refusal::Status(Status::NotFound);
    match kind {
        REQUEST_BODY | RESPONSE_BODY => {
            let stream = state.own_stream().ok_or(Status::NotFound)?;
            let half =
                stream.half(if kind == REQUEST_BODY { Direction::Request } else { Direction::Response });
            Ok(if half.body_open { &half.body } else { &[] })
        }
        CALL_RESPONSE_BODY => {
            state.call_answer.as_ref().map(|answer| answer.body.as_slice()).ok_or(not_found)
        }
        VM_CONFIGURATION => Ok(&state.vm_config),
        PLUGIN_CONFIGURATION => state.configuration.as_deref().ok_or(not_found),
        _ => Err(not_found),
    }
}

fn set_buffer_bytes(
    guest: &mut Guest<'_>,
    kind: u32,
    start: u32,
    length: u32,
    data: u32,
    size: u32,
) -> Answer {
    let direction = match kind {
        REQUEST_BODY => Direction::Request,
        RESPONSE_BODY => Direction::Response,
        CALL_RESPONSE_BODY | VM_CONFIGURATION | PLUGIN_CONFIGURATION => {
            return Err(Status::BadArgument.into());
        }
        _ => return Err(Status::NotFound.into()),
    };
    let data = abi::read(guest, data, size)?;
    let stream = guest.data_mut().own_stream().ok_or(Status::NotFound)?;
    Ok(stream.half(direction).set_body(start as usize, length as usize, &data)?)
}

fn get_buffer_status(guest: &mut Guest<'_>, kind: u32, size_out: u32, flags_out: u32) -> Answer {
    let size = buffer(guest.data_mut(), kind)?.len();
    abi::write_u32(guest, size_out, u32::try_from(size).unwrap_or(u32::MAX))?;
    abi::write_u32(guest, flags_out, 0)
}

fn map_to_read(state: &HostState, kind: u32) -> Option<&Headers> {
    match kind {
        CALL_RESPONSE_HEADERS => return state.call_answer.as_ref().map(|answer| &answer.headers),
        CALL_RESPONSE_TRAILERS => return None,
        _ => {}
    }
    let stream = state.stream.as_ref().filter(|stream| stream.id == state.effective)?;
    match kind {
        REQUEST_HEADERS => stream.request.headers_to_read(stream.logging),
        RESPONSE_HEADERS => stream.response.headers_to_read(stream.logging),
        REQUEST_TRAILERS => stream.request.trailers_open.then_some(&stream.request.trailers),
        RESPONSE_TRAILERS => stream.response.trailers_open.then_some(&stream.response.trailers),
        _ => None,
    }
}

fn map_to_change(state: &mut HostState, kind: u32) -> Answer<&mut Headers> {
    let stream = state.own_stream().ok_or(Status::BadArgument)?;
    let map = match kind {
        REQUEST_HEADERS if stream.request.headers_open => &mut stream.request.headers,
        RESPONSE_HEADERS if stream.response.headers_open => &mut stream.response.headers,
        REQUEST_TRAILERS if stream.request.trailers_open => &mut stream.request.trailers,
        RESPONSE_TRAILERS if stream.response.trailers_open => &mut stream.response.trailers,
        _ => return Err(Status::BadArgument.into()),
    };
    Ok(map)
}

/// A map that is not there reads as no pairs, with status Ok: that is what Envoy does.
fn get_header_map_pairs(guest: &mut Guest<'_>, kind: u32, data_out: u32, size_out: u32) -> Answer {
    let pairs = map_to_read(guest.data(), kind).cloned().unwrap_or_default();
    if pairs.is_empty() {
        return abi::give(guest, &[], data_out, size_out);
    }
    abi::give(guest, &abi::pairs_to_bytes(&pairs), data_out, size_out)
}

fn set_header_map_pairs(guest: &mut Guest<'_>, kind: u32, data: u32, size: u32) -> Answer {
    let pairs = abi::read_pairs(guest, data, size)?;
    *map_to_change(guest.data_mut(), kind)? = pairs;
    Ok(())
}

fn get_header_map_value(
    guest: &mut Guest<'_>,
    kind: u32,
    key: u32,
    key_size: u32,
    data_out: u32,
    size_out: u32,
) -> Answer {
    let key = read_key(guest, key, key_size)?;
    let map = map_to_read(guest.data(), kind).ok_or(Status::BadArgument)?;
    // The first of several values, as Envoy answers.
    let (_, value) = map.iter().find(|(name, _)| *name == key).ok_or(Status::NotFound)?;
    let value = value.clone();
    abi::give(guest, &value, data_out, size_out)
}

fn add_header_map_value(
    guest: &mut Guest<'_>,
    kind: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Answer {
    let pair = (read_key(guest, key, key_size)?, abi::read(guest, value, value_size)?);
    map_to_change(guest.data_mut(), kind)?.push(pair);
    Ok(())
}

fn replace_header_map_value(
    guest: &mut Guest<'_>,
    kind: u32,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
) -> Answer {
    let (key, value) = (read_key(guest, key, key_size)?, abi::read(guest, value, value_size)?);
    let map = map_to_change(guest.data_mut(), kind)?;
    let Some(at) = map.iter().position(|(name, _)| *name == key) else {
        map.push((key, value));
        return Ok(());
    };
    let mut idx = 0;
    map.retain(|(name, _)| {
        idx += 1;
        *name != key || idx - 1 == at
    });
    if let Some(pair) = map.iter_mut().find(|(name, _)| *name == key) {
        pair.1 = value;
    }
    Ok(())
}

fn remove_header_map_value(guest: &mut Guest<'_>, kind: u32, key: u32, key_size: u32) -> Answer {
    let key = read_key(guest, key, key_size)?;
    map_to_change(guest.data_mut(), kind)?.retain(|(name, _)| *name != key);
    Ok(())
}

fn get_header_map_size(guest: &mut Guest<'_>, kind: u32, size_out: u32) -> Answer {
    let map = map_to_change(guest.data_mut(), kind)?;
    let size: usize = map.iter().map(|(name, value)| name.len() + value.len()).sum();
    abi::write_u32(guest, size_out, u32::try_from(size).unwrap_or(u32::MAX))
}

fn get_property(guest: &mut Guest<'_>, path: u32, path_size: u32, data_out: u32, size_out: u32) -> Answer {
    let path = abi::read(guest, path, path_size)?;
    let value = properties::property(guest.data(), &path)?;
    abi::give(guest, &value, data_out, size_out)
}

fn set_property(guest: &mut Guest<'_>, path: u32, path_size: u32, value: u32, value_size: u32) -> Answer {
    let (path, value) = (abi::read(guest, path, path_size)?, abi::read(guest, value, value_size)?);
    let stream = guest.data_mut().own_stream().ok_or(Status::NotFound)?;
    stream.filter_state.insert(path, value);
    Ok(())
}

fn get_shared_data(
    guest: &mut Guest<'_>,
    key: u32,
    key_size: u32,
    data_out: u32,
    size_out: u32,
    cas_out: u32,
) -> Answer {
    let key = abi::read(guest, key, key_size)?;
    let (value, cas) = guest.data().shared_data.get(&key).cloned().ok_or(Status::NotFound)?;
    abi::give(guest, &value, data_out, size_out)?;
    abi::write_u32(guest, cas_out, cas)
}

fn set_shared_data(
    guest: &mut Guest<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    cas: u32,
) -> Answer {
    let (key, value) = (abi::read(guest, key, key_size)?, abi::read(guest, value, value_size)?);
    let state = guest.data_mut();
    let current = state.shared_data.get(&key).map(|(_, cas)| *cas);
    if cas != 0 && current.is_some_and(|current| current != cas) {
        return Err(Status::CasMismatch.into());
    }
    state.next_cas += 1;
    state.shared_data.insert(key, (value, state.next_cas));
    Ok(())
}

fn register_shared_queue(guest: &mut Guest<'_>, name: u32, name_size: u32, id_out: u32) -> Answer {
    let name = abi::read(guest, name, name_size)?;
    let state = guest.data_mut();
    let id = state.queues.register(&state.vm_id, &name);
    abi::write_u32(guest, id_out, id)
}

fn resolve_shared_queue(
    guest: &mut Guest<'_>,
    vm: u32,
    vm_size: u32,
    name: u32,
    name_size: u32,
    id_out: u32,
) -> Answer {
    let (vm, name) = (abi::read_text(guest, vm, vm_size)?, abi::read(guest, name, name_size)?);
    let id = guest.data().queues.resolve(&vm, &name).ok_or(Status::NotFound)?;
    abi::write_u32(guest, id_out, id)
}

fn enqueue_shared_queue(guest: &mut Guest<'_>, id: u32, value: u32, value_size: u32) -> Answer {
    let value = abi::read(guest, value, value_size)?;
    Ok(guest.data_mut().queues.enqueue(id, value).ok_or(Status::NotFound)?)
}

fn dequeue_shared_queue(guest: &mut Guest<'_>, id: u32, data_out: u32, size_out: u32) -> Answer {
    let item = guest.data_mut().queues.dequeue(id).ok_or(Status::NotFound)?.ok_or(Status::Empty)?;
    abi::give(guest, &item, data_out, size_out)
}

fn define_metric(guest: &mut Guest<'_>, kind: u32, name: u32, name_size: u32, id_out: u32) -> Answer {
    let name = abi::read_text(guest, name, name_size)?;
    let id = guest.data_mut().metrics.define(kind, name)?;
    abi::write_u32(guest, id_out, id)
}

fn increment_metric(guest: &mut Guest<'_>, id: u32, offset: i64) -> Answer {
    Ok(guest.data_mut().metrics.increment(id, offset)?)
}

fn record_metric(guest: &mut Guest<'_>, id: u32, value: u64) -> Answer {
    Ok(guest.data_mut().metrics.record(id, value)?)
}

fn get_metric(guest: &mut Guest<'_>, id: u32, out: u32) -> Answer {
    let value = guest.data_mut().metrics.read(id)?;
    abi::write_u64(guest, out, value)
}

fn continue_stream(guest: &mut Guest<'_>, kind: u32) -> Answer {
    let direction = match kind {
        0 => Direction::Request,
        1 => Direction::Response,
        _ => return Err(Status::BadArgument.into()),
    };
    if let Some(stream) = guest.data_mut().own_stream() {
        stream.resume(direction);
    }
    Ok(())
}

fn close_stream(guest: &mut Guest<'_>, kind: u32) -> Answer {
    if kind > 3 {
        return Err(Status::BadArgument.into());
    }
    if let Some(stream) = guest.data_mut().own_stream() {
        stream.reset = true;
    }
    Ok(())
}

fn send_local_response(
    guest: &mut Guest<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc_status: i32,
) -> Answer {
    let reply = LocalReply {
        status: u16::try_from(status).map_err(|_| Status::BadArgument)?,
        headers: abi::read_pairs(guest, headers, headers_size)?,
        body: abi::read(guest, body, body_size)?,
        details: abi::read_text(guest, details, details_size)?,
        grpc_status,
    };
    if let Some(stream) = guest.data_mut().own_stream() {
        stream.local.get_or_insert(reply);
    }
    Ok(())
}

fn http_call(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout_ms: u32,
    token_out: u32,
) -> Answer {
    let mut callout = Callout {
        token: 0,
        root_id: guest.data().effective_root(),
        cluster: abi::read_text(guest, cluster, cluster_size)?,
        headers: abi::read_pairs(guest, headers, headers_size)?,
        body: abi::read(guest, body, body_size)?,
        trailers: abi::read_pairs(guest, trailers, trailers_size)?,
        timeout: Duration::from_millis(timeout_ms.into()),
        at_ns: guest.data().clock_ns,
    };
    let wanting = [":method", ":path", ":authority"].iter().any(|name| callout.header(name).is_none());
    let callouts = &mut guest.data_mut().callouts;
    if wanting || callouts.unknown_clusters.contains(&callout.cluster) {
        return Err(Status::BadArgument.into());
    }
    callout.token = callouts.next_token();
    let token = callout.token;
    callouts.dispatch(callout);
    abi::write_u32(guest, token_out, token)
}

fn set_effective_context(guest: &mut Guest<'_>, id: u32) -> Answer {
    let state = guest.data_mut();
    let known = state.tick_periods_ms.contains_key(&id)
        || state.stream.as_ref().is_some_and(|stream| stream.id == id);
    if !known {
        return Err(Status::BadArgument.into());
    }
    state.effective = id;
    Ok(())
}

fn done(_: &mut Guest<'_>) -> Answer {
    Ok(())
}

fn call_foreign_function(_: &mut Guest<'_>, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
    Err(Status::NotFound.into())
}

fn read_key(guest: &Guest<'_>, key: u32, size: u32) -> Answer<Vec<u8>> {
    Ok(abi::read(guest, key, size)?.to_ascii_lowercase())
}

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_TRAILERS: u32 = 7;
