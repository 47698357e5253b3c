//! documents of OpenAI chat completions, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("openai_chat");
