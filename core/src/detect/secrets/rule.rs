//! The rules of this detector: what each kind of secret is called, and how sure a match is.
//!
//! The last part of a name is what placeholders are named after, so names stay short.

use alloc::{format, vec::Vec};

use sentinel_model::Family;

use crate::detect::RuleInfo;

macro_rules! rules {
    ($($rule:ident $name:literal $level:literal $score:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Rule { $($rule),+ }

        impl Rule {            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$rule),+];

            #[cfg(test)]
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),+ }
            }
        }

        const INFOS: &[(&str, u8, f32)] = &[$(($name, $level, $score)),+];
    };
}

// Level 1: a format that nothing else has. Level 2: a name that says secret, and a value that looks like one.
// Level 3: nothing but randomness.
rules! {
    AwsKey "aws-key" 1 0.98,
    AwsSecret "aws-secret" 1 0.95,
    GcpKey "gcp-key" 1 0.98,
    AzureKey "azure-key" 1 0.98,
    AzureSas "azure-sas" 1 0.95,
    GithubToken "github-token" 1 0.99,
    GitlabToken "gitlab-token" 1 0.98,
    BitbucketToken "bitbucket-token" 1 0.98,
    SlackToken "slack-token" 1 0.98,
    SlackHook "slack-hook" 1 0.98,
    DiscordToken "discord-token" 1 0.95,
    DiscordHook "discord-hook" 1 0.98,
    TelegramToken "telegram-token" 1 0.97,
    TeamsHook "teams-hook" 1 0.97,
    StripeKey "stripe-key" 1 0.98,
    SquareKey "square-key" 1 0.97,
    PaypalKey "paypal-key" 1 0.98,
    OpenaiKey "openai-key" 1 0.97,
    AnthropicKey "anthropic-key" 1 0.99,
    LlmKey "llm-key" 1 0.96,
    HfToken "hf-token" 1 0.97,
    NpmToken "npm-token" 1 0.98,
    PypiToken "pypi-token" 1 0.99,
    DockerToken "docker-token" 1 0.98,
    CratesToken "crates-token" 1 0.95,
    GemKey "gem-key" 1 0.98,
    NugetKey "nuget-key" 1 0.95,
    SendgridKey "sendgrid-key" 1 0.99,
    MailgunKey "mailgun-key" 1 0.96,
    TwilioKey "twilio-key" 1 0.93,
    MailchimpKey "mailchimp-key" 1 0.97,
    VaultToken "vault-token" 1 0.97,
    DatabricksToken "databricks-token" 1 0.96,
    ShopifyToken "shopify-token" 1 0.98,
    ServiceToken "service-token" 1 0.95,
    UrlPassword "url-password" 1 0.95,
    PrivateKey "private-key" 1 0.99,
    AgeKey "age-key" 1 0.99,
    Jwt "jwt" 1 0.95,
    Bearer "bearer" 1 0.90,
    Key "key" 2 0.80,
    Password "password" 2 0.70,
    Random "random" 3 0.40,
}

/// All rules, in the order of [`Rule`].
pub(crate) fn infos() -> Vec<RuleInfo> {
    let info = |&(name, level, score): &(&str, u8, f32)| RuleInfo {
        id: format!("secret/{name}"),
        version: 1,
        family: Family::Secret,
        level,
        score,
    };
    INFOS.iter().map(info).collect()
}
