//! Profiles: what is done about what is found.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};

use sentinel_model::{Channel, Family};
use serde::{Deserialize, Serialize};

use super::{
    DetectorName, Detectors, EventPolicy, KeepContent, OpinionPolicy,
    error::Complaints,
    gaps::{GapAction, GapPolicy, builtin_gap_action},
    names,
    settings::{Limits, ModelPolicy, OnLimit, ResponsePolicy, ToolPolicy},
};
use crate::{action::Direction, receipt::GapReason};

/// What invoices show of a number, and nobody can use.
const KEEP_LAST_MAX: u8 = 4;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    pub mode: Mode,
    /// Paranoia level: rules above it are not used.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4)))]
    pub level: u8,
    /// Where risk begins to be tagged and to be blocked, unless a channel says otherwise.
    pub thresholds: Thresholds,
    /// What is otherwise on a channel.
    pub channels: BTreeMap<Channel, ChannelPolicy>,
    /// What is otherwise of one detector.
    pub detectors: Detectors,
    /// By rule id (`pii/card`), detector (`model`) or family (`pii`): what a finding leads to. The first of the three
    /// that is listed decides.
    pub rules: BTreeMap<String, RuleAction>,
    /// By the same names: how a mask looks.
    pub masks: BTreeMap<String, MaskStyle>,
    pub on_gap: GapPolicy,
    pub limits: Limits,
    pub response: ResponsePolicy,
    pub tools: ToolPolicy,
    pub model: ModelPolicy,
    pub opinion: OpinionPolicy,
    /// What events carry of the content; without it, nothing.
    // Written only where it is given, so that a policy that does not ask for it keeps its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventPolicy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Enforce,
    /// Everything is decided and recorded, nothing is changed or refused.
    Monitor,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub tag: f32,
    pub block: f32,
}

/// What one channel has otherwise than its profile. What is not given is as in the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ChannelPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// By the same names as the profile's, and before them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, RuleAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MaskStyle {
    /// `[CARD_1]`, for which the answer gets the text back.
    #[default]
    Placeholder,
    /// Stars, and so many letters and digits of its end. Of an e-mail address the domain stays.
    KeepLast(u8),
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            level: 1,
            thresholds: Thresholds { tag: 0.4, block: 0.8 },
            channels: BTreeMap::new(),
            detectors: Detectors::default(),
            rules: [Family::Pii, Family::Secret].map(|f| (f.name().to_string(), RuleAction::Mask)).into(),
            masks: BTreeMap::new(),
            on_gap: GapPolicy::default(),
            limits: Limits::default(),
            response: ResponsePolicy::default(),
            tools: ToolPolicy::default(),
            model: ModelPolicy::default(),
            opinion: OpinionPolicy::default(),
            events: None,
        }
    }
}

impl Profile {
    pub(super) fn check<'a>(
        &self,
        rules: &(impl Iterator<Item = &'a str> + Clone),
        complaints: &mut Complaints<'_>,
    ) {
        check_level(self.level, complaints);
        self.opinion.check(&mut complaints.at("opinion"));
        check_thresholds(self.thresholds, "thresholds", complaints);
        self.detectors.check(self.thresholds, &mut complaints.at("detectors"));
        check_names("rules", &self.rules, rules, complaints);
        for (channel, policy) in &self.channels {
            let mut complaints = complaints.at(&format!("channels.{}", channel.name()));
            check_thresholds(self.thresholds(*channel), "", &mut complaints);
            policy.level.into_iter().for_each(|level| check_level(level, &mut complaints));
            check_names("rules", &policy.rules, rules, &mut complaints);
        }
        check_names("masks", &self.masks, rules, complaints);
        for (name, style) in &self.masks {
            if let MaskStyle::KeepLast(n) = style
                && !(1..=KEEP_LAST_MAX).contains(n)
            {
                let reason = format!("is {n}, expected 1 to {KEEP_LAST_MAX}");
                complaints.add(&format!("masks.{name}.keep_last"), reason);
            }
        }
        self.limits.check(complaints);
        self.model.check(complaints);
        if let Some(events) = &self.events {
            events.check(&mut complaints.at("events"));
        }
    }

    /// What events carry of the content, if they carry any.
    pub(crate) fn kept_content(&self) -> Option<&EventPolicy> {
        self.events.as_ref().filter(|events| events.content != KeepContent::None)
    }

    /// Everything is decided and recorded, and nothing is refused.
    pub fn watches(&self) -> bool {
        self.mode == Mode::Monitor
    }

    pub fn thresholds(&self, channel: Channel) -> Thresholds {
        let Thresholds { tag, block } = self.thresholds;
        self.channels.get(&channel).map_or(self.thresholds, |own| Thresholds {
            tag: own.tag.unwrap_or(tag),
            block: own.block.unwrap_or(block),
        })
    }

