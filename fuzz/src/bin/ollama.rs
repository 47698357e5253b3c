//! documents of Ollama chat and generate, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("ollama");
