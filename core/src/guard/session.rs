//! What a session has come to: a risk that requests raise and time takes away, in a [`Table`] that VMs share.
//!
//! Three things show only over several requests. Many middling scores add up (crescendo). Somebody who sends one variant
//! after the other just below the threshold, or is refused again and again, looks for a way through (probing). And an
//! attack can be cut into two requests; for this the end of the last text can be kept, if policy asks for it.
//!
//! Invariant: a session whose requests all score below the floor has no risk, however long it is.

mod policy;
#[cfg(test)]
mod tests;

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

pub use policy::{OnQuarantine, SessionKey, SessionPolicy};

use super::{
    HashKey, SharedMemory, Table,
    hash_key::KeyedHasher,
    rates::{Part, Who, WhoPolicy, api_key},
    record::{Fields, Writer},
    table::{Change, Id, Kept},
};
use crate::step::Time;

/// Texts of a session that are known again, so that one who sends the same twice is not taken for a prober.
const RECENT_MAX: usize = 4;
const FIXED_BYTES: u16 = 4 + 8 + 8 + 4 + 4 * RECENT_MAX as u16 + 2;
const LAYOUT: u16 = 1;

/// Risk is counted in these parts, and probes in these parts of one, so that all hosts come to the same.
const WHOLE: u32 = 1 << 20;

#[derive(Debug)]
pub struct Sessions {
    policy: SessionPolicy,
    key: HashKey,
    table: Table,
}

/// Whose session a request can belong to, and what of its keys the headers have: all that is known before the body.
#[derive(Clone, Debug)]
pub struct Client {
    hasher: KeyedHasher,
    /// The first of the keys that does not need the body, and where it stands among them.
    named: Option<(usize, Session)>,
}

/// One session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    id: Id,
}

/// What a session adds to the scores of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    floor: f32,
    part: f32,
}

/// What is known before a request is judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// 0 to 1.
    pub risk: f32,
    pub quarantined_until: Option<Time>,
    /// The end of the last text of the user, if policy has it kept and it is not too old.
    pub tail: Option<String>,
}

/// What a request has made of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noted {
    /// With this request. 0 for a harmless one, for which nothing is looked up.
    pub risk: f32,
    pub finding: Option<SessionFinding>,
    /// It is in quarantine from now on.
    pub quarantined_until: Option<Time>,
    /// The memory did not take it; what was known before is still known.
    pub is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFinding {
    Crescendo,
    Probing,
}

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Of all that the request says, what was said before among it.
    pub score: f32,
    /// Of what is new in it alone. Clients send a conversation again with each turn of it, and what was found in it once
    /// is not found anew.
    pub fresh: f32,
    /// A number of the texts that were found, such as [`Sessions::number`].
    pub text: u128,
    /// The last text of the user, folded. Nothing of it is kept unless policy asks for it.
    pub user_text: &'a str,
}

/// What is kept of a session. All zeros for a new one.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// At `when`.
    risk: u32,
    when_ms: u64,
    quarantined_ms: u64,
    probes: u32,
    /// Newest first; 0 for none.
    recent: [u32; RECENT_MAX],
    /// Bytes of the tail that follow.
    tail_len: u16,
}

impl Sessions {
    pub fn new(policy: SessionPolicy, key: HashKey) -> Self {
        let table = Table::new("sessions", LAYOUT, key, policy.entries, FIXED_BYTES + policy.tail_bytes);
        Self { policy, key, table }
    }

    pub const fn policy(&self) -> &SessionPolicy {
        &self.policy
    }

    /// A number of texts that tells nobody what they say.
    pub fn number(&self, texts: &[&[u8]]) -> u128 {
        self.key.of(texts)
    }

    pub fn prepare(&self, memory: &dyn SharedMemory) {
        self.table.prepare(memory);
    }

    pub fn bytes_max(&self) -> usize {
        self.table.bytes_max()
    }

    /// Which session a request belongs to; `conversation` is the id that its body names, `opening` how the conversation
    /// in it begins.
    pub fn find(
        &self,
        who: &Who<'_>,
        rules: &WhoPolicy,
        conversation: Option<&[u8]>,
        opening: Option<&[u8]>,
    ) -> Option<Session> {
        self.session_of(&self.client(who, rules), conversation, opening)
    }

