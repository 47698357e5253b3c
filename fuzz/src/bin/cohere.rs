//! documents of Cohere chat, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("cohere");
