//! The policy document `sentinel.policy/1`: which traffic is guarded and what a finding leads to.
//!
//! The types are the schema: an unknown field is an error, every field has a default, and writing a parsed
//! document out again shows every default that is in force (`sentinel policy explain`). Checks that the types
//! cannot say are in [`Policy::check`], so that a policy that loads is a policy that works.

mod inline;
mod opinion;

pub use inline::InlineRule;
pub use opinion::OpinionPolicy;

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use sentinel_model::{Channel, Family, fold};
use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Direction},
    guard::RatePolicy,
    http::Headers,
    receipt::GapReason,
};

pub const SCHEMA: &str = "sentinel.policy/1";

/// The profile that routes use unless they name another, and that exists even if the document has no profiles.
pub const DEFAULT_PROFILE: &str = "default";

/// Well below the 1 MiB that Envoy buffers by default, so that policy decides and not the proxy's 413.
pub const BODY_BYTES_DEFAULT: u32 = 512 * 1024;
pub const BODY_BYTES_LIMIT: u32 = 16 * 1024 * 1024;
pub const PROMPT_CHARS_DEFAULT: u32 = 10_000;
pub const CANARIES_MAX: usize = 64;
pub const CANARY_BYTES_MIN: usize = 8;
pub const CANARY_BYTES_MAX: usize = 256;
pub const RESPONSE_CHARS_DEFAULT: u32 = 50_000;

/// What invoices show of a number, and nobody can use.
const KEEP_LAST_MAX: u8 = 4;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    pub schema: String,
    /// The first route that matches decides. Traffic that no route matches is forwarded and recorded as not guarded.
    pub routes: Vec<Route>,
    pub profiles: BTreeMap<String, Profile>,
    /// Texts that must never leave, whatever the profile: in no answer, and in no arguments of tools.
    pub canaries: Vec<String>,
    /// Rules of this policy's own.
    pub patterns: Vec<InlineRule>,
    /// How many requests and tokens somebody may use.
    pub rates: RatePolicy,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    #[serde(default, rename = "match")]
    pub matches: RouteMatch,
    #[serde(default = "default_profile_name")]
    pub profile: String,
    /// `false` lets the traffic of this route pass unscanned, and says so in the receipt.
    #[serde(default = "yes")]
    pub guard: bool,
}

/// All that is given must hold. `*` at the end of a path or at the start of a host stands for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    pub path: Option<String>,
    pub host: Option<String>,
    /// Empty: any method.
    pub methods: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    pub mode: Mode,
    /// Paranoia level: rules above it are not used.
    pub level: u8,
    /// Where risk begins to be tagged and to be blocked, unless a channel says otherwise.
    pub thresholds: Thresholds,
    pub channels: BTreeMap<Channel, Thresholds>,
    /// By rule id (`pii/card`) or family (`pii`): what a finding leads to. The id goes before the family.
    pub rules: BTreeMap<String, RuleAction>,
    /// By rule id or family, as in `rules`: how a mask looks.
    pub masks: BTreeMap<String, MaskStyle>,
    pub on_gap: GapPolicy,
    pub limits: Limits,
    pub response: ResponsePolicy,
    pub tools: ToolPolicy,
    pub model: ModelPolicy,
    pub opinion: OpinionPolicy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Enforce,
    /// Everything is decided and recorded, nothing is changed or refused.
    Monitor,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub tag: f32,
    pub block: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// The finding raises the risk score, and the thresholds decide.
    Score,
    /// The rule is not used.
    Off,
    /// Recorded only; moves nothing.
    Monitor,
    Tag,
    Mask,
    Block,
}

/// What stands where something was masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskStyle {
    /// `[CARD_1]`, for which the answer gets the text back.
    #[default]
    Placeholder,
    /// Stars, and so many letters and digits of its end. Of an e-mail address the domain stays.
    KeepLast(u8),
}

