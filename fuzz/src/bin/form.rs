//! forms (application/x-www-form-urlencoded)
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::form::run);
