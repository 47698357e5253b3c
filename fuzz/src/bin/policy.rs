//! any bytes as the plugin configuration
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::policy::run);