/// What a gap in the receipt leads to. A reason that is not listed takes the built-in choice of its direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GapPolicy {
    pub request: BTreeMap<GapReason, GapAction>,
    pub response: BTreeMap<GapReason, GapAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapAction {
    Allow,
    Tag,
    Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// A larger body is a `size` gap. Keep it below the buffer limit of the proxy.
    pub body_bytes: u32,
    /// A longer text of a user, in one message or several in a row, is a `length` gap.
    pub prompt_chars: u32,
    /// The same for an answer.
    pub response_chars: u32,
    pub on_limit: OnLimit,
}

/// What becomes of texts that are longer than they should be. All of them are scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    Reject,
    ScanAndMark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsePolicy {
    /// `false` forwards responses as they come and records them as not guarded.
    pub guard: bool,
    pub accept_encoding: AcceptEncoding,
    pub restore: Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcceptEncoding {
    /// The upstream is asked for a plain response, so that it can be read.
    Strip,
    /// It is asked for no coding that cannot be decoded here.
    Readable,
    Keep,
}

/// Where an answer gets the text back that was masked in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// In what the model says and in the arguments of the tools that it calls.
    Everywhere,
    /// Not in the arguments of tools.
    Text,
    Off,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolPolicy {
    pub drift: Drift,
}

/// What the model does for a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelPolicy {
    pub enabled: bool,
    /// Windows of a body that the second stage reads, of those that the first leaves open.
    pub windows: u32,
}

/// What a host has time for between two other connections: a window takes it two milliseconds.
const WINDOWS_DEFAULT: u32 = 2;
const WINDOWS_MAX: u32 = 64;

/// Where definitions of tools are held against those that were seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// In what servers of tools list.
    #[default]
    Responses,
    /// In what applications send to their models, too.
    Everywhere,
    Off,
}

impl Drift {
    pub(crate) const fn covers(self, direction: Direction) -> bool {
        match self {
            Self::Responses => matches!(direction, Direction::Response),
            Self::Everywhere => true,
            Self::Off => false,
        }
    }
}

/// Why a policy is refused: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    pub field: String,
    pub reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl core::error::Error for PolicyError {}

impl Default for Policy {
    /// The safe built-in policy: whatever carries a body is guarded and enforced.
    fn default() -> Self {
        let everything = Route {
            name: "all".into(),
            matches: RouteMatch::default(),
            profile: default_profile_name(),
            guard: true,
        };
        Self {
            schema: SCHEMA.into(),
            routes: Vec::from([everything]),
            profiles: BTreeMap::from([(default_profile_name(), Profile::default())]),
            canaries: Vec::new(),
            patterns: Vec::new(),
            rates: RatePolicy::default(),
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            level: 1,
            thresholds: Thresholds { tag: 0.4, block: 0.8 },
            channels: BTreeMap::new(),
            rules: [Family::Pii, Family::Secret].map(|f| (f.name().to_string(), RuleAction::Mask)).into(),
            masks: BTreeMap::new(),
            on_gap: GapPolicy::default(),
            limits: Limits::default(),
            response: ResponsePolicy::default(),
            tools: ToolPolicy::default(),
            model: ModelPolicy::default(),
            opinion: OpinionPolicy::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES_DEFAULT,
            prompt_chars: PROMPT_CHARS_DEFAULT,
            response_chars: RESPONSE_CHARS_DEFAULT,
            on_limit: OnLimit::ScanAndMark,
        }
    }
}

impl Default for ModelPolicy {
    fn default() -> Self {
        Self { enabled: true, windows: WINDOWS_DEFAULT }
    }
}

impl Default for ResponsePolicy {
    fn default() -> Self {
        Self { guard: true, accept_encoding: AcceptEncoding::Strip, restore: Restore::Everywhere }
    }
}

