//! What a profile says of one detector: whether it is used, from which level on, and what comes of what it finds.
//!
//! Every rule belongs to one detector. Rules that are named in `rules`, by their id or as `model` or `custom`, go before
//! what stands here; families go behind it.

use alloc::format;

use sentinel_model::Family;
use serde::{Deserialize, Serialize};

use super::{
    GapAction, RuleAction, Thresholds,
    error::Complaints,
    profile::{check_level, check_thresholds},
};
use crate::receipt::GapReason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorName {
    /// Rules of packs.
    Patterns,
    /// The model, and second opinions on what it is in doubt about.
    Model,
    Pii,
    Secrets,
    /// What an answer gives away of its request, and canaries.
    Leak,
    /// What is out of sight in a text.
    Obfuscation,
    /// Tools that are not what they were.
    Drift,
    /// Rules of the policy itself.
    Custom,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Detectors {
    pub patterns: DetectorPolicy,
    pub model: DetectorPolicy,
    pub pii: DetectorPolicy,
    pub secrets: DetectorPolicy,
    pub leak: DetectorPolicy,
    pub obfuscation: DetectorPolicy,
    pub drift: DetectorPolicy,
    pub custom: DetectorPolicy,
}

/// What is not given is as in the profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DetectorPolicy {
    /// False: none of its rules is used.
    pub enabled: bool,
    /// Everything it finds is recorded and moves nothing.
    pub shadow: bool,
    /// Its rules above this level are not used. The level of a channel goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4)))]
    pub level: Option<u8>,
    /// What its findings lead to, where `rules` does not name the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<RuleAction>,
    /// Where risk begins to be tagged that this detector alone has found, and to be blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<f32>,
    /// What it leads to that the detector could not finish; only of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_gap: Option<GapAction>,
}

impl Default for DetectorPolicy {
    fn default() -> Self {
        Self { enabled: true, shadow: false, level: None, action: None, tag: None, block: None, on_gap: None }
    }
}

/// Rules about what an answer gives away; those of packs are of the family `leak`, too.
const OF_LEAK: [&str; 4] = ["leak/prompt-echo", "leak/exfil-link", "leak/exfil-image", "leak/canary"];
const OF_DRIFT: &str = "injection/tool-drift";

impl DetectorName {
    pub const ALL: [Self; 8] = [
        Self::Patterns,
        Self::Model,
        Self::Pii,
        Self::Secrets,
        Self::Leak,
        Self::Obfuscation,
        Self::Drift,
        Self::Custom,
    ];

    /// Which detector finds a rule.
    pub fn of(rule: &str, family: Family) -> Self {
        let is_of_model = || rule.ends_with("/model") || rule.ends_with("/opinion");
        match family {
            _ if rule.starts_with("custom/") => Self::Custom,
            Family::Pii => Self::Pii,
            Family::Secret => Self::Secrets,
            Family::Obfuscation => Self::Obfuscation,
            Family::Leak if OF_LEAK.contains(&rule) => Self::Leak,
            Family::Injection if rule == OF_DRIFT => Self::Drift,
            _ if is_of_model() => Self::Model,
            _ => Self::Patterns,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Patterns => "patterns",
            Self::Model => "model",
            Self::Pii => "pii",
            Self::Secrets => "secrets",
            Self::Leak => "leak",
            Self::Obfuscation => "obfuscation",
            Self::Drift => "drift",
            Self::Custom => "custom",
        }
    }

    /// Whether what it finds is an attack; the others find what is to be hidden. `custom` can be both.
    const fn raises_risk(self) -> bool {
        !matches!(self, Self::Pii | Self::Secrets)
    }
}

impl Detectors {
    pub const fn get(&self, name: DetectorName) -> &DetectorPolicy {
        match name {
            DetectorName::Patterns => &self.patterns,
            DetectorName::Model => &self.model,
            DetectorName::Pii => &self.pii,
            DetectorName::Secrets => &self.secrets,
            DetectorName::Leak => &self.leak,
            DetectorName::Obfuscation => &self.obfuscation,
            DetectorName::Drift => &self.drift,
            DetectorName::Custom => &self.custom,
        }
    }

