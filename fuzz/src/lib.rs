//! What the fuzz targets share. A target turns bytes into traffic ([`source`], [`document`]), sends it through an
//! exchange ([`drive`]), and holds the outcome to what the core promises ([`law`], [`plant`]).
//!
//! Every file of `bin/` is one target; its first line says what it does. A promise that is broken is a panic, which
//! libFuzzer reports with the input that led to it.

pub mod document;
pub mod drive;
pub mod law;
pub mod plant;
pub mod source;
pub mod targets;

pub use libfuzzer_sys;

/// The whole of a target: hands each input of the fuzzer to a function.
#[macro_export]
macro_rules! target {
    ($run:expr) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| { $run(data) });
    };
}
