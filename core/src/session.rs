//! The risk of a session at work on one exchange: looked up when the body of the request is there, joined with what is
//! found in it, and noted afterwards.
//!
//! Invariant: a request changes the risk of its session once, and no id that a client sent is kept or told.

use alloc::{string::String, vec::Vec};

use sentinel_model::{Channel, Family};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Direction, Verdict},
    decide::{Decision, Terms, risk_of_attacks},
    detect::{Catalog, Hit, RuleIdx, RuleInfo},
    finding::Finding,
    guard::{
        Sessions, SharedMemory,
        session::{Client, Judged, Lift, Noted, OnQuarantine, Outlook, Session, SessionFinding, SessionKey},
    },
    policy::{Mode, Profile, RuleAction},
    seen::Seen,
    span::Span,
    step::Time,
    text::View,
    traffic::{Extraction, Segment, any_member, string_member},
};

/// Scores of findings are the risk of the session; these are what they come to at least, by default.
const RULES: [(&str, f32); 2] = [("session/crescendo", 0.6), ("session/probing", 0.6)];

pub(crate) fn rule_infos() -> impl Iterator<Item = RuleInfo> {
    RULES.iter().map(|(id, score)| RuleInfo {
        id: String::from(*id),
        version: 1,
        family: Family::Jailbreak,
        level: 1,
        score: *score,
    })
}

const fn rule_of(finding: SessionFinding) -> u16 {
    match finding {
        SessionFinding::Crescendo => 0,
        SessionFinding::Probing => 1,
    }
}

/// How much of the beginning of a conversation tells it from others.
const OPENING_BYTES_MAX: usize = 1024;

/// Members of a body that name its conversation.
const CONVERSATION: [&str; 4] = ["conversation", "conversation_id", "thread_id", "session_id"];

/// In an event: the session that the request belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionSeen {
    /// A part of a keyed number: the same for the same session, and it leads back to nobody.
    pub id: String,
    /// 0 to 1, with this request.
    pub risk: f32,
    /// The session is in quarantine, perhaps since this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_until_ms: Option<u64>,
    /// The quarantine begins with this request.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub began: bool,
    /// Refused for that reason alone, without a look at it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub refused: bool,
}

/// What is known of the session of one exchange.
#[derive(Debug)]
pub(crate) struct Visit {
    client: Client,
    session: Option<Session>,
    outlook: Outlook,
    noted: Noted,
    has_entered: bool,
    is_refused: bool,
}

/// A visit, and where its session is kept.
#[derive(Debug)]
pub(crate) struct Visiting<'a> {
    pub(crate) sessions: &'a Sessions,
    pub(crate) memory: &'a dyn SharedMemory,
    pub(crate) visit: &'a mut Visit,
}

/// What there is to judge about a request, for its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) extraction: &'a Extraction,
    pub(crate) hits: &'a [Hit],
}

impl Visit {
    pub(crate) const fn of(client: Client) -> Self {
        let outlook = Outlook { risk: 0.0, quarantined_until: None, tail: None };
        let noted = Noted { risk: 0.0, finding: None, quarantined_until: None, is_lost: false };
        Self { client, session: None, outlook, noted, has_entered: false, is_refused: false }
    }

    pub(crate) fn tail(&self) -> Option<&str> {
        self.outlook.tail.as_deref()
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.noted.is_lost
    }

    pub(crate) fn quarantined_until(&self) -> Option<Time> {
        self.outlook.quarantined_until.or(self.noted.quarantined_until)
    }

    /// For the event.
    pub(crate) fn seen(&self) -> Option<SessionSeen> {
        Some(SessionSeen {
            id: self.session?.name(),
            risk: self.noted.risk.max(self.outlook.risk),
            quarantined_until_ms: self.quarantined_until().map(Time::millis),
            began: self.noted.quarantined_until.is_some(),
            refused: self.is_refused,
        })
    }
}

