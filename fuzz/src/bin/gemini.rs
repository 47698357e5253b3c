//! documents of Gemini generateContent, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("gemini");
