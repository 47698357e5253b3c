//! server-sent events, as any bytes and as an answer spread over events
#![no_main]

use sentinel_fuzz::targets::stream::{Framing, run};

sentinel_fuzz::target!(|data| run(Framing::ServerSentEvents, data));
