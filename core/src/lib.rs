//! The detection core: bytes, headers and time in, steps out.
//!
//! An [`Engine`] is built once from a policy and rule packs and never changes. An [`Exchange`] is one HTTP
//! exchange as a state machine: a host feeds it headers and chunks, applies the [`Step`]s it gets back, and
//! ends it with one [`event::Event`] that carries the coverage [`receipt`]. Nothing here reads a clock, draws a
//! random number, opens a socket or knows which host it runs in; `#![no_std]` keeps that true.
//!
//! Where to start reading: `exchange.rs` (the life of an exchange), `receipt.rs` (what "scanned" means),
//! `traffic/` (bytes to segments), `detect/` (segments to findings), `decide.rs` (findings to an action),
//! `act/` (an action to bytes).
//!
//! Invariant: no function of this crate panics, whatever the bytes. Odd input becomes a finding or a gap.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod act;
mod action;
mod admit;
pub mod config;
pub mod content;
mod decide;
mod detect;
mod engine;
pub mod event;
mod exchange;
mod finding;
mod gen_ai;
pub mod guard;
pub mod hash;
pub mod http;
mod inflate;
mod inspect;
mod intake;
mod lap;
mod length;
mod opinion;
pub mod policy;
pub mod receipt;
mod regex;
pub mod replay;
mod seen;
mod session;
mod span;
mod step;
mod strain;
mod stream;
mod survey;
mod text;
mod trace;
mod traffic;

pub use action::{Action, Direction, Verdict};
pub use admit::{Guards, LimitReached, Peer};
pub use decide::risk_of;
pub use detect::{
    CompactModel, FoldedText, Look, PatternSet, WindowScore, builtin_packs,
    drift::{TOOL_SLOTS, ToolMemory},
    scan_text,
};
pub use engine::{Engine, EngineError, Judgement, RuleSummary, Scan, Sighting};
pub use exchange::{Exchange, HeaderHold, Standing};
pub use finding::Finding;
pub use gen_ai::GenAi;
pub use lap::{Clock, Lap, Layer};
pub use opinion::{Opinion, Question, QuestionText};
pub use seen::Seen;
pub use sentinel_model::{Channel, Family};
pub use session::SessionSeen;
pub use span::Span;
pub use step::{Body, HeaderEdit, Reply, Step, Steps, Time};
pub use strain::{MemoryStrain, Strain};
pub use survey::{Survey, survey};
pub use traffic::{Boundary, Format};