    /// The part of it that the headers know.
    pub fn client(&self, who: &Who<'_>, rules: &WhoPolicy) -> Client {
        let key = api_key(who.headers);
        let ip = rules.ip(who);
        // A client must not be able to speak for the session of another.
        let (owner, name) = key.map_or_else(|| ip.bytes(), |key| (&[7][..], key));
        let mut hasher = self.key.hasher();
        [rules.tenant(who).unwrap_or_default(), owner, name].iter().for_each(|part| hasher.part(part));
        let named = self.policy.keys.iter().enumerate().find_map(|(place, wanted)| {
            let (kind, value) = match wanted {
                SessionKey::Header(name) => (1, who.headers.value(name)),
                SessionKey::Conversation | SessionKey::Prefix => return None,
                SessionKey::User => (4, rules.user(who)),
                SessionKey::ApiKey => (5, key),
                SessionKey::Ip => (6, (ip != Part::Nobody).then(|| ip.bytes().1)),
            };
            Some((place, self.session(&hasher, kind, value?)?))
        });
        Client { hasher, named }
    }

    /// With what the body knows: an id of the conversation, and how it begins.
    pub fn session_of(
        &self,
        client: &Client,
        conversation: Option<&[u8]>,
        opening: Option<&[u8]>,
    ) -> Option<Session> {
        let (place, by_headers) =
            client.named.map_or((usize::MAX, None), |(place, named)| (place, Some(named)));
        let by_body = self.policy.keys.iter().take(place).find_map(|wanted| match wanted {
            SessionKey::Conversation => self.session(&client.hasher, 2, conversation?),
            SessionKey::Prefix => self.session(&client.hasher, 3, opening?),
            _ => None,
        });
        by_body.or(by_headers)
    }

    fn session(&self, client: &KeyedHasher, kind: u8, value: &[u8]) -> Option<Session> {
        let mut hasher = client.clone();
        hasher.part(&[kind]);
        hasher.part(value);
        (!value.is_empty()).then(|| Session { id: self.table.id_of(hasher.finish()) })
    }

    pub fn outlook(&self, memory: &dyn SharedMemory, session: Session, now: Time) -> Outlook {
        let (outlook, _) = self.table.update(memory, session.id, |entry| {
            let mut state = State::read(entry);
            let is_mended = self.pass_time(&mut state, now.millis());
            let tail = core::str::from_utf8(state.tail(entry)).ok().filter(|tail| !tail.is_empty());
            let outlook = Outlook {
                risk: part_of_whole(state.risk),
                quarantined_until: self.quarantined_until(&state, now),
                tail: tail.map(String::from),
            };
            if !is_mended {
                return (Change::Leave, outlook);
            }
            state.write(entry);
            (Change::Store, outlook)
        });
        outlook
    }

    /// What a session with this risk adds to scores.
    pub fn lift(&self, outlook: &Outlook) -> Lift {
        Lift { floor: self.policy.floor, part: outlook.risk * self.policy.weight }
    }

    /// What a score means in a session with this risk. A harmless text stays harmless.
    pub fn joined(&self, outlook: &Outlook, score: f32) -> f32 {
        self.lift(outlook).joined(score)
    }

    pub fn note(&self, memory: &dyn SharedMemory, session: Session, judged: &Judged<'_>, now: Time) -> Noted {
        let keeps_tail = self.policy.tail_bytes > 0;
        if judged.score < self.policy.floor && !keeps_tail {
            // Nothing to write, and nobody waits for a harmless request to be counted.
            return Noted::default();
        }
        let (noted, kept) = self.table.update(memory, session.id, |entry| {
            let mut state = State::read(entry);
            self.pass_time(&mut state, now.millis());
            let finding = self.add(&mut state, judged);
            let begins = finding.is_some()
                && part_of_whole(state.risk) >= self.policy.quarantine
                && self.quarantined_until(&state, now).is_none();
            if begins {
                state.quarantined_ms = now.millis();
            }
            let noted = Noted {
                risk: part_of_whole(state.risk),
                finding,
                quarantined_until: begins.then(|| self.quarantined_until(&state, now)).flatten(),
                is_lost: false,
            };
            let tail = end_of(judged.user_text, usize::from(self.policy.tail_bytes));
            state.tail_len = tail.len() as u16;
            state.write(entry);
            if let Some(rest) = entry.get_mut(usize::from(FIXED_BYTES)..) {
                // All of it, so that nothing of an older text stays behind a shorter one.
                rest.fill(0);
                Writer(rest).put(tail.as_bytes());
            }
            (Change::Store, noted)
        });
        Noted { is_lost: matches!(kept, Kept::Busy | Kept::Failed), ..noted }
    }

