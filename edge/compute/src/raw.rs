//! What the SDK has no safe call for: the URL as it came, and waiting for an answer no longer than one wants to.
#![allow(unsafe_code, reason = "calls of the host take pointers; every one of them is in this file")]

use std::time::Duration;

use fastly::handle::{PendingRequestHandle, RequestHandle};
use fastly_sys::{fastly_async_io, fastly_http_req};

/// Longer ones are cut off by the host before they come here.
const URI_BYTES_MAX: usize = 64 * 1024;

/// The SDK's own would parse it, and panic where it does not like what a client sent.
pub(crate) fn uri(request: &RequestHandle) -> Vec<u8> {
    let mut bytes = vec![0; URI_BYTES_MAX];
    let mut written = 0;
    // SAFETY: the buffer has the length that is given, and lives until the call is over.
    let status = unsafe {
        fastly_http_req::uri_get(request.as_u32(), bytes.as_mut_ptr(), bytes.len(), &raw mut written)
    };
    bytes.truncate(if status.is_ok() { written } else { 0 });
    bytes
}

/// Whether there is an answer, or an error, by then.
pub(crate) fn is_ready_within(call: &PendingRequestHandle, wait: Duration) -> bool {
    let millis = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
    let handles = [call.as_u32()];
    let mut done = u32::MAX;
    // SAFETY: one handle is there, as is said, and both places live until the call is over.
    let status = unsafe { fastly_async_io::select(handles.as_ptr(), handles.len(), millis, &raw mut done) };
    status.is_err() || done == 0
}
