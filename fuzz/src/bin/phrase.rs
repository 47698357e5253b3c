//! the phrase language of rule packs
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::phrase::run);