impl Policy {
    /// Everything that the types do not say. `rules` are the rule ids that exist.
    pub fn check<'a>(&self, rules: impl Iterator<Item = &'a str> + Clone) -> Result<(), PolicyError> {
        if self.schema != SCHEMA {
            return Err(error("schema", alloc::format!("is {:?}, expected {SCHEMA:?}", self.schema)));
        }
        self.rates.check().map_err(|inner| error(&alloc::format!("rates.{}", inner.field), inner.reason))?;
        for (idx, route) in self.routes.iter().enumerate() {
            let field = alloc::format!("routes[{idx}]");
            if route.profile != DEFAULT_PROFILE && !self.profiles.contains_key(&route.profile) {
                let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
                let reason = alloc::format!("there is no profile {:?}; there are {known:?}", route.profile);
                return Err(error(&alloc::format!("{field}.profile"), reason));
            }
            route
                .matches
                .check()
                .map_err(|(at, reason)| error(&alloc::format!("{field}.match.{at}"), reason))?;
        }
        for (name, profile) in &self.profiles {
            profile
                .check(rules.clone())
                .map_err(|(at, reason)| error(&alloc::format!("profiles.{name}.{at}"), reason))?;
        }
        check_canaries(&self.canaries)?;
        inline::check(&self.patterns)
    }

    /// No profile uses a rule above this level.
    pub(crate) fn level_max(&self) -> u8 {
        let levels = self.profiles.values().map(|profile| profile.level);
        levels.fold(Profile::default().level, u8::max)
    }

    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// The first route that matches a request.
    pub(crate) fn route(&self, headers: &Headers<'_>) -> Option<&Route> {
        self.routes.iter().find(|route| route.matches.matches(headers, route.guard))
    }
}

/// Shorter ones stand in harmless texts; none of them is named in the error, which goes into logs.
fn check_canaries(canaries: &[String]) -> Result<(), PolicyError> {
    if canaries.len() > CANARIES_MAX {
        let reason = alloc::format!("has {} texts, expected at most {CANARIES_MAX}", canaries.len());
        return Err(error("canaries", reason));
    }
    for (idx, canary) in canaries.iter().enumerate() {
        // Compared without regard to case and to characters that show nothing.
        let len = fold::fold_word(canary).trim().len();
        if !(CANARY_BYTES_MIN..=CANARY_BYTES_MAX).contains(&len) {
            let reason = alloc::format!("has {len} bytes, expected {CANARY_BYTES_MIN} to {CANARY_BYTES_MAX}");
            return Err(error(&alloc::format!("canaries[{idx}]"), reason));
        }
    }
    Ok(())
}

type Complaint = (String, String);

impl RouteMatch {
    fn check(&self) -> Result<(), Complaint> {
        if let Some(path) = &self.path
            && (!path.starts_with('/') || path.trim_end_matches('*').contains('*') || path.ends_with("**"))
        {
            let reason = alloc::format!("is {path:?}, expected \"/exact\" or \"/prefix*\"");
            return Err(("path".into(), reason));
        }
        if let Some(host) = &self.host
            && (host.is_empty() || host.trim_start_matches('*').contains('*') || host.starts_with("**"))
        {
            return Err(("host".into(), alloc::format!("is {host:?}, expected \"name\" or \"*.suffix\"")));
        }
        Ok(())
    }

    /// A route that guards takes a path in every spelling that some server might read as it; a route that lets pass
    /// takes only one that reads as it in any case.
    fn matches(&self, headers: &Headers<'_>, guard: bool) -> bool {
        let path = headers.value(":path").unwrap_or_default();
        let path = path.split(|b| *b == b'?').next().unwrap_or_default();
        let host = headers.value(":authority").or_else(|| headers.value("host")).unwrap_or_default();
        let method = headers.value(":method").unwrap_or_default();
        let path_fits = |pattern: &str| {
            let as_sent = path_matches(pattern, path);
            let as_read = || path_matches(&pattern.to_ascii_lowercase(), &plain_path(path));
            if guard { as_sent || as_read() } else { as_sent && as_read() }
        };
        self.path.as_deref().is_none_or(path_fits)
            && self.host.as_deref().is_none_or(|pattern| host_matches(pattern, host))
            && (self.methods.is_empty()
                || self.methods.iter().any(|m| method.eq_ignore_ascii_case(m.as_bytes())))
    }
}

