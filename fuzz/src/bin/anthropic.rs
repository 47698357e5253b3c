//! documents of Anthropic messages, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("anthropic");
