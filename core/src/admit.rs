//! Limits at work on one exchange: counted when its headers come, corrected when its answer says what was used.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    guard::{
        HashKey, Limiter, Sessions, SharedMemory, Usage,
        rates::{Admission, Admitted, Refused, Want, Who, WhoPolicy, Why, estimated_tokens},
    },
    http::{self, Headers},
    policy::Policy,
    session::{Visit, Visiting},
    step::{HeaderEdit, Time},
};

/// What looks beyond one exchange, as one policy wants it. Made once, and shared by all exchanges.
#[derive(Debug)]
pub struct Guards {
    limiter: Limiter,
    /// Unless policy has none.
    sessions: Option<Sessions>,
    who: WhoPolicy,
}

/// Who is at the other end, as far as only a host knows.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// With or without a port.
    pub address: String,
    /// A claim of a token that the proxy has verified.
    pub user: Option<Vec<u8>>,
    /// From the proxy's configuration.
    pub tenant: Option<Vec<u8>>,
}

/// In an event: a limit that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitReached {
    pub limit: String,
    /// Refused, or only tagged.
    pub refused: bool,
    /// What kept the request from being counted in, where that was not the limit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The limits of one exchange.
#[derive(Debug)]
pub(crate) struct Gate {
    guards: Arc<Guards>,
    memory: Box<dyn SharedMemory>,
    peer: Peer,
    admitted: Admitted,
    usage: Usage,
    reached: Vec<LimitReached>,
    visit: Option<Visit>,
    subject: Option<String>,
}

/// Longer ones are cut: a header may have any length.
const SUBJECT_CHARS_MAX: usize = 256;

impl Guards {
    /// The key must be the same for all that count together, and nobody else's.
    pub fn new(policy: &Policy, key: HashKey) -> Self {
        let wanted = policy.session.is_on();
        let sessions = wanted.then(|| Sessions::new(policy.session.clone(), key));
        Self { limiter: Limiter::new(&policy.rates, key), sessions, who: policy.rates.who.clone() }
    }

    /// Before there is traffic.
    pub fn prepare(&self, memory: &dyn SharedMemory) {
        self.limiter.prepare(memory);
        if let Some(sessions) = &self.sessions {
            sessions.prepare(memory);
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.limiter.is_empty() && self.sessions.is_none() && !self.who.name_in_events
    }

    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

impl Gate {
    pub(crate) fn new(guards: Arc<Guards>, memory: Box<dyn SharedMemory>, peer: Peer) -> Self {
        let (admitted, usage) = (Admitted::default(), Usage::default());
        Self { guards, memory, peer, admitted, usage, reached: Vec::new(), visit: None, subject: None }
    }

    /// What the headers say of the session. `tenant` is one that policy knows.
    pub(crate) fn meet(&mut self, headers: &Headers<'_>, route: &str, tenant: Option<&str>) {
        let tenant = self.peer.tenant.as_deref().or(tenant.map(str::as_bytes));
        let who = Who { headers, peer: &self.peer.address, user: self.peer.user.as_deref(), tenant, route };
        if self.guards.who.name_in_events {
            let user = self.guards.who.user(&who).map(<[u8]>::trim_ascii).filter(|user| !user.is_empty());
            self.subject =
                user.map(|user| String::from_utf8_lossy(user).chars().take(SUBJECT_CHARS_MAX).collect());
        }
        let Some(sessions) = &self.guards.sessions else { return };
        self.visit = Some(Visit::of(sessions.client(&who, &self.guards.who)));
    }

    /// Whom the event is about, if events are to say so.
    pub(crate) fn take_subject(&mut self) -> Option<String> {
        self.subject.take()
    }

    pub(crate) const fn visit(&self) -> Option<&Visit> {
        self.visit.as_ref()
    }

    pub(crate) fn visiting(&mut self) -> Option<Visiting<'_>> {
        let sessions = self.guards.sessions.as_ref()?;
        Some(Visiting { sessions, memory: self.memory.as_ref(), visit: self.visit.as_mut()? })
    }

    /// Counts the request. A refusal is noted here, too; whether it is followed is up to the caller.
    pub(crate) fn admit(
        &mut self,
        headers: &Headers<'_>,
        route: &str,
        now: Time,
        wants: &mut Vec<Want>,
    ) -> Option<Refused> {
        let who = Who {
            headers,
            peer: &self.peer.address,
            user: self.peer.user.as_deref(),
            tenant: self.peer.tenant.as_deref(),
            route,
        };
        let bytes = http::content_length(headers).and_then(|length| usize::try_from(length).ok());
        let tokens =
            if self.guards.limiter.counts_tokens() { estimated_tokens(bytes.unwrap_or(0)) } else { 0 };
        match self.guards.limiter.admit(self.memory.as_ref(), &who, tokens, now) {
            Admission::Admitted(mut admitted) => {
                wants.append(&mut admitted.wants);
                let over = admitted.over.iter();
                self.reached.extend(over.map(|limit| LimitReached {
                    limit: limit.clone(),
                    refused: false,
                    why: None,
                }));
                self.admitted = admitted;
                None
            }
            Admission::Refused(mut refused) => {
                wants.append(&mut refused.wants);
                let why =
                    (refused.why != Why::Spent).then(|| format!("{:?}", refused.why).to_ascii_lowercase());
                self.reached.push(LimitReached { limit: refused.limit.clone(), refused: true, why });
                Some(refused)
            }
        }
    }

    /// It was refused, and only watching: it goes on, uncounted.
    pub(crate) fn only_watch(&mut self) {
        self.reached.iter_mut().for_each(|reached| reached.refused = false);
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.reached.is_empty()
    }

    pub(crate) const fn could_not_count(&self) -> bool {
        self.admitted.uncounted
    }

    pub(crate) fn counts_tokens(&self) -> bool {
        self.guards.limiter.counts_tokens()
    }

    /// An answer, or an event of one.
    pub(crate) fn read_usage(&mut self, text: &str) {
        self.usage.read(text);
    }

    pub(crate) fn usage_of_stream(&mut self, usage: &Usage) {
        self.usage = *usage;
    }

    /// For the answer's headers.
    pub(crate) fn quota_headers(&self) -> Vec<HeaderEdit> {
        let Some(quota) = self.admitted.quota else { return Vec::new() };
        Vec::from([
            HeaderEdit::set("ratelimit-limit", quota.limit),
            HeaderEdit::set("ratelimit-remaining", quota.remaining),
            HeaderEdit::set("ratelimit-reset", quota.reset_s),
        ])
    }

    /// The exchange is over. One that never went upstream has used nothing.
    pub(crate) fn settle(self, has_gone: bool, now: Time) -> Vec<LimitReached> {
        let used = if has_gone { self.usage.total() } else { Some(0) };
        if let Some(used) = used {
            self.guards.limiter.settle(self.memory.as_ref(), &self.admitted.spent, used, now);
        }
        self.reached
    }
}