fn path_matches(pattern: &str, path: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.as_bytes()),
        None => path == pattern.as_bytes(),
    }
}

/// A path as the most generous server reads it: percent signs resolved, in lower case, one slash for many, no dots.
fn plain_path(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    // Some chains of servers decode more than once.
    for _ in 0..3 {
        path = decoded(&path);
    }
    let mut plain: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        // Some servers strip parameters of a path segment.
        match part.split(|b| *b == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for part in plain {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if path.ends_with(b"/") || out.is_empty() {
        out.push(b'/');
    }
    out
}

/// Percent signs resolved once, in lower case, slashes forward.
fn decoded(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let digits = after.first_chunk::<2>().filter(|_| *byte == b'%').and_then(|[high, low]| {
            Some(char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?)
        });
        let (byte, used) = digits.map_or((*byte, 0), |value| (value as u8, 2));
        decoded.push(if byte == b'\\' { b'/' } else { byte.to_ascii_lowercase() });
        rest = after.get(used..).unwrap_or_default();
    }
    decoded
}

fn host_matches(pattern: &str, host: &[u8]) -> bool {
    let name = host.rsplitn(2, |b| *b == b':').last().unwrap_or(host);
    let name = name.strip_suffix(b".").unwrap_or(name);
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            let from = name.len().saturating_sub(suffix.len());
            name.get(from..).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
        }
        None => {
            name.eq_ignore_ascii_case(pattern.as_bytes()) || host.eq_ignore_ascii_case(pattern.as_bytes())
        }
    }
}

