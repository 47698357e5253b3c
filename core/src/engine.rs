//! The engine: a policy, the compiled rules and the detectors. Built once, then only read; every exchange and
//! every worker shares it.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use sentinel_model::{Channel, Family};

use crate::{
    act::mask::Placeholders,
    action::{Action, Direction, Verdict},
    decide::{Decision, Terms},
    detect::{
        Catalog, Contexts, Detector, Found, Hit, RuleIdx, RuleInfo, across,
        card::CardDetector,
        detect, drift,
        drift::Offers,
        inline::Inline,
        leak,
        leak::{Canaries, Memory, Watch},
        model,
        model::{CompactModel, ModelDetector},
        obfuscation::ObfuscationDetector,
        patterns::{PatternDetector, PatternSet},
        pii::PiiDetector,
        second::{OpenWindow, ReadWindow},
        secrets,
        secrets::SecretDetector,
    },
    event::PackId,
    finding::Finding,
    guard::session::Lift,
    hash,
    inspect::{Aids, Inspection},
    lap::Laps,
    opinion::Opinion,
    policy::{DEFAULT_PROFILE, Policy, PolicyError, Profile},
    receipt::{GapReason, Receipt},
    session,
    span::Span,
    text::{Beginnings, Vocabulary},
    traffic::{Extraction, Format, Segment, Tool, extract, read_tools},
};

pub type EngineError = PolicyError;

#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    policy_hash: String,
    default_profile: Profile,
    patterns: PatternDetector,
    card: CardDetector,
    secrets: SecretDetector,
    pii: PiiDetector,
    obfuscation: ObfuscationDetector,
    canaries: Canaries,
    /// The rules about leaks stand in the list from here on.
    leak: RuleIdx,
    drift: RuleIdx,
    /// The rules of the model stand in the list from here on.
    of_model: RuleIdx,
    model: Option<ModelDetector>,
    /// The rules about sessions stand in the list from here on.
    of_sessions: RuleIdx,
    /// The rules that the policy brings along.
    inline: Inline,
    catalog: Catalog,
}

/// What an exchange keeps from one of its bodies for the next, or for the next part of a stream.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What masks of the request took out, for the response.
    pub(crate) placeholders: Placeholders,
    /// What the response is held against.
    pub(crate) memory: Memory,
    pub(crate) offers: Offers,
    /// Numbers of the exemptions of the policy that are about this exchange.
    pub(crate) exemptions: Vec<u16>,
    /// The host is short of memory: what stage 2 would read is left open.
    pub(crate) sheds: bool,
    pub(crate) laps: Laps,
}

/// The outcome of [`Engine::scan`]: what the `sentinel scan` command prints.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Scan {
    pub verdict: Verdict,
    pub action: Action,
    pub score: f32,
    pub findings: Vec<Finding>,
    pub receipt: Receipt,
}

/// The outcome of [`Engine::judge`], with what only measurements ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub scan: Scan,
    /// Windows that the second stage of the model read.
    pub second_looks: u32,
    /// The highest score that the model gave a window, be it too low for a finding.
    pub suspicion: f32,
}

/// What a rule sees in a text, whatever a policy makes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting<'a> {
    pub rule: &'a str,
    pub family: Family,
    pub level: u8,
    pub score: f32,
    pub span: Span,
    /// What stands around it and moved its score.
    pub contexts: Vec<&'a str>,
}

/// A rule that this engine has.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RuleSummary<'a> {
    pub id: &'a str,
    pub version: u32,
    pub family: Family,
    pub level: u8,
    pub score: f32,
}

/// A word in disguise may be one of the packs or one of the policy.
impl Vocabulary for Engine {
    fn knows(&self, word: &str) -> bool {
        self.vocabularies().any(|words| words.knows(word))
    }

    fn has(&self, word: &str) -> bool {
        self.vocabularies().any(|words| words.has(word))
    }

