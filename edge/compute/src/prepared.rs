//! What all instances begin with: the rules, compiled, and the model, opened. `cargo xtask build --edge` calls this once, where
//! every call of the host is an error, and ships the program as its memory is then: no clock, no chance and no configuration
//! can be in it.
#![allow(unsafe_code, reason = "what is called from outside needs a name that nothing else has")]

use std::sync::Mutex;

use sentinel_adapter::builder::Builder;

use crate::heap::HEAP;

static PREPARED: Mutex<Option<Builder>> = Mutex::new(None);

/// Answers whether it worked.
// SAFETY: nothing else in the program has this name.
#[unsafe(export_name = "sentinel-prepare")]
extern "C" fn prepare() -> i32 {
    let built = HEAP.settling(Builder::prepared);
    let (Ok(builder), Ok(mut prepared)) = (built, PREPARED.lock()) else { return 0 };
    *prepared = Some(builder);
    1
}

/// In a program that was not prepared, all of it is left to be built. What is prepared stays, so that an instance that ends does
/// not take it apart.
pub(crate) fn builder() -> Builder {
    PREPARED.lock().ok().and_then(|prepared| prepared.clone()).unwrap_or_default()
}
