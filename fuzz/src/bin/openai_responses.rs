//! documents of OpenAI responses, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("openai_responses");