    fn knows_well(&self, word: &str) -> bool {
        self.vocabularies().any(|words| words.knows_well(word))
    }

    fn beginnings(&self) -> &Beginnings {
        self.patterns.set.beginnings()
    }
}

impl Engine {
    /// Checks the policy against the rules that exist. `patterns` are shared, since they are large and the same
    /// for every policy of one process.
    pub fn new(policy: Policy, patterns: Arc<PatternSet>) -> Result<Self, EngineError> {
        let mut rules: Vec<RuleInfo> = patterns.rule_infos().cloned().collect();
        let card = CardDetector { rule: RuleIdx(rules.len() as u16) };
        rules.push(CardDetector::rule_info());
        let secrets = SecretDetector::new(RuleIdx(rules.len() as u16))
            .map_err(|e| PolicyError { field: String::from("rules"), reason: e.to_string() })?;
        rules.extend(secrets::infos());
        let pii = PiiDetector::new(RuleIdx(rules.len() as u16), policy.level_max());
        rules.extend(PiiDetector::rule_infos());
        let contexts = patterns.context_infos();
        let obfuscation = ObfuscationDetector::new(RuleIdx(rules.len() as u16));
        rules.extend(ObfuscationDetector::rule_infos());
        let leak = RuleIdx(rules.len() as u16);
        rules.extend(leak::rule_infos());
        let drift = RuleIdx(rules.len() as u16);
        rules.push(drift::rule_info());
        let of_model = RuleIdx(rules.len() as u16);
        rules.extend(model::rule_infos());
        let of_sessions = RuleIdx(rules.len() as u16);
        rules.extend(session::rule_infos());
        let first_inline = RuleIdx(rules.len() as u16);
        rules.extend(policy.patterns.iter().map(Inline::rule_info));
        policy.check(rules.iter().map(|rule| rule.id.as_str()))?;
        let canaries = Canaries::new(&policy.canaries)
            .map_err(|e| PolicyError { field: String::from("canaries"), reason: e.to_string() })?;
        let inline = Inline::new(&policy.patterns, first_inline, policy.level_max())?;
        let text = serde_json::to_string(&policy).unwrap_or_default();
        let default_profile = policy.profile(DEFAULT_PROFILE).cloned().unwrap_or_default();
        Ok(Self {
            policy_hash: hash::sha256_hex(text.as_bytes()),
            default_profile,
            patterns: PatternDetector { set: patterns, level: policy.level_max() },
            policy,
            card,
            secrets,
            pii,
            obfuscation,
            canaries,
            leak,
            drift,
            of_model,
            model: None,
            of_sessions,
            inline,
            catalog: Catalog { rules, contexts },
        })
    }

    /// The same with a model, which looks at texts that no rule knows.
    pub fn with_model(mut self, model: Arc<CompactModel>) -> Self {
        self.model = Some(ModelDetector { first_rule: self.of_model, model });
        self
    }

    pub fn model(&self) -> Option<&CompactModel> {
        self.model.as_ref().map(|detector| detector.model.as_ref())
    }

    /// Judges one text of some channel, as if it were all of a body.
    pub fn judge(&self, profile: &str, channel: Channel, text: &str) -> Option<Judgement> {
        let profile = self.profile(profile)?;
        let whole = Span::whole(text.len());
        let segment = Segment::plain(channel, whole);
        let extraction = Extraction { segments: Vec::from([segment]), ..Extraction::default() };
        let windows = profile.model.windows;
        let mut reading =
            self.read_extracted(profile, text.as_bytes(), extraction, None, windows, None, &Laps::default());
        self.go_on_to_the_end(&mut reading);
        let (second_looks, suspicion) = (reading.second_looks(), reading.suspicion());
        let (decision, receipt) = self.conclude_text(profile, whole, reading);
        let Decision { verdict, action, score, findings, .. } = decision;
        let scan = Scan { verdict, action, score, findings, receipt };
        Some(Judgement { scan, second_looks, suspicion })
    }