    pub fn level(&self, channel: Channel) -> u8 {
        self.channels.get(&channel).and_then(|own| own.level).unwrap_or(self.level)
    }

    /// No channel and no detector uses a rule above this level.
    pub fn level_max(&self) -> u8 {
        let channels = self.channels.values().filter_map(|own| own.level);
        channels.chain(self.detectors.levels()).fold(self.level, u8::max)
    }

    /// What a finding leads to where its channel does not say otherwise. A family by itself has no id.
    pub fn rule_action(&self, id: &str, family: Family) -> RuleAction {
        self.held(id, family, self.general_action(id, family))
    }

    /// What a finding on a channel leads to.
    pub fn action_on(&self, channel: Channel, id: &str, family: Family) -> RuleAction {
        let own = self.channels.get(&channel).and_then(|own| named(&own.rules, id, family));
        let action = own.copied().unwrap_or_else(|| self.general_action(id, family));
        self.held(id, family, action)
    }

    fn general_action(&self, id: &str, family: Family) -> RuleAction {
        let of_detector =
            || self.detectors.get(DetectorName::of(id, family)).action.filter(|_| !id.is_empty());
        let of_family = || self.rules.get(family.name()).copied();
        let listed = named_itself(&self.rules, id).copied();
        listed.or_else(of_detector).or_else(of_family).unwrap_or(match family {
            Family::Pii | Family::Secret => RuleAction::Mask,
            Family::Harmful => RuleAction::Off,
            _ => RuleAction::Score,
        })
    }

    /// What the detector that finds it allows.
    fn held(&self, id: &str, family: Family, action: RuleAction) -> RuleAction {
        if id.is_empty() { action } else { self.detectors.get(DetectorName::of(id, family)).decide(action) }
    }

    /// Whether findings of a rule on a channel count for anything, or are at least recorded.
    pub(crate) fn uses(&self, channel: Channel, id: &str, family: Family, level: u8) -> bool {
        let of_channel = self.channels.get(&channel).and_then(|own| own.level);
        let of_detector = || self.detectors.get(DetectorName::of(id, family)).level;
        level <= of_channel.or_else(of_detector).unwrap_or(self.level)
            && self.action_on(channel, id, family) != RuleAction::Off
    }

    /// Whether they do on any channel.
    pub(crate) fn uses_somewhere(&self, id: &str, family: Family, level: u8) -> bool {
        Channel::ALL.iter().any(|channel| self.uses(*channel, id, family, level))
    }

    pub fn mask_style(&self, id: &str, family: Family) -> MaskStyle {
        named(&self.masks, id, family).copied().unwrap_or_default()
    }

    pub fn gap_action(&self, direction: Direction, reason: GapReason) -> GapAction {
        let chosen = match direction {
            Direction::Request => &self.on_gap.request,
            Direction::Response => &self.on_gap.response,
        };
        let chosen = chosen.get(&reason).copied().or_else(|| self.detectors.on_gap(reason));
        chosen.unwrap_or_else(|| match (reason, self.limits.on_limit) {
            (GapReason::Length, OnLimit::Reject) => GapAction::Block,
            _ => builtin_gap_action(direction, reason),
        })
    }

    /// The profile with every choice written out that is in force: thresholds of channels, families, gap reasons.
    pub fn explained(&self) -> Self {
        let all = |direction| GapReason::ALL.map(|reason| (reason, self.gap_action(direction, reason)));
        let channel = |channel: Channel| {
            let Thresholds { tag, block } = self.thresholds(channel);
            let rules = self.channels.get(&channel).map(|own| own.rules.clone()).unwrap_or_default();
            let own = self.channels.get(&channel).and_then(|own| own.level);
            // It would go before those of detectors.
            let level = own.or_else(|| self.detectors.levels().next().is_none().then_some(self.level));
            (channel, ChannelPolicy { tag: Some(tag), block: Some(block), level, rules })
        };
        let rules = Family::ALL.map(|family| (family.name().to_string(), self.rule_action("", family)));
        let masked = [Family::Pii, Family::Secret];
        let masks = masked.map(|family| (family.name().to_string(), self.mask_style("", family)));
        let mut explained = self.clone();
        explained.channels = Channel::ALL.map(channel).into();
        for own in explained.detectors.all_mut() {
            own.level = Some(own.level.unwrap_or(self.level));
        }
        explained.rules = rules.into_iter().chain(self.rules.clone()).collect();
        explained.masks = masks.into_iter().chain(self.masks.clone()).collect();
        explained.on_gap.request = all(Direction::Request).into_iter().collect();
        explained.on_gap.response = all(Direction::Response).into_iter().collect();
        explained.events = Some(self.events.clone().unwrap_or_default());
        explained
    }
}

