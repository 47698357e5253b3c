//! uploads (multipart/form-data)
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::multipart::run);