impl Profile {
    fn check<'a>(&self, rules: impl Iterator<Item = &'a str> + Clone) -> Result<(), Complaint> {
        if !(1..=4).contains(&self.level) {
            return Err(("level".into(), alloc::format!("is {}, expected 1 to 4", self.level)));
        }
        if self.model.windows > WINDOWS_MAX {
            let reason = alloc::format!("is {}, expected {WINDOWS_MAX} at most", self.model.windows);
            return Err(("model.windows".into(), reason));
        }
        self.opinion.check()?;
        self.thresholds.check("thresholds".into())?;
        for (channel, thresholds) in &self.channels {
            thresholds.check(alloc::format!("channels.{}", channel.name()))?;
        }
        let names = self.rules.keys().map(|name| ("rules", name));
        for (field, name) in names.chain(self.masks.keys().map(|name| ("masks", name))) {
            let is_family = Family::ALL.iter().any(|family| family.name() == name);
            if !is_family && !rules.clone().any(|rule| rule == name) {
                let families = Family::ALL.map(Family::name);
                let reason =
                    alloc::format!("no rule has this id and no family this name; families are {families:?}");
                return Err((alloc::format!("{field}.{name}"), reason));
            }
        }
        for (name, style) in &self.masks {
            if let MaskStyle::KeepLast(n) = style
                && !(1..=KEEP_LAST_MAX).contains(n)
            {
                let reason = alloc::format!("is {n}, expected 1 to {KEEP_LAST_MAX}");
                return Err((alloc::format!("masks.{name}.keep_last"), reason));
            }
        }
        if !(1024..=BODY_BYTES_LIMIT).contains(&self.limits.body_bytes) {
            let reason = alloc::format!("is {}, expected 1024 to {BODY_BYTES_LIMIT}", self.limits.body_bytes);
            return Err(("limits.body_bytes".into(), reason));
        }
        let Limits { prompt_chars, response_chars, .. } = self.limits;
        for (field, chars) in
            [("limits.prompt_chars", prompt_chars), ("limits.response_chars", response_chars)]
        {
            if chars == 0 {
                return Err((field.into(), "is 0, expected at least 1".into()));
            }
        }
        Ok(())
    }

    pub(crate) fn thresholds(&self, channel: Channel) -> Thresholds {
        self.channels.get(&channel).copied().unwrap_or(self.thresholds)
    }

    pub(crate) fn rule_action(&self, id: &str, family: Family) -> RuleAction {
        let chosen = self.rules.get(id).or_else(|| self.rules.get(family.name()));
        chosen.copied().unwrap_or(match family {
            Family::Pii | Family::Secret => RuleAction::Mask,
            Family::Harmful => RuleAction::Off,
            _ => RuleAction::Score,
        })
    }

    pub(crate) fn mask_style(&self, id: &str, family: Family) -> MaskStyle {
        self.masks.get(id).or_else(|| self.masks.get(family.name())).copied().unwrap_or_default()
    }

    pub fn gap_action(&self, direction: Direction, reason: GapReason) -> GapAction {
        let chosen = match direction {
            Direction::Request => &self.on_gap.request,
            Direction::Response => &self.on_gap.response,
        };
        chosen.get(&reason).copied().unwrap_or_else(|| match (reason, self.limits.on_limit) {
            (GapReason::Length, OnLimit::Reject) => GapAction::Block,
            _ => builtin_gap_action(direction, reason),
        })
    }

    /// The profile with the built-in choice written out for every gap reason.
    pub fn explained(&self) -> Self {
        let all = |direction| GapReason::ALL.map(|reason| (reason, self.gap_action(direction, reason)));
        let channels = Channel::ALL.map(|channel| (channel, self.thresholds(channel)));
        let rules = Family::ALL.map(|family| (family.name().to_string(), self.rule_action("", family)));
        let masked = [Family::Pii, Family::Secret];
        let masks = masked.map(|family| (family.name().to_string(), self.mask_style("", family)));
        let mut explained = self.clone();
        explained.channels = channels.into_iter().collect();
        explained.rules = rules.into_iter().chain(self.rules.clone()).collect();
        explained.masks = masks.into_iter().chain(self.masks.clone()).collect();
        explained.on_gap.request = all(Direction::Request).into_iter().collect();
        explained.on_gap.response = all(Direction::Response).into_iter().collect();
        explained
    }
}

impl Thresholds {
    fn check(&self, field: String) -> Result<(), Complaint> {
        match self.tag > 0.0 && self.tag <= self.block && self.block.is_finite() {
            true => Ok(()),
            false => {
                let reason = alloc::format!(
                    "tag is {} and block is {}, expected 0 < tag <= block; a threshold above 1 switches it off",
                    self.tag,
                    self.block
                );
                Err((field, reason))
            }
        }
    }
}

/// In a request, what a sender can choose in order to hide text is refused; what an honest sender cannot help
/// is marked. A response is never refused for what could not be read unless policy asks for it.
const fn builtin_gap_action(direction: Direction, reason: GapReason) -> GapAction {
    match (direction, reason) {
        (_, GapReason::NotGuarded | GapReason::SecondLook | GapReason::Opinion) => GapAction::Allow,
        // What `fail: closed` means; `fail: open` writes `tag` here. And what was not masked must not go on.
        (_, GapReason::DetectorError | GapReason::Budget) => GapAction::Block,
        (
            Direction::Request,
            GapReason::Encoding
            | GapReason::Size
            | GapReason::Depth
            | GapReason::Unparsable
            | GapReason::Stream,
        ) => GapAction::Block,
        _ => GapAction::Tag,
    }
}

impl From<GapAction> for Action {
    fn from(action: GapAction) -> Self {
        match action {
            GapAction::Allow => Self::Allow,
            GapAction::Tag => Self::Tag,
            GapAction::Block => Self::Block,
        }
    }
}