impl Visiting<'_> {
    /// Finds the session and what is known of it. Answers whether the request is to be refused for that alone.
    pub(crate) fn enter(&mut self, body: &[u8], extraction: &Extraction, mode: Mode, now: Time) -> bool {
        if !self.visit.has_entered {
            self.visit.has_entered = true;
            self.find(body, extraction);
            let session = self.visit.session;
            self.visit.outlook =
                session.map(|session| self.sessions.outlook(self.memory, session, now)).unwrap_or_default();
        }
        let rejects = self.sessions.policy().on_quarantine == OnQuarantine::Reject;
        let is_refused = rejects && mode == Mode::Enforce && self.visit.quarantined_until().is_some();
        self.visit.is_refused = is_refused;
        is_refused
    }

    fn find(&mut self, body: &[u8], extraction: &Extraction) {
        let wants = |key: &SessionKey| self.sessions.policy().keys.contains(key);
        let text = core::str::from_utf8(body).ok().filter(|_| wants(&SessionKey::Conversation));
        let conversation = text.and_then(conversation);
        let opening = wants(&SessionKey::Prefix).then(|| opening(body, extraction)).flatten();
        self.visit.session =
            self.sessions.session_of(&self.visit.client, conversation.map(str::as_bytes), opening.as_deref());
    }

    /// What the session adds to scores.
    pub(crate) fn lift(&self) -> Lift {
        match self.visit.session {
            Some(_) => self.sessions.lift(&self.visit.outlook),
            None => Lift::default(),
        }
    }

    /// Notes what the request came to by itself, and adds to the decision what its session has come to with it.
    pub(crate) fn note(
        &mut self,
        decision: &mut Decision,
        terms: Terms<'_>,
        catalog: &Catalog,
        first_rule: RuleIdx,
        said: Said<'_>,
        now: Time,
    ) {
        let Some(session) = self.visit.session else { return };
        let (score, fresh, text) = self.scores(terms, catalog, said);
        let user_text = match self.sessions.policy().tail_bytes {
            0 => View::default(),
            _ => user_text(said),
        };
        let judged = Judged { score, fresh, text, user_text: user_text.text() };
        self.visit.noted = self.sessions.note(self.memory, session, &judged, now);
        let Terms { profile, .. } = terms;
        let finding = self.visit.noted.finding.map(|finding| RuleIdx(first_rule.0 + rule_of(finding)));
        if let Some(rule) = finding.and_then(|rule| catalog.rule(rule)) {
            let users = user_run(said.extraction).and_then(|first| said.extraction.segments.get(first));
            let span = users.map(|segment| segment.span).unwrap_or_default();
            let exempt = terms.exempt.reason(&rule.id, rule.family);
            decision.add(profile, rule, span, self.visit.noted.risk, exempt);
        }
        if self.visit.quarantined_until().is_some() {
            decision.verdict = decision.verdict.max(Verdict::Suspicious);
            decision.raise(profile.mode, self.on_quarantine());
        }
    }

    pub(crate) fn on_quarantine(&self) -> Action {
        match self.sessions.policy().on_quarantine {
            OnQuarantine::Reject => Action::Block,
            OnQuarantine::Tag => Action::Tag,
        }
    }

    /// What attacks in the request come to, what those in its new part do, and a number of the texts that they are in.
    fn scores(&self, terms: Terms<'_>, catalog: &Catalog, said: Said<'_>) -> (f32, f32, u128) {
        let counts = |hit: &Hit| catalog.rule(hit.rule).is_some_and(|rule| rule.family.raises_risk());
        let attacks: Vec<&Hit> = said.hits.iter().filter(|hit| counts(hit)).collect();
        if attacks.is_empty() {
            return (0.0, 0.0, 0);
        }
        let last_answer =
            said.extraction.segments.iter().filter(|segment| segment.channel == Channel::Assistant);
        let fresh_from = last_answer.map(|segment| segment.span.end).max().unwrap_or(0);
        let is_fresh = |hit: &Hit| {
            let is_constant =
                matches!(hit.channel, Channel::System | Channel::Developer | Channel::ToolDefinition);
            !is_constant && hit.span.start >= fresh_from
        };
        let score = risk_of_attacks(&terms, catalog, attacks.iter().copied());
        let fresh = risk_of_attacks(&terms, catalog, attacks.iter().copied().filter(|hit| is_fresh(hit)));
        let mut runs: Vec<u32> = attacks.iter().map(|hit| hit.segment).collect();
        runs.sort_unstable();
        runs.dedup();
        let texts = runs.iter().flat_map(|run| said.extraction.run(*run as usize));
        let texts: Vec<&[u8]> = texts.map(|segment| segment.span.of(said.body)).collect();
        (score, fresh, self.sessions.number(&texts))
    }
}

