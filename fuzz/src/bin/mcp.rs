//! documents of MCP over JSON-RPC, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("mcp");
