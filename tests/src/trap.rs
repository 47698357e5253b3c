//! A built module with a fault in it, since it has none of its own that could be called up: a request with very many headers
//! traps in the filter. Nothing else about the module is changed.

use anyhow::{Context, Result, ensure};

/// So many headers are a trap.
pub const TRAP_HEADERS: u32 = 60;

/// Where a fault is, and what calls it up.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// The exported function that traps.
    pub export: &'static str,
    /// Which of its parameters decides, and from what number on.
    pub parameter: u32,
    pub at_least: u32,
}

/// The built filter, trapping on [`TRAP_HEADERS`] or more.
pub fn with_trap(wasm: &[u8]) -> Result<Vec<u8>> {
    let trap = Trap { export: "proxy_on_request_headers", parameter: 1, at_least: TRAP_HEADERS };
    with_trap_in(wasm, trap)
}

/// `wasm` with a function in front of the exported one that traps.
pub fn with_trap_in(wasm: &[u8], trap: Trap) -> Result<Vec<u8>> {
    let sections = sections(wasm)?;
    let of = |id: u8| sections.iter().find(|section| section.id == id).map(|section| section.payload);
    let functions = of(FUNCTION).context("no functions")?;
    let (n_functions, types) = number(functions)?;
    let n_imported = imported_functions(of(IMPORT).context("no imports")?)?;
    let exports = of(EXPORT).context("no exports")?;
    let callback = export_index(exports, trap.export)?;
    let type_of_callback = nth_number(types, callback.checked_sub(n_imported).context("it is imported")?)?;
    let n_parameters = n_parameters(of(TYPE).context("no types")?, type_of_callback)?;
    let ours = n_imported + n_functions;
    let mut out = wasm.get(..8).context("no header")?.to_vec();
    for Section { id, payload } in sections {
        let payload = match id {
            FUNCTION => appended(payload, &leb(type_of_callback))?,
            CODE => appended(payload, &guard(callback, trap, n_parameters))?,
            EXPORT => exported_instead(payload, trap.export, callback, ours)?,
            _ => payload.to_vec(),
        };
        out.push(id);
        out.extend(leb(u32::try_from(payload.len())?));
        out.extend(payload);
    }
    Ok(out)
}

const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const EXPORT: u8 = 7;
const CODE: u8 = 10;

struct Section<'a> {
    id: u8,
    payload: &'a [u8],
}

fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>> {
    ensure!(wasm.starts_with(b"\0asm\x01\0\0\0"), "this is no wasm module");
    let (mut rest, mut list) = (wasm.get(8..).unwrap_or_default(), Vec::new());
    while let Some((id, behind)) = rest.split_first() {
        let (len, behind) = number(behind)?;
        let (payload, behind) = behind.split_at_checked(len as usize).context("a section is cut")?;
        list.push(Section { id: *id, payload });
        rest = behind;
    }
    Ok(list)
}

/// `if parameter >= at_least { unreachable }`, and then the function itself.
fn guard(callback: u32, trap: Trap, n_parameters: u32) -> Vec<u8> {
    const LOCAL_GET: u8 = 0x20;
    let mut code = vec![0x00, LOCAL_GET];
    code.extend(leb(trap.parameter));
    code.push(0x41);
    code.extend(signed_leb(trap.at_least));
    code.extend([0x4f, 0x04, 0x40, 0x00, 0x0b]);
    for parameter in 0..n_parameters {
        code.push(LOCAL_GET);
        code.extend(leb(parameter));
    }
    code.push(0x10);
    code.extend(leb(callback));
    code.push(0x0b);
    [leb(code.len() as u32), code].concat()
}

/// A list with one more element.
fn appended(payload: &[u8], element: &[u8]) -> Result<Vec<u8>> {
    let (count, elements) = number(payload)?;
    Ok([&leb(count + 1), elements, element].concat())
}

/// As an export is written: its length, and then its letters.
fn name_of(export: &str) -> Vec<u8> {
    [leb(export.len() as u32), export.as_bytes().to_vec()].concat()
}

fn export_index(payload: &[u8], export: &str) -> Result<u32> {
    let name = name_of(export);
    let at = payload.windows(name.len()).position(|window| window == name);
    let behind = payload.get(at.context("the function is not exported")? + name.len() + 1..);
    Ok(number(behind.context("an export is cut")?)?.0)
}

fn exported_instead(payload: &[u8], export: &str, callback: u32, ours: u32) -> Result<Vec<u8>> {
    let entry = |index: u32| [name_of(export), vec![0], leb(index)].concat();
    let (before, after) = (entry(callback), entry(ours));
    let at = payload.windows(before.len()).position(|window| window == before).context("no such export")?;
    let (front, back) = payload.split_at(at);
    Ok([front, &after, back.get(before.len()..).unwrap_or_default()].concat())
}

fn imported_functions(payload: &[u8]) -> Result<u32> {
    let (count, mut rest) = number(payload)?;
    let mut n = 0;
    for _ in 0..count {
        for _ in ["module", "name"] {
            let (len, behind) = number(rest)?;
            rest = behind.get(len as usize..).context("an import is cut")?;
        }
        let (kind, behind) = rest.split_first().context("an import is cut")?;
        ensure!(*kind == 0, "something else than a function is imported");
        n += 1;
        rest = number(behind)?.1;
    }
    Ok(n)
}

/// Of a function's type.
fn n_parameters(types: &[u8], wanted: u32) -> Result<u32> {
    let (_, mut rest) = number(types)?;
    for idx in 0.. {
        let behind = rest.strip_prefix(&[0x60]).context("a type is that of no function")?;
        let (n_parameters, behind) = number(behind)?;
        if idx == wanted {
            return Ok(n_parameters);
        }
        let behind = behind.get(n_parameters as usize..).context("a type is cut")?;
        let (n_results, behind) = number(behind)?;
        rest = behind.get(n_results as usize..).context("a type is cut")?;
    }
    anyhow::bail!("no such type")
}

fn nth_number(mut list: &[u8], n: u32) -> Result<u32> {
    for _ in 0..n {
        list = number(list)?.1;
    }
    Ok(number(list)?.0)
}

/// A LEB128 number in front of some bytes, and the bytes behind it.
fn number(bytes: &[u8]) -> Result<(u32, &[u8])> {
    let mut value = 0;
    for (idx, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f) << (7 * idx);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(idx + 1..).unwrap_or_default()));
        }
    }
    anyhow::bail!("a number has no end")
}

fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Its seventh bit is the sign.
fn signed_leb(value: u32) -> Vec<u8> {
    let mut bytes = leb(value);
    if let Some(last) = bytes.last_mut().filter(|last| **last & 0x40 != 0) {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}