fn error(field: &str, reason: String) -> PolicyError {
    PolicyError { field: field.into(), reason }
}

fn default_profile_name() -> String {
    DEFAULT_PROFILE.into()
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, guarded: bool, exempt: bool) {
        let matches = RouteMatch { path: Some(pattern.into()), ..RouteMatch::default() };
        let headers: Headers<'_> = [(&b":path"[..], path.as_bytes())].into_iter().collect();
        assert_eq!(matches.matches(&headers, true), guarded, "guard {pattern} {path}");
        assert_eq!(matches.matches(&headers, false), exempt, "let pass {pattern} {path}");
    }

    #[track_caller]
    fn complaint_about(canaries: &[&str]) -> String {
        let canaries = canaries.iter().map(ToString::to_string).collect();
        let policy = Policy { canaries, ..Policy::default() };
        policy.check(core::iter::empty()).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn canaries_are_neither_short_nor_many_and_errors_do_not_name_them() {
        assert_eq!(complaint_about(&["periwinkle", "12345678"]), "");
        assert_eq!(complaint_about(&["periwinkle", "kite"]), "canaries[1]: has 4 bytes, expected 8 to 256");
        let hidden = "k\u{200b}i\u{200b}t\u{200b}e";
        assert_eq!(complaint_about(&[hidden]), "canaries[0]: has 4 bytes, expected 8 to 256");
        assert_eq!(complaint_about(&["periwinkle"; 65]), "canaries: has 65 texts, expected at most 64");
    }

    #[test]
    fn a_guarded_path_is_guarded_in_every_spelling() {
        for path in ["/v1/chat?x=1", "/v1/a/../chat"] {
            check("/v1/*", path, true, true);
        }
        for path in [
            "//v1/chat",
            "/%761/chat",
            "/x/../v1/chat",
            "/V1/chat",
            "/.//v1/chat",
            "/\\v1/chat",
            "/v1;a=b/chat",
        ] {
            check("/v1/*", path, true, false);
        }
        check("/v1/*", "/v2/chat", false, false);
        check("/v1/chat", "/v1/chat", true, true);
        check("/v1/chat", "/v1/chats", false, false);
    }

    #[test]
    fn masks_name_a_rule_and_keep_little() {
        let complaint = |name: &str, style| {
            let profile = Profile { masks: [(name.into(), style)].into(), ..Profile::default() };
            profile.check(["pii/card"].into_iter()).err().map(|(field, _)| field)
        };
        assert_eq!(complaint("pii/card", MaskStyle::KeepLast(4)), None);
        assert_eq!(complaint("secret", MaskStyle::Placeholder), None);
        assert_eq!(complaint("pii/cart", MaskStyle::KeepLast(4)).as_deref(), Some("masks.pii/cart"));
        for n in [0, 5] {
            let field = complaint("pii", MaskStyle::KeepLast(n));
            assert_eq!(field.as_deref(), Some("masks.pii.keep_last"));
        }
    }

    #[test]
    fn the_mask_of_a_rule_goes_before_that_of_its_family() {
        let (card, all) = (MaskStyle::KeepLast(4), MaskStyle::KeepLast(2));
        let masks = [("pii/card".into(), card), ("pii".into(), all)].into();
        let profile = Profile { masks, ..Profile::default() };
        assert_eq!(profile.mask_style("pii/card", Family::Pii), card);
        assert_eq!(profile.mask_style("pii/phone", Family::Pii), all);
        assert_eq!(profile.mask_style("secret/jwt", Family::Secret), MaskStyle::Placeholder);
    }

    #[test]
    fn a_path_that_only_begins_as_an_exempt_one_is_not_exempt() {
        check("/v1/files*", "/v1/files/../chat/completions", true, false);
        check("/v1/files*", "/v1/files/%2e%2e/chat/completions", true, false);
    }
}
