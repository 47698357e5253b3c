//! The proxy-wasm ABI as bytes: status codes, pair lists, and the guest's memory.

use wasmtime::Caller;

use super::state::HostState;
use crate::wire::Headers;

/// The status codes of `proxy_*` functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// Why a host function did not answer Ok: a status for the guest, or a trap in the guest's own allocator.
#[derive(Debug)]
pub(crate) enum Refusal {
    Status(Status),
    Trap(wasmtime::Error),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

pub(crate) type Answer<T = ()> = Result<T, Refusal>;
pub(crate) type Guest<'c> = Caller<'c, HostState>;

pub(crate) fn read(guest: &Guest<'_>, address: u32, size: u32) -> Answer<Vec<u8>> {
    let memory = guest.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    let start = address as usize;
    let bytes = memory.data(guest).get(start..start.saturating_add(size as usize));
    Ok(bytes.ok_or(Status::InvalidMemoryAccess)?.to_vec())
}

pub(crate) fn read_text(guest: &Guest<'_>, address: u32, size: u32) -> Answer<String> {
    Ok(String::from_utf8_lossy(&read(guest, address, size)?).into_owned())
}

/// A malformed list reads as no pairs, without an error: that is what Envoy does.
pub(crate) fn read_pairs(guest: &Guest<'_>, address: u32, size: u32) -> Answer<Headers> {
    if size == 0 {
        return Ok(Headers::new());
    }
    Ok(pairs_from_bytes(&read(guest, address, size)?).unwrap_or_default())
}

pub(crate) fn write(guest: &mut Guest<'_>, address: u32, bytes: &[u8]) -> Answer {
    let memory = guest.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    memory.write(guest, address as usize, bytes).map_err(|_| Refusal::Status(Status::InvalidMemoryAccess))
}

pub(crate) fn write_u32(guest: &mut Guest<'_>, address: u32, value: u32) -> Answer {
    write(guest, address, &value.to_le_bytes())
}

pub(crate) fn write_u64(guest: &mut Guest<'_>, address: u32, value: u64) -> Answer {
    write(guest, address, &value.to_le_bytes())
}

/// Puts bytes into memory that the guest allocates, and their place and size where the guest asked for them.
pub(crate) fn give(guest: &mut Guest<'_>, bytes: &[u8], data_out: u32, size_out: u32) -> Answer {
    let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    let mut address = 0;
    if size > 0 {
        let allocate = guest.data().allocate.clone().ok_or(Status::InvalidMemoryAccess)?;
        address = allocate.call(&mut *guest, size).map_err(Refusal::Trap)?;
        if address == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        write(guest, address, bytes)?;
    }
    write_u32(guest, data_out, address)?;
    write_u32(guest, size_out, size)
}

/// Count, then a pair of sizes for each pair, then names and values, each with a NUL after it.
pub(crate) fn pairs_to_bytes(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |n: usize| bytes.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    put(pairs.len());
    for (name, value) in pairs {
        put(name.len());
        put(value.len());
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// Strict, as Envoy is: every NUL in its place, no byte left over, no list beyond its limits.
pub(crate) fn pairs_from_bytes(bytes: &[u8]) -> Option<Headers> {
    if bytes.len() > PAIRS_BYTES_MAX {
        return None;
    }
    let number = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let count = number(0).filter(|count| *count <= PAIRS_MAX)?;
    let mut text_at = count.checked_mul(8)?.checked_add(4)?;
    let mut take = |size: usize| -> Option<Vec<u8>> {
        let end = text_at.checked_add(size)?;
        let text = bytes.get(text_at..end)?.to_vec();
        text_at = end.checked_add(1)?;
        (bytes.get(end) == Some(&0)).then_some(text)
    };
    let mut pairs = Headers::new();
    for idx in 0..count {
        let name = take(number(4 + idx * 8)?)?;
        let value = take(number(8 + idx * 8)?)?;
        pairs.push((name.to_ascii_lowercase(), value));
    }
    (text_at == bytes.len()).then_some(pairs)
}

const PAIRS_MAX: usize = 1024;
const PAIRS_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_round_trip() {
        let pairs = vec![
            (b"a".to_vec(), b"".to_vec()),
            (b"x-long".to_vec(), vec![0xff, 0xfe]),
            (vec![], b"v".to_vec()),
        ];
        assert_eq!(pairs_from_bytes(&pairs_to_bytes(&pairs)), Some(pairs));
    }

    #[test]
    fn a_list_of_the_wrong_size_is_refused() {
        let mut bytes = pairs_to_bytes(&[(b"a".to_vec(), b"b".to_vec())]);
        bytes.push(0);
        assert_eq!(pairs_from_bytes(&bytes), None);
        bytes.truncate(bytes.len() - 2);
        assert_eq!(pairs_from_bytes(&bytes), None);
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        assert_eq!(pairs_from_bytes(&[255, 255, 255, 255, 0]), None);
        assert_eq!(pairs_from_bytes(&[1]), None);
    }
}
