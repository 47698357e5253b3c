//! What a host is told to do. Hosts apply steps in order and decide nothing themselves.

use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};

use crate::{guard::rates::Want, opinion::Question};

/// Nanoseconds since the Unix epoch, as the host's clock says. The core never asks for the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// Caller-owned list that every entry point appends to, so that its memory is reused.
pub type Steps = Vec<Step>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep headers and bytes of this direction where they are, and feed what comes next. After a release in the same
    /// list: the rest of what came is kept by the core, and a host that has to may send what was released later.
    Hold,
    /// After [`Step::Hold`]: there is more to do for this direction. Let others go first, then call
    /// [`Exchange::go_on`](crate::Exchange::go_on).
    Later,
    /// After [`Step::Hold`]: ask for a second opinion, and hand what comes, or that nothing came in time, to
    /// [`Exchange::answer`](crate::Exchange::answer).
    Ask(Question),
    /// Ask the collector for a share of these shared limits. Nothing waits for it.
    Lease(Vec<Want>),
    /// Change the headers of this direction. They are held, or about to be released by the next step.
    Headers(Vec<HeaderEdit>),
    /// Everything of this direction that is held so far may go on.
    Release(Body),
    /// What was just released is the last of this direction: whatever else comes is dropped, and the sender may be
    /// stopped.
    End,
    /// Answer the client now. Nothing that is held may go on, and nothing more is fed to this exchange.
    Reply(Reply),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The held bytes go on unchanged: no copy, no new length.
    AsReceived,
    /// These bytes go on instead of all that is held.
    Replaced(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    Set(Cow<'static, str>, String),
    Remove(Cow<'static, str>),
}

impl HeaderEdit {
    pub fn set(name: &'static str, value: impl ToString) -> Self {
        Self::Set(Cow::Borrowed(name), value.to_string())
    }

    pub fn remove(name: &'static str) -> Self {
        Self::Remove(Cow::Borrowed(name))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// For the proxy's access log, such as `sentinel_block{rule=injection/ignore-instructions}`.
    pub details: String,
}
