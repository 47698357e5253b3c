//! bodies with a content-encoding
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::inflate::run);
