//! signed bundles: bytes of any kind, and bundles that were changed after they were signed
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::bundle::run);
