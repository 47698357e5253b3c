//! any bytes as a JSON request, held to what serde_json accepts
#![no_main]

sentinel_fuzz::target!(sentinel_fuzz::targets::json::run);