    fn add(&self, state: &mut State, judged: &Judged<'_>) -> Option<SessionFinding> {
        let text = (judged.text as u32).max(1);
        let is_another = !state.recent.contains(&text);
        let score = if is_another { judged.score } else { judged.fresh };
        let score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
        if score < self.policy.floor {
            return None;
        }
        if is_another {
            state.recent.rotate_right(1);
            if let Some(newest) = state.recent.first_mut() {
                *newest = text;
            }
            if score >= self.policy.probe_from {
                state.probes = state.probes.saturating_add(WHOLE);
            }
        }
        // Time has taken a little of each but the last.
        let is_probing = state.probes > (self.policy.probes - 1).saturating_mul(WHOLE);
        let weight = if is_probing { 1.0 } else { self.policy.weight };
        let added = (score * weight * WHOLE as f32) as u32;
        let left = u64::from(WHOLE.saturating_sub(state.risk));
        state.risk += (left * u64::from(added.min(WHOLE)) / u64::from(WHOLE)) as u32;
        match (is_probing, part_of_whole(state.risk) >= self.policy.tag) {
            (true, _) => Some(SessionFinding::Probing),
            (false, true) => Some(SessionFinding::Crescendo),
            (false, false) => None,
        }
    }

    /// Answers whether a clock has jumped back since, which is worth to be stored: otherwise the session would wait
    /// until the clock is where it was.
    fn pass_time(&self, state: &mut State, now_ms: u64) -> bool {
        let is_mended = state.when_ms > now_ms + SKEW_MS || state.quarantined_ms > now_ms + SKEW_MS;
        state.when_ms = state.when_ms.min(now_ms);
        state.quarantined_ms = state.quarantined_ms.min(now_ms);
        let passed = now_ms - state.when_ms;
        if passed >= u64::from(self.policy.tail_s) * 1_000 {
            state.tail_len = 0;
        }
        let half_life = u64::from(self.policy.half_life_s.max(1)) * 1_000;
        state.risk = decayed(state.risk.min(WHOLE), passed, half_life);
        state.probes = decayed(state.probes, passed, half_life);
        state.when_ms = now_ms;
        is_mended
    }

    fn quarantined_until(&self, state: &State, now: Time) -> Option<Time> {
        let until_ms = state.quarantined_ms + u64::from(self.policy.quarantine_s) * 1_000;
        (state.quarantined_ms > 0 && until_ms > now.millis())
            .then(|| Time(until_ms.saturating_mul(1_000_000)))
    }
}

impl Session {
    /// What it is called in events: a part of its number, which leads back to nothing.
    pub fn name(self) -> String {
        format!("{:012x}", self.id.tag() >> 16)
    }
}

impl Lift {
    pub fn joined(self, score: f32) -> f32 {
        match score >= self.floor {
            true => score + (1.0 - score) * self.part,
            false => score,
        }
    }
}

/// Clocks of workers may differ by that much.
const SKEW_MS: u64 = 100;

impl State {
    fn read(entry: &[u8]) -> Self {
        let mut fields = Fields(entry);
        Self {
            risk: fields.u32(),
            when_ms: fields.u64(),
            quarantined_ms: fields.u64(),
            probes: fields.u32(),
            recent: core::array::from_fn(|_| fields.u32()),
            tail_len: fields.u16(),
        }
    }

    /// All but the tail.
    fn write(&self, entry: &mut [u8]) {
        let mut record = Writer(entry);
        record.put(&self.risk.to_le_bytes());
        record.put(&self.when_ms.to_le_bytes());
        record.put(&self.quarantined_ms.to_le_bytes());
        record.put(&self.probes.to_le_bytes());
        self.recent.iter().for_each(|text| record.put(&text.to_le_bytes()));
        record.put(&self.tail_len.to_le_bytes());
    }

    fn tail<'e>(&self, entry: &'e [u8]) -> &'e [u8] {
        let start = usize::from(FIXED_BYTES);
        entry.get(start..start + usize::from(self.tail_len)).unwrap_or_default()
    }
}

/// Half of it after each half life, and in between on a straight line.
fn decayed(value: u32, passed: u64, half_life: u64) -> u32 {
    let halves = u32::try_from(passed / half_life).unwrap_or(u32::MAX);
    let value = u64::from(value.checked_shr(halves).unwrap_or(0));
    (value - value * (passed % half_life) / (2 * half_life)) as u32
}

fn part_of_whole(value: u32) -> f32 {
    value as f32 / WHOLE as f32
}

/// The last bytes of a text, from the beginning of a character on.
fn end_of(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}
