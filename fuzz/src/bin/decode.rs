//! encoded texts (base64, hex, percent signs, entities, escapes), in each other
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::decode::run);