impl Decision {
    /// What was found out beyond the body. It moves no score of the body's own.
    pub(crate) fn add(
        &mut self,
        profile: &Profile,
        rule: &RuleInfo,
        span: Span,
        score: f32,
        exempt: Option<&str>,
    ) {
        let channel = Channel::User;
        if !profile.uses(channel, &rule.id, rule.family, rule.level) {
            return;
        }
        let action = match exempt {
            Some(_) => RuleAction::Monitor,
            None => profile.action_on(channel, &rule.id, rule.family),
        };
        self.list(Finding {
            rule: rule.id.clone(),
            version: rule.version,
            family: rule.family,
            channel,
            direction: Direction::Request,
            view: Seen::Folded,
            start: span.start,
            end: span.end,
            score,
            moved: 0.0,
            contexts: Vec::new(),
            shadow: action == RuleAction::Monitor && exempt.is_none(),
            exempt: exempt.map(String::from),
        });
        let (wanted, verdict) = match action {
            RuleAction::Off | RuleAction::Monitor => (Action::Allow, Verdict::Clean),
            RuleAction::Block => (Action::Block, Verdict::Malicious),
            RuleAction::Score | RuleAction::Tag | RuleAction::Mask => (Action::Tag, Verdict::Suspicious),
        };
        self.verdict = self.verdict.max(verdict);
        self.raise(profile.mode, wanted);
    }
}

/// Where the user speaks last.
pub(crate) fn user_run(extraction: &Extraction) -> Option<usize> {
    let is_users =
        |segment: &Segment| segment.channel == Channel::User && segment.is_text && !segment.continues;
    extraction.segments.iter().rposition(is_users)
}

fn user_text(said: Said<'_>) -> View {
    let mut view = View::default();
    let run = user_run(said.extraction).into_iter().flat_map(|first| said.extraction.run(first));
    for (part, segment) in run.enumerate() {
        if part > 0 {
            view.separate(segment.span.start);
        }
        let text = core::str::from_utf8(segment.span.of(said.body)).unwrap_or_default();
        view.append(text, segment.span.start, segment.layers);
    }
    view
}

fn conversation(body: &str) -> Option<&str> {
    let named = any_member(body, &CONVERSATION)?;
    match named.starts_with('{') {
        true => string_member(named, "id"),
        false => named.strip_prefix('"')?.strip_suffix('"'),
    }
}

/// What the operator says first, and what the user does.
fn opening(body: &[u8], extraction: &Extraction) -> Option<Vec<u8>> {
    let first = |is_meant: fn(Channel) -> bool| {
        extraction.segments.iter().find(|segment| segment.is_text && is_meant(segment.channel))
    };
    let operator = first(|channel| matches!(channel, Channel::System | Channel::Developer));
    let user = first(|channel| channel == Channel::User)?;
    let texts = operator.into_iter().chain([user]).map(|segment| segment.span.of(body));
    let half = |text: &[u8]| text.get(..OPENING_BYTES_MAX / 2).unwrap_or(text).to_vec();
    Some(texts.map(half).collect::<Vec<_>>().join(&0))
}