    pub(super) const fn all_mut(&mut self) -> [&mut DetectorPolicy; 8] {
        let Self { patterns, model, pii, secrets, leak, obfuscation, drift, custom } = self;
        [patterns, model, pii, secrets, leak, obfuscation, drift, custom]
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = u8> {
        DetectorName::ALL.into_iter().filter_map(|name| self.get(name).level)
    }

    /// A gap that one detector has left.
    pub(super) fn on_gap(&self, reason: GapReason) -> Option<GapAction> {
        matches!(reason, GapReason::SecondLook | GapReason::Opinion).then_some(self.model.on_gap).flatten()
    }

    pub(super) fn check(&self, general: Thresholds, complaints: &mut Complaints<'_>) {
        for name in DetectorName::ALL {
            let own = self.get(name);
            let mut complaints = complaints.at(name.name());
            own.level.into_iter().for_each(|level| check_level(level, &mut complaints));
            if name.raises_risk() {
                own.thresholds(general)
                    .into_iter()
                    .for_each(|own| check_thresholds(own, "", &mut complaints));
            } else {
                for (field, threshold) in [("tag", own.tag), ("block", own.block)] {
                    if threshold.is_some() {
                        let reason = "is for risk, and what this detector finds raises none; give an action";
                        complaints.add(field, reason.into());
                    }
                }
            }
            if own.on_gap.is_some() && name != DetectorName::Model {
                let reason = format!(
                    "is for the model, which may be left without time or answer; {} reads all or nothing, \
                     and on_gap of the profile says what nothing leads to",
                    name.name()
                );
                complaints.add("on_gap", reason);
            }
        }
    }
}

impl DetectorPolicy {
    /// Its own thresholds, if it has any.
    pub fn thresholds(&self, general: Thresholds) -> Option<Thresholds> {
        let is_own = self.tag.is_some() || self.block.is_some();
        let Thresholds { tag, block } = general;
        is_own.then(|| Thresholds { tag: self.tag.unwrap_or(tag), block: self.block.unwrap_or(block) })
    }

    /// What a finding leads to, of which the rules of the profile say that it leads to `action`.
    pub(super) const fn decide(&self, action: RuleAction) -> RuleAction {
        match action {
            _ if !self.enabled => RuleAction::Off,
            RuleAction::Off => RuleAction::Off,
            _ if self.shadow => RuleAction::Monitor,
            action => action,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, string::String, vec::Vec};

    use sentinel_model::Channel;

    use super::*;
    use crate::{
        detect::{drift, leak, model, obfuscation::ObfuscationDetector, pii::PiiDetector, secrets},
        policy::{ChannelPolicy, Profile},
    };

    #[test]
    fn every_rule_belongs_to_the_detector_that_finds_it() {
        let check = |name, rules: Vec<crate::detect::RuleInfo>| {
            assert!(!rules.is_empty());
            for rule in rules {
                assert_eq!(DetectorName::of(&rule.id, rule.family), name, "{}", rule.id);
            }
        };
        check(DetectorName::Leak, leak::rule_infos().collect());
        check(DetectorName::Drift, [drift::rule_info()].into());
        check(DetectorName::Model, model::rule_infos().collect());
        check(DetectorName::Obfuscation, ObfuscationDetector::rule_infos().collect());
        check(DetectorName::Pii, PiiDetector::rule_infos().collect());
        check(DetectorName::Secrets, secrets::infos());
        let patterns = crate::PatternSet::builtin().expect("the built-in rules");
        check(DetectorName::Patterns, patterns.rule_infos().cloned().collect());
        let known: BTreeSet<String> = leak::rule_infos().map(|rule| rule.id).collect();
        assert_eq!(known, OF_LEAK.map(String::from).into());
        assert_eq!(DetectorName::of("custom/order-number", Family::Pii), DetectorName::Custom);
    }

    fn profile(text: &str) -> Profile {
        serde_json::from_str(text).expect("a profile")
    }

    #[test]
    fn a_named_rule_goes_before_its_detector_and_a_family_behind_it() {
        let profile = profile(
            r#"{"rules": {"pii/card": "block", "jailbreak": "tag", "injection": "tag"},
                "detectors": {"pii": {"action": "tag"}, "model": {"action": "block"}, "secrets": {"enabled": false},
                              "patterns": {"shadow": true}},
                "channels": {"tool_result": {"rules": {"pii": "off", "jailbreak": "block"}}}}"#,
        );
        let on = |channel, rule, family| profile.action_on(channel, rule, family);
        assert_eq!(on(Channel::User, "pii/card", Family::Pii), RuleAction::Block);
        assert_eq!(on(Channel::User, "pii/iban", Family::Pii), RuleAction::Tag);
        assert_eq!(on(Channel::ToolResult, "pii/iban", Family::Pii), RuleAction::Off);
        assert_eq!(on(Channel::User, "custom/id", Family::Pii), RuleAction::Mask);
        assert_eq!(on(Channel::User, "jailbreak/model", Family::Jailbreak), RuleAction::Block);
        assert_eq!(on(Channel::User, "injection/opinion", Family::Injection), RuleAction::Block);
        assert_eq!(on(Channel::User, "secret/jwt", Family::Secret), RuleAction::Off);
        for channel in [Channel::User, Channel::ToolResult] {
            assert_eq!(on(channel, "jailbreak/dan", Family::Jailbreak), RuleAction::Monitor);
        }
        assert!(!profile.uses_somewhere("secret/jwt", Family::Secret, 1));
    }

