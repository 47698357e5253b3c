//! NDJSON, as any bytes and as an answer spread over lines
#![no_main]

use sentinel_fuzz::targets::stream::{Framing, run};

sentinel_fuzz::target!(|data| run(Framing::Lines, data));