    /// Judges one body by itself, as `sentinel scan` does.
    pub fn scan(&self, profile: &str, direction: Direction, format: Format, body: &[u8]) -> Option<Scan> {
        let profile = self.profile(profile)?;
        let Inspection { decision, receipt, .. } = match body.len() > profile.limits.body_bytes as usize {
            true => Inspection::unread(profile, direction, GapReason::Size, body.len()),
            false => {
                let mut kept = Kept::default();
                let extraction = extract(format, direction, body);
                let mut reading = self.read(profile, direction, body, extraction, &kept, Aids::default());
                self.go_on_to_the_end(&mut reading);
                self.conclude(profile, direction, body, reading, &mut kept, None)
            }
        };
        let Decision { verdict, action, score, findings, .. } = decision;
        Some(Scan { verdict, action, score, findings, receipt })
    }

    /// All that the rules see in a text of some channel, for measuring them, whatever the policy does about it and
    /// without a limit. Rules above the level of every profile may not have been looked for.
    pub fn sightings(&self, channel: Channel, text: &str) -> Vec<Sighting<'_>> {
        let segment = Segment::plain(channel, Span::whole(text.len()));
        let mut extraction = Extraction { segments: Vec::from([segment]), ..Extraction::default() };
        let Found { hits, .. } = detect(
            &self.detectors(),
            self.vocabulary(),
            text.as_bytes(),
            &mut extraction,
            0,
            None,
            &Laps::default(),
        );
        let sighting = |hit: &Hit| {
            let RuleInfo { id, family, level, .. } = self.catalog.rule(hit.rule)?;
            let score = self.catalog.score(hit);
            let contexts = hit.contexts.of(&self.catalog).map(|context| context.id.as_str()).collect();
            Some(Sighting { rule: id, family: *family, level: *level, score, span: hit.span, contexts })
        };
        hits.iter().filter_map(sighting).collect()
    }

    /// All rules, whatever found them.
    pub fn rule_summaries(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.catalog.rules.iter().map(|rule| RuleSummary {
            id: &rule.id,
            version: rule.version,
            family: rule.family,
            level: rule.level,
            score: rule.score,
        })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Names the exact policy in every event.
    pub fn policy_hash(&self) -> &str {
        &self.policy_hash
    }

    pub fn packs(&self) -> &[PackId] {
        self.patterns.set.packs()
    }

    /// The profile of that name; the default one exists always.
    pub(crate) fn profile(&self, name: &str) -> Option<&Profile> {
        match name {
            DEFAULT_PROFILE => Some(&self.default_profile),
            _ => self.policy.profile(name),
        }
    }

    pub(crate) fn default_profile(&self) -> &Profile {
        &self.default_profile
    }

    pub(crate) fn terms<'a>(&'a self, profile: &'a Profile, exemptions: &'a [u16]) -> Terms<'a> {
        Terms { profile, exempt: self.policy.in_force(exemptions), lift: Lift::default() }
    }

    pub(crate) fn detectors(&self) -> [&dyn Detector; 6] {
        [&self.patterns, &self.card, &self.secrets, &self.pii, &self.obfuscation, &self.inline]
    }

    /// The detector for one body of an exchange.
    pub(crate) fn watch<'a>(
        &'a self,
        direction: Direction,
        memory: &'a Memory,
        placeholders: &'a Placeholders,
    ) -> Watch<'a> {
        Watch {
            first_rule: self.leak,
            direction,
            canaries: &self.canaries,
            memory,
            placeholders,
            looks_for_data: self.policy.level_max() > 1,
            is_whole: true,
        }
    }

    /// The model, if this profile makes use of it.
    pub(crate) fn model_for(&self, profile: &Profile) -> Option<&dyn Detector> {
        let is_used = |id: &str, family| profile.uses_somewhere(id, family, 1);
        let wanted = profile.model.enabled && model::any_rule(is_used);
        let detector = self.model.as_ref().filter(|_| wanted)?;
        Some(detector)
    }

    pub(crate) fn model_detector(&self) -> Option<&ModelDetector> {
        self.model.as_ref()
    }

    /// What a second opinion says of a window, if it says that it is an attack.
    pub(crate) fn hit_of_opinion(&self, read: &ReadWindow, opinion: Opinion) -> Option<Hit> {
        let rule = RuleIdx(self.of_model.0 + model::rule_of_opinion(opinion.family)?);
        let OpenWindow { channel, segment, seen, span, .. } = read.window;
        let hit = Hit {
            rule,
            channel,
            segment,
            seen,
            span,
            contexts: Contexts::default(),
            score: Some(opinion.attack),
        };
        (opinion.attack >= model::ATTACK_FROM).then_some(hit)
    }

    pub(crate) fn detectors_with<'a>(&'a self, watch: &'a Watch<'_>) -> [&'a dyn Detector; 7] {
        let [patterns, card, secrets, pii, obfuscation, inline] = self.detectors();
        [patterns, card, secrets, pii, obfuscation, inline, watch]
    }

    /// What an answer is held against. Values count that a profile looks for, whatever it does about them.
    pub(crate) fn remember(
        &self,
        profile: &Profile,
        body: &[u8],
        extraction: &Extraction,
        hits: &[Hit],
        memory: &mut Memory,
    ) {
        if !profile.response.guard {
            return;
        }
        let is_sensitive = |hit: &&Hit| {
            self.catalog.rule(hit.rule).is_some_and(|rule| {
                !rule.family.raises_risk() && profile.uses(hit.channel, &rule.id, rule.family, rule.level)
            })
        };
        memory.learn(body, extraction, hits.iter().filter(is_sensitive), profile.level_max() > 1);
    }

    fn vocabularies(&self) -> impl Iterator<Item = &PatternSet> {
        core::iter::once(self.patterns.set.as_ref()).chain(self.inline.phrases())
    }

    pub(crate) const fn vocabulary(&self) -> &dyn Vocabulary {
        self
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) const fn of_sessions(&self) -> RuleIdx {
        self.of_sessions
    }

    /// Attacks that the user's last text and the new one say only together.
    pub(crate) fn across(&self, tail: &str, body: &[u8], extraction: &Extraction) -> Vec<Hit> {
        let first = session::user_run(extraction);
        let Some((number, segment)) = first.and_then(|idx| Some((idx as u32, extraction.segments.get(idx)?)))
        else {
            return Vec::new();
        };
        let mut hits = across(&self.detectors(), self.vocabulary(), tail, segment, number, body);
        hits.retain(|hit| self.catalog.rule(hit.rule).is_some_and(|rule| rule.family.raises_risk()));
        hits
    }

    /// Tools that are not what they were. `texts` are the JSON of the body, each with where it begins; hardly any body
    /// is asked for it.
    pub(crate) fn drifts<'t, T: Iterator<Item = (usize, &'t str)>>(
        &self,
        profile: &Profile,
        direction: Direction,
        extraction: &Extraction,
        texts: impl FnOnce() -> T,
        offers: &mut Offers,
    ) -> Vec<Hit> {
        let is_used =
            |rule: &RuleInfo| profile.uses(Channel::ToolDefinition, &rule.id, rule.family, rule.level);
        let defines = |segment: &Segment| segment.channel == Channel::ToolDefinition;
        if !offers.can_be_compared()
            || !profile.tools.drift.covers(direction)
            || !self.catalog.rule(self.drift).is_some_and(is_used)
            || !extraction.segments.iter().any(defines)
        {
            return Vec::new();
        }
        let mut tools = Vec::new();
        for (at, text) in texts() {
            let found = read_tools(text, direction).into_iter();
            tools.extend(found.map(|tool| Tool { span: tool.span.shifted(at as u32), ..tool }));
        }
        offers.changed(self.drift, &tools)
    }
}
