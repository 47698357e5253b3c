//! documents of OpenAI completions, embeddings, moderations, images, speech; rerank, bent out of shape
#![no_main]

sentinel_fuzz::format_target!("openai_text");
