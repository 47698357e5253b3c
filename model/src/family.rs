//! What kind of thing a rule looks for. Families are the words people see in replies, metrics and policies.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Text that tries to replace the instructions the model was given.
    Injection,
    /// Text that tries to talk the model out of its safety behaviour.
    Jailbreak,
    /// Text that tries to get hidden context (system prompt, tools, secrets) out.
    Leak,
    /// Topics that many operators want kept out. Off unless a policy asks for it.
    Harmful,
    /// Text that is out of sight of people, or looks like another one: smuggled to the model, whatever it says.
    Obfuscation,
    /// Personal or payment data: sensitive, not hostile.
    Pii,
    /// Keys, tokens and passwords: sensitive, not hostile.
    Secret,
}

impl Family {
    pub const ALL: [Self; 7] = [
        Self::Injection,
        Self::Jailbreak,
        Self::Leak,
        Self::Harmful,
        Self::Obfuscation,
        Self::Pii,
        Self::Secret,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Injection => "injection",
            Self::Jailbreak => "jailbreak",
            Self::Leak => "leak",
            Self::Harmful => "harmful",
            Self::Obfuscation => "obfuscation",
            Self::Pii => "pii",
            Self::Secret => "secret",
        }
    }

    /// Whether findings raise the risk score; the others say what data is there.
    pub const fn raises_risk(self) -> bool {
        !matches!(self, Self::Pii | Self::Secret)
    }

    /// Whether it turns against the model, and not only asks it for something that it should not do.
    pub const fn is_attack(self) -> bool {
        self.raises_risk() && !matches!(self, Self::Harmful)
    }
}
