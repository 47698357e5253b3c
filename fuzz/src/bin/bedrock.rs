//! documents of Bedrock converse and invoke, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("bedrock");