    #[test]
    fn a_detector_has_a_level_and_a_channel_one_before_it() {
        let profile = profile(
            r#"{"detectors": {"drift": {"level": 2}, "patterns": {"level": 3}},
                "channels": {"document": {"level": 1}}}"#,
        );
        let uses = |channel, rule, level| profile.uses(channel, rule, Family::Injection, level);
        assert!(uses(Channel::ToolDefinition, OF_DRIFT, 2) && !uses(Channel::ToolDefinition, OF_DRIFT, 3));
        assert!(uses(Channel::User, "injection/x", 3) && !uses(Channel::User, "injection/model", 2));
        assert!(!uses(Channel::Document, "injection/x", 2));
        assert_eq!(profile.level_max(), 3);
    }

    #[test]
    fn a_gap_of_the_model_leads_to_what_is_said_of_the_model() {
        use crate::action::Direction::Request;
        let closed = profile(
            r#"{"detectors": {"model": {"on_gap": "block"}}, "on_gap": {"request": {"opinion": "tag"}}}"#,
        );
        assert_eq!(closed.gap_action(Request, GapReason::SecondLook), GapAction::Block);
        assert_eq!(closed.gap_action(Request, GapReason::Opinion), GapAction::Tag);
        assert_eq!(closed.gap_action(Request, GapReason::Image), GapAction::Tag);
    }

    #[test]
    fn an_explained_profile_means_the_same() {
        let profile = profile(
            r#"{"detectors": {"pii": {"action": "tag"}, "model": {"tag": 0.2}, "drift": {"shadow": true}},
                "level": 2}"#,
        );
        let explained = profile.explained();
        assert_eq!(explained.detectors.pii.level, Some(2));
        for (rule, family) in [
            ("pii/card", Family::Pii),
            ("custom/x", Family::Pii),
            ("injection/model", Family::Injection),
            (OF_DRIFT, Family::Injection),
        ] {
            for channel in Channel::ALL {
                let action = profile.action_on(channel, rule, family);
                assert_eq!(explained.action_on(channel, rule, family), action, "{rule}");
            }
        }
        let own = ChannelPolicy { level: Some(1), ..ChannelPolicy::default() };
        let narrow = Profile { channels: [(Channel::User, own)].into(), ..profile };
        assert_eq!(narrow.explained().explained(), narrow.explained());
    }

    #[test]
    fn what_a_detector_cannot_have_is_said() {
        let profile = profile(
            r#"{"detectors": {"pii": {"tag": 0.5}, "leak": {"on_gap": "block"}, "model": {"tag": 0.9, "level": 7},
                              "patterns": {"tag": 0.3, "block": 0.2}}}"#,
        );
        let mut list = Vec::new();
        profile.check(&core::iter::empty(), &mut Complaints::new(&mut list));
        let fields: Vec<String> = list.into_iter().map(|error| error.field).collect();
        let expected = [
            "detectors.patterns",
            "detectors.model.level",
            "detectors.model",
            "detectors.pii.tag",
            "detectors.leak.on_gap",
        ];
        assert_eq!(fields, expected);
    }
}