/// By its id, the detector or its family, in this order.
fn named<'a, T>(table: &'a BTreeMap<String, T>, id: &str, family: Family) -> Option<&'a T> {
    named_itself(table, id).or_else(|| table.get(family.name()))
}

fn named_itself<'a, T>(table: &'a BTreeMap<String, T>, id: &str) -> Option<&'a T> {
    table.get(id).or_else(|| names::detector(id).and_then(|detector| table.get(detector)))
}

pub(super) fn check_level(level: u8, complaints: &mut Complaints<'_>) {
    if !(1..=4).contains(&level) {
        complaints.add("level", format!("is {level}, expected 1 to 4"));
    }
}

fn check_names<'a, T>(
    field: &str,
    table: &BTreeMap<String, T>,
    rules: &(impl Iterator<Item = &'a str> + Clone),
    complaints: &mut Complaints<'_>,
) {
    for name in table.keys() {
        if let Some(reason) = names::complaint(name, rules.clone()) {
            complaints.add(&format!("{field}.{name}"), reason);
        }
    }
}

pub(super) fn check_thresholds(
    Thresholds { tag, block }: Thresholds,
    field: &str,
    complaints: &mut Complaints<'_>,
) {
    if !(tag > 0.0 && tag <= block && block.is_finite()) {
        let reason = format!(
            "tag is {tag} and block is {block}, expected 0 < tag <= block; a threshold above 1 switches it off"
        );
        complaints.add(field, reason);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn complaints(profile: &Profile) -> Vec<String> {
        let mut list = Vec::new();
        profile.check(&["pii/card", "injection/model"].into_iter(), &mut Complaints::new(&mut list));
        list.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn masks_name_a_rule_and_keep_little() {
        let complaint = |name: &str, style| {
            complaints(&Profile { masks: [(name.into(), style)].into(), ..Profile::default() })
        };
        assert!(complaint("pii/card", MaskStyle::KeepLast(4)).is_empty());
        assert!(complaint("secret", MaskStyle::Placeholder).is_empty());
        assert_eq!(complaint("pii/cart", MaskStyle::KeepLast(4)), ["masks.pii/cart"]);
        for n in [0, 5] {
            assert_eq!(complaint("pii", MaskStyle::KeepLast(n)), ["masks.pii.keep_last"]);
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
    fn a_channel_goes_before_its_profile_and_an_id_before_its_detector_and_family() {
        let rules = |pairs: &[(&str, RuleAction)]| {
            pairs.iter().map(|(name, action)| ((*name).into(), *action)).collect::<BTreeMap<String, _>>()
        };
        let of_results = rules(&[("injection", RuleAction::Block)]);
        let own = ChannelPolicy { block: Some(0.5), level: Some(3), rules: of_results, ..Default::default() };
        let general = [
            ("injection/model", RuleAction::Tag),
            ("model", RuleAction::Monitor),
            ("jailbreak", RuleAction::Off),
        ];
        let profile = Profile {
            rules: rules(&general),
            channels: [(Channel::ToolResult, own)].into(),
            ..Profile::default()
        };
        let on = |channel, id: &str, family| profile.action_on(channel, id, family);
        assert_eq!(on(Channel::User, "injection/model", Family::Injection), RuleAction::Tag);
        assert_eq!(on(Channel::User, "jailbreak/model", Family::Jailbreak), RuleAction::Monitor);
        assert_eq!(on(Channel::User, "jailbreak/dan", Family::Jailbreak), RuleAction::Off);
        assert_eq!(on(Channel::ToolResult, "injection/model", Family::Injection), RuleAction::Block);
        assert_eq!(on(Channel::ToolResult, "jailbreak/dan", Family::Jailbreak), RuleAction::Off);
        assert_eq!(profile.thresholds(Channel::ToolResult), Thresholds { tag: 0.4, block: 0.5 });
        assert_eq!((profile.level(Channel::User), profile.level(Channel::ToolResult)), (1, 3));
        assert_eq!(profile.level_max(), 3);
        assert!(complaints(&profile).is_empty(), "{:?}", complaints(&profile));
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let rules: BTreeMap<String, _> = [("pii/cart".into(), RuleAction::Off)].into();
        let own =
            ChannelPolicy { tag: Some(0.9), level: Some(9), rules: rules.clone(), ..Default::default() };
        let profile = Profile {
            level: 0,
            rules,
            channels: [(Channel::User, own)].into(),
            limits: Limits { body_bytes: 1, prompt_chars: 0, ..Limits::default() },
            ..Profile::default()
        };
        let fields = [
            "level",
            "rules.pii/cart",
            "channels.user",
            "channels.user.level",
            "channels.user.rules.pii/cart",
            "limits.body_bytes",
            "limits.prompt_chars",
        ];
        assert_eq!(complaints(&profile), fields);
    }
}
