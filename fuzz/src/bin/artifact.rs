//! model artefacts: bytes of any kind, and models with changes in them, read over any text
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::artifact::run);
