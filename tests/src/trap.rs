//! The built filter with a fault in it, since it has none of its own that could be called up: a request with very many
//! headers traps. Nothing else about the module is changed.

use anyhow::{Context, Result, ensure};

/// So many headers are a trap.
pub const TRAP_HEADERS: u32 = 60;

/// `wasm` with a function in front of the callback for request headers that traps on [`TRAP_HEADERS`] or more.
pub fn with_trap(wasm: &[u8]) -> Result<Vec<u8>> {
    let sections = sections(wasm)?;
    let of = |id: u8| sections.iter().find(|section| section.id == id).map(|section| section.payload);
    let functions = of(FUNCTION).context("no functions")?;
    let (n_functions, types) = number(functions)?;
    let n_imported = imported_functions(of(IMPORT).context("no imports")?)?;
    let exports = of(EXPORT).context("no exports")?;
    let callback = export_index(exports)?;
    let type_of_callback = nth_number(types, callback.checked_sub(n_imported).context("it is imported")?)?;
    let ours = n_imported + n_functions;
    let mut out = wasm.get(..8).context("no header")?.to_vec();
    for Section { id, payload } in sections {
        let payload = match id {
            FUNCTION => appended(payload, &leb(type_of_callback))?,
            CODE => appended(payload, &guard(callback))?,
            EXPORT => exported_instead(payload, callback, ours)?,
            _ => payload.to_vec(),
        };
        out.push(id);
        out.extend(leb(u32::try_from(payload.len())?));
        out.extend(payload);
    }
    Ok(out)
}

const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const EXPORT: u8 = 7;
const CODE: u8 = 10;
const CALLBACK: &[u8] = b"proxy_on_request_headers";

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

/// `if headers >= TRAP_HEADERS { unreachable }`, and then the callback itself.
fn guard(callback: u32) -> Vec<u8> {
    let mut code = vec![0x00, 0x20, 0x01, 0x41];
    // A signed number: its seventh bit is the sign.
    code.extend([0x80 | (TRAP_HEADERS & 0x7f) as u8, 0x00]);
    code.extend([0x4f, 0x04, 0x40, 0x00, 0x0b, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0x10]);
    code.extend(leb(callback));
    code.push(0x0b);
    [leb(code.len() as u32), code].concat()
}

/// A list with one more element.
fn appended(payload: &[u8], element: &[u8]) -> Result<Vec<u8>> {
    let (count, elements) = number(payload)?;
    Ok([&leb(count + 1), elements, element].concat())
}

fn export_index(payload: &[u8]) -> Result<u32> {
    let at = payload.windows(CALLBACK.len()).position(|window| window == CALLBACK);
    let behind = payload.get(at.context("the callback is not exported")? + CALLBACK.len() + 1..);
    Ok(number(behind.context("an export is cut")?)?.0)
}

fn exported_instead(payload: &[u8], callback: u32, ours: u32) -> Result<Vec<u8>> {
    let entry = |index: u32| [CALLBACK, &[0], &leb(index)].concat();
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
