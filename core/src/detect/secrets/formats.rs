//! Tokens with a prefix of their own. Prefixes and lengths are those that the services document or issue.

use super::{
    chars::Set,
    rule::Rule,
    token::{
        Format,
        Part::{self, Exactly, Perhaps, Run},
        Proof,
    },
};

const UUID: Part = Run(Set::UUID, 36, 36);
const HEX32: Part = Run(Set::HEX, 32, 32);
const HEX40: Part = Run(Set::HEX, 40, 40);
const HEX64: Part = Run(Set::HEX, 64, 64);

const fn form(rule: Rule, prefix: &'static str, parts: &'static [Part]) -> Format {
    Format { rule, prefix, parts, proof: Proof::Form }
}

const fn random(rule: Rule, prefix: &'static str, parts: &'static [Part]) -> Format {
    Format { rule, prefix, parts, proof: Proof::Random }
}

const fn checked(rule: Rule, prefix: &'static str, parts: &'static [Part]) -> Format {
    Format { rule, prefix, parts, proof: Proof::Checksum }
}

pub(super) static FORMATS: &[Format] = &[
    // Clouds.
    form(Rule::AwsKey, "AKIA", &[Run(Set::UPPER_DIGIT, 16, 16)]),
    form(Rule::AwsKey, "ASIA", &[Run(Set::UPPER_DIGIT, 16, 16)]),
    form(Rule::AwsKey, "ABIA", &[Run(Set::UPPER_DIGIT, 16, 16)]),
    form(Rule::AwsKey, "ACCA", &[Run(Set::UPPER_DIGIT, 16, 16)]),
    form(Rule::AwsKey, "A3T", &[Run(Set::UPPER_DIGIT, 17, 17)]),
    form(Rule::AwsKey, "ABSK", &[Run(Set::BASE64, 100, 300)]),
    form(Rule::AwsKey, "amzn.mws.", &[UUID]),
    form(Rule::AwsKey, "da2-", &[Run(Set::LOWER_DIGIT, 26, 26)]),
    form(Rule::GcpKey, "AIza", &[Run(Set::TOKEN, 35, 35)]),
    form(Rule::GcpKey, "GOCSPX-", &[Run(Set::TOKEN, 28, 28)]),
    random(Rule::GcpKey, "ya29.", &[Run(Set::DOTTED, 30, 2048)]),
    form(Rule::AzureKey, "AccountKey=", &[Run(Set::BASE64, 44, 90)]),
    form(Rule::AzureKey, "SharedAccessKey=", &[Run(Set::BASE64, 43, 90)]),
    random(Rule::AzureSas, "sig=", &[Run(Set::ESCAPED64, 43, 80)]),
    form(Rule::ServiceToken, "dop_v1_", &[HEX64]),
    form(Rule::ServiceToken, "doo_v1_", &[HEX64]),
    form(Rule::ServiceToken, "dor_v1_", &[HEX64]),
    random(Rule::ServiceToken, "LTAI", &[Run(Set::ALNUM, 16, 26)]),
    random(Rule::ServiceToken, "AKID", &[Run(Set::ALNUM, 32, 32)]),
    // Source code.
    checked(Rule::GithubToken, "ghp_", &[Run(Set::ALNUM, 36, 36)]),
    checked(Rule::GithubToken, "gho_", &[Run(Set::ALNUM, 36, 36)]),
    checked(Rule::GithubToken, "ghu_", &[Run(Set::ALNUM, 36, 36)]),
    checked(Rule::GithubToken, "ghs_", &[Run(Set::ALNUM, 36, 36)]),
    checked(Rule::GithubToken, "ghr_", &[Run(Set::ALNUM, 36, 76)]),
    form(Rule::GithubToken, "github_pat_", &[Run(Set::ALNUM, 22, 22), Exactly("_"), Run(Set::ALNUM, 59, 59)]),
    form(Rule::GitlabToken, "glpat-", &[Run(Set::DOTTED, 20, 300)]),
    form(Rule::GitlabToken, "glptt-", &[HEX40]),
    form(Rule::GitlabToken, "gldt-", &[Run(Set::TOKEN, 20, 64)]),
    form(Rule::GitlabToken, "glrt-", &[Run(Set::DOTTED, 20, 64)]),
    form(Rule::GitlabToken, "glcbt-", &[Run(Set::TOKEN, 20, 64)]),
    form(Rule::GitlabToken, "glsoat-", &[Run(Set::TOKEN, 20, 64)]),
    form(Rule::GitlabToken, "glft-", &[Run(Set::TOKEN, 20, 64)]),
    form(Rule::GitlabToken, "glimt-", &[Run(Set::TOKEN, 20, 64)]),
    form(Rule::GitlabToken, "glagent-", &[Run(Set::TOKEN, 40, 64)]),
    form(Rule::GitlabToken, "gloas-", &[HEX64]),
    form(Rule::GitlabToken, "GR1348941", &[Run(Set::TOKEN, 20, 20)]),
    random(Rule::BitbucketToken, "ATBB", &[Run(Set::ANY64, 32, 32)]),
    form(Rule::BitbucketToken, "ATCTT3xFf", &[Run(Set::ANY64, 100, 300)]),
    form(Rule::ServiceToken, "ATATT3xFf", &[Run(Set::ANY64, 100, 300)]),
    // Chat.
    form(Rule::SlackToken, "xoxb-", &[Run(Set::DASHED, 24, 100)]),
    form(Rule::SlackToken, "xoxp-", &[Run(Set::DASHED, 24, 100)]),
    form(Rule::SlackToken, "xoxa-", &[Run(Set::DASHED, 24, 200)]),
    form(Rule::SlackToken, "xoxr-", &[Run(Set::DASHED, 24, 200)]),
    form(Rule::SlackToken, "xoxs-", &[Run(Set::DASHED, 24, 200)]),
    form(Rule::SlackToken, "xoxo-", &[Run(Set::DASHED, 24, 200)]),
    form(Rule::SlackToken, "xoxc-", &[Run(Set::DASHED, 24, 200)]),
    form(Rule::SlackToken, "xoxd-", &[Run(Set::ESCAPED64, 40, 400)]),
    form(Rule::SlackToken, "xoxe-", &[Run(Set::DASHED, 24, 300)]),
    form(Rule::SlackToken, "xoxe.", &[Run(Set::DOTTED, 24, 300)]),
    form(Rule::SlackToken, "xapp-", &[Run(Set::DASHED, 24, 200)]),
    form(
        Rule::SlackHook,
        "hooks.slack.com/services/",
        &[
            Run(Set::UPPER_DIGIT, 8, 13),
            Exactly("/"),
            Run(Set::UPPER_DIGIT, 8, 13),
            Exactly("/"),
            Run(Set::ALNUM, 20, 30),
        ],
    ),
    form(
        Rule::SlackHook,
        "hooks.slack.com/workflows/",
        &[
            Run(Set::UPPER_DIGIT, 8, 13),
            Exactly("/"),
            Run(Set::UPPER_DIGIT, 8, 13),
            Exactly("/"),
            Run(Set::DIGIT, 15, 20),
            Exactly("/"),
            Run(Set::ALNUM, 20, 30),
        ],
    ),
    form(Rule::DiscordHook, "discord.com/api/webhooks/", DISCORD_HOOK),
    form(Rule::DiscordHook, "discordapp.com/api/webhooks/", DISCORD_HOOK),
    form(Rule::TeamsHook, "webhook.office.com/webhookb2/", TEAMS_HOOK),
    form(Rule::TeamsHook, "outlook.office.com/webhook/", TEAMS_HOOK),
    // Payment.
    form(Rule::StripeKey, "sk_live_", &[Run(Set::ALNUM, 20, 247)]),
    form(Rule::StripeKey, "sk_test_", &[Run(Set::ALNUM, 20, 247)]),
    form(Rule::StripeKey, "rk_live_", &[Run(Set::ALNUM, 20, 247)]),
    form(Rule::StripeKey, "rk_test_", &[Run(Set::ALNUM, 20, 247)]),
    random(Rule::StripeKey, "whsec_", &[Run(Set::BASE64, 32, 64)]),
    form(Rule::SquareKey, "sq0atp-", &[Run(Set::TOKEN, 22, 22)]),
    form(Rule::SquareKey, "sq0csp-", &[Run(Set::TOKEN, 43, 43)]),
    random(Rule::SquareKey, "EAAA", &[Run(Set::TOKEN, 60, 60)]),
    form(Rule::PaypalKey, "access_token$production$", BRAINTREE),
    form(Rule::PaypalKey, "access_token$sandbox$", BRAINTREE),
    form(Rule::ShopifyToken, "shpat_", &[HEX32]),
    form(Rule::ShopifyToken, "shpca_", &[HEX32]),
    form(Rule::ShopifyToken, "shppa_", &[HEX32]),
    form(Rule::ShopifyToken, "shpss_", &[HEX32]),
    random(Rule::ServiceToken, "rzp_live_", &[Run(Set::ALNUM, 14, 24)]),
    form(Rule::ServiceToken, "access-production-", &[UUID]),
    form(Rule::ServiceToken, "access-development-", &[UUID]),
    form(Rule::ServiceToken, "access-sandbox-", &[UUID]),
    form(Rule::ServiceToken, "FLWSECK-", &[HEX32, Exactly("-X")]),
    random(Rule::ServiceToken, "EZAK", &[Run(Set::ALNUM, 54, 54)]),
    // Language models.
    form(Rule::AnthropicKey, "sk-ant-", &[Run(Set::TOKEN, 60, 200)]),
    form(Rule::OpenaiKey, "sk-proj-", &[Run(Set::TOKEN, 40, 200)]),
    form(Rule::OpenaiKey, "sk-svcacct-", &[Run(Set::TOKEN, 40, 200)]),
    form(Rule::OpenaiKey, "sk-admin-", &[Run(Set::TOKEN, 40, 200)]),
    random(Rule::OpenaiKey, "sk-", &[Run(Set::ALNUM, 32, 100)]),
    form(Rule::LlmKey, "sk-or-v1-", &[HEX64]),
    form(Rule::LlmKey, "sk-lf-", &[UUID]),
    form(Rule::LlmKey, "sk_", &[Run(Set::HEX, 48, 48)]),
    form(Rule::HfToken, "hf_", &[Run(Set::ALNUM, 34, 37)]),
    form(Rule::HfToken, "api_org_", &[Run(Set::ALPHA, 34, 34)]),
    form(Rule::LlmKey, "gsk_", &[Run(Set::ALNUM, 52, 52)]),
    form(Rule::LlmKey, "r8_", &[Run(Set::ALNUM, 37, 37)]),
    random(Rule::LlmKey, "pplx-", &[Run(Set::ALNUM, 40, 64)]),
    random(Rule::LlmKey, "xai-", &[Run(Set::ALNUM, 70, 90)]),
    form(Rule::LlmKey, "csk-", &[Run(Set::LOWER_DIGIT, 40, 56)]),
    random(Rule::LlmKey, "nvapi-", &[Run(Set::TOKEN, 60, 72)]),
    random(Rule::LlmKey, "tgp_v1_", &[Run(Set::TOKEN, 40, 48)]),
    random(Rule::LlmKey, "fw_", &[Run(Set::ALNUM, 22, 24)]),
    form(Rule::LlmKey, "lsv2_pt_", &[HEX32, Exactly("_"), Run(Set::HEX, 10, 10)]),
    form(Rule::LlmKey, "lsv2_sk_", &[HEX32, Exactly("_"), Run(Set::HEX, 10, 10)]),
    random(Rule::LlmKey, "jina_", &[Run(Set::TOKEN, 55, 70)]),
    form(Rule::LlmKey, "fc-", &[HEX32]),
    random(Rule::LlmKey, "tvly-", &[Run(Set::TOKEN, 32, 48)]),
    random(Rule::LlmKey, "pcsk_", &[Run(Set::TOKEN, 60, 80)]),
    form(Rule::LlmKey, "e2b_", &[HEX40]),
    random(Rule::LlmKey, "pa-", &[Run(Set::TOKEN, 43, 43)]),
    // Registries.
    checked(Rule::NpmToken, "npm_", &[Run(Set::ALNUM, 36, 36)]),
    form(Rule::PypiToken, "pypi-Ag", &[Run(Set::TOKEN, 60, 1000)]),
    form(Rule::DockerToken, "dckr_pat_", &[Run(Set::TOKEN, 27, 36)]),
    form(Rule::DockerToken, "dckr_oat_", &[Run(Set::TOKEN, 27, 36)]),
    random(Rule::CratesToken, "cio", &[Run(Set::ALNUM, 32, 32)]),
    form(Rule::GemKey, "rubygems_", &[Run(Set::HEX, 48, 48)]),
    form(Rule::NugetKey, "oy2", &[Run(Set::LOWER_DIGIT, 43, 43)]),
    random(Rule::ServiceToken, "AKCp", &[Run(Set::ALNUM, 60, 80)]),
    form(Rule::ServiceToken, "cmVmdGtu", &[Run(Set::BASE64, 50, 70)]),
    random(Rule::ServiceToken, "CLOJARS_", &[Run(Set::HEX, 60, 60)]),
    // Mail and messages.
    form(Rule::SendgridKey, "SG.", &[Run(Set::TOKEN, 16, 32), Exactly("."), Run(Set::TOKEN, 32, 64)]),
    form(Rule::MailgunKey, "key-", &[HEX32]),
    form(Rule::TwilioKey, "SK", &[Run(Set::HEX, 32, 32)]),
    form(Rule::ServiceToken, "xkeysib-", &[HEX64, Exactly("-"), Run(Set::ALNUM, 16, 16)]),
    form(Rule::ServiceToken, "xsmtpsib-", &[HEX64, Exactly("-"), Run(Set::ALNUM, 16, 16)]),
    random(Rule::ServiceToken, "re_", &[Run(Set::ALNUM, 8, 8), Exactly("_"), Run(Set::ALNUM, 24, 24)]),
    // Other services.
    form(Rule::VaultToken, "hvs.", &[Run(Set::TOKEN, 60, 300)]),
    form(Rule::VaultToken, "hvb.", &[Run(Set::TOKEN, 100, 400)]),
    form(Rule::DatabricksToken, "dapi", &[HEX32, Perhaps("-2"), Perhaps("-3")]),
    random(Rule::ServiceToken, "atlasv1.", &[Run(Set::TOKEN, 60, 80)]),
    form(Rule::ServiceToken, "dp.pt.", &[Run(Set::ALNUM, 40, 44)]),
    form(Rule::ServiceToken, "dp.ct.", &[Run(Set::ALNUM, 40, 44)]),
    form(Rule::ServiceToken, "dp.sa.", &[Run(Set::ALNUM, 40, 44)]),
    form(Rule::ServiceToken, "dp.scim.", &[Run(Set::ALNUM, 40, 44)]),
    form(Rule::ServiceToken, "dp.audit.", &[Run(Set::ALNUM, 40, 44)]),
    random(Rule::ServiceToken, "dp.st.", &[Run(Set::DOTTED, 40, 80)]),
    form(Rule::ServiceToken, "pul-", &[HEX40]),
    form(Rule::ServiceToken, "lin_api_", &[Run(Set::ALNUM, 40, 40)]),
    random(Rule::ServiceToken, "lin_oauth_", &[Run(Set::ALNUM, 40, 64)]),
    random(Rule::ServiceToken, "secret_", &[Run(Set::ALNUM, 43, 43)]),
    random(Rule::ServiceToken, "ntn_", &[Run(Set::ALNUM, 46, 46)]),
    form(Rule::ServiceToken, "PMAK-", &[Run(Set::HEX, 24, 24), Exactly("-"), Run(Set::HEX, 34, 34)]),
    form(Rule::ServiceToken, "NRAK-", &[Run(Set::UPPER_DIGIT, 27, 27)]),
    random(Rule::ServiceToken, "NRII-", &[Run(Set::TOKEN, 32, 32)]),
    random(Rule::ServiceToken, "NRIQ-", &[Run(Set::TOKEN, 32, 32)]),
    form(Rule::ServiceToken, "NRAA-", &[Run(Set::HEX, 27, 27)]),
    form(Rule::ServiceToken, "glsa_", &[Run(Set::ALNUM, 32, 32), Exactly("_"), Run(Set::HEX, 8, 8)]),
    random(Rule::ServiceToken, "glc_", &[Run(Set::BASE64, 32, 400)]),
    form(Rule::ServiceToken, "figd_", &[Run(Set::TOKEN, 38, 44)]),
    form(Rule::ServiceToken, "pat", &[Run(Set::ALNUM, 14, 14), Exactly("."), HEX64]),
    form(Rule::ServiceToken, "sntrys_eyJ", &[Run(Set::ANY64, 60, 400)]),
    form(Rule::ServiceToken, "sntryu_", &[HEX64]),
    form(Rule::ServiceToken, "sgp_", &[Run(Set::HEX, 40, 64)]),
    form(Rule::ServiceToken, "sgp_local_", &[HEX40]),
    form(Rule::ServiceToken, "sgp_", &[Run(Set::HEX, 16, 16), Exactly("_"), HEX40]),
    random(Rule::ServiceToken, "HRKU-", &[Run(Set::TOKEN, 36, 64)]),
    form(Rule::ServiceToken, "pscale_tkn_", &[Run(Set::DOTTED, 32, 64)]),
    form(Rule::ServiceToken, "pscale_pw_", &[Run(Set::DOTTED, 32, 64)]),
    form(Rule::ServiceToken, "pscale_oauth_", &[Run(Set::DOTTED, 32, 64)]),
    form(Rule::ServiceToken, "sbp_", &[HEX40]),
    form(Rule::ServiceToken, "sb_secret_", &[Run(Set::TOKEN, 30, 64)]),
    random(Rule::ServiceToken, "nfp_", &[Run(Set::ALNUM, 36, 40)]),
    form(Rule::ServiceToken, "bkua_", &[HEX40]),
    random(Rule::ServiceToken, "CCIPAT_", &[Run(Set::TOKEN, 40, 80)]),
    form(Rule::ServiceToken, "rdme_", &[Run(Set::LOWER_DIGIT, 70, 70)]),
    random(Rule::ServiceToken, "pnu_", &[Run(Set::ALNUM, 36, 36)]),
    random(Rule::ServiceToken, "tfp_", &[Run(Set::TOKEN, 40, 64)]),
    form(Rule::ServiceToken, "pat-na1-", &[UUID]),
    form(Rule::ServiceToken, "pat-eu1-", &[UUID]),
    form(Rule::ServiceToken, "ops_eyJ", &[Run(Set::ANY64, 200, 1200)]),
    random(Rule::ServiceToken, "tskey-", &[Run(Set::TOKEN, 24, 80)]),
    random(Rule::ServiceToken, "CFPAT-", &[Run(Set::TOKEN, 43, 43)]),
    form(Rule::ServiceToken, "dt0c01.", &[Run(Set::ALNUM, 24, 24), Exactly("."), Run(Set::ALNUM, 64, 64)]),
    form(Rule::ServiceToken, "EAACEdEose0cBA", &[Run(Set::ALNUM, 20, 400)]),
    random(Rule::ServiceToken, "EAA", &[Run(Set::ALNUM, 100, 400)]),
    random(Rule::ServiceToken, "aio_", &[Run(Set::ALNUM, 28, 28)]),
    random(Rule::ServiceToken, "odt_", &[Run(Set::ALNUM, 32, 40)]),
    form(Rule::ServiceToken, "px-api-", &[UUID]),
    form(Rule::ServiceToken, "px-dep-", &[UUID]),
    random(Rule::ServiceToken, "live_", &[Run(Set::DIGIT, 6, 12), Exactly("_"), Run(Set::ALNUM, 30, 30)]),
    form(Rule::ServiceToken, "sqp_", &[HEX40]),
    form(Rule::ServiceToken, "squ_", &[HEX40]),
    form(Rule::ServiceToken, "sqa_", &[HEX40]),
    random(Rule::ServiceToken, "fm2_", &[Run(Set::BASE64, 100, 1000)]),
    random(Rule::ServiceToken, "sl.", &[Run(Set::TOKEN, 130, 160)]),
    form(Rule::ServiceToken, "v1.0-", &[Run(Set::HEX, 24, 24), Exactly("-"), Run(Set::HEX, 146, 146)]),
    form(Rule::ServiceToken, "sk.eyJ", MAPBOX),
    form(Rule::ServiceToken, "tk.eyJ", MAPBOX),
    random(Rule::ServiceToken, "hawk.", &[Run(Set::ALNUM, 20, 20), Exactly("."), Run(Set::ALNUM, 20, 20)]),
    // Keys.
    form(Rule::AgeKey, "AGE-SECRET-KEY-1", &[Run(Set::UPPER_DIGIT, 58, 58)]),
    Format {
        rule: Rule::PrivateKey,
        prefix: "LS0tLS1CRUdJTi",
        parts: &[Run(Set::BASE64, 60, 16_384)],
        proof: Proof::Pem,
    },
    Format {
        rule: Rule::Jwt,
        prefix: "eyJ",
        parts: &[
            Run(Set::TOKEN, 9, 4_096),
            Exactly("."),
            Run(Set::TOKEN, 4, 8_192),
            Exactly("."),
            Run(Set::TOKEN, 20, 2_048),
        ],
        proof: Proof::Jwt,
    },
];

const DISCORD_HOOK: &[Part] = &[Run(Set::DIGIT, 17, 20), Exactly("/"), Run(Set::TOKEN, 60, 80)];

const TEAMS_HOOK: &[Part] =
    &[UUID, Exactly("@"), UUID, Exactly("/IncomingWebhook/"), HEX32, Exactly("/"), UUID];

const MAPBOX: &[Part] = &[Run(Set::TOKEN, 20, 200), Exactly("."), Run(Set::TOKEN, 16, 64)];

const BRAINTREE: &[Part] = &[Run(Set::LOWER_DIGIT, 16, 16), Exactly("$"), HEX32];

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::{
        super::{SecretDetector, checksum::with_checksum, token::Seen},
        *,
    };
    use crate::detect::RuleIdx;

    /// Letters that look drawn by chance and are the same in every run. Fakes are put together here, so that no
    /// scanner of a code host takes one for real.
    fn drawn(set: Set, len: usize, seed: &mut u64) -> String {
        let mut letters = String::new();
        while letters.len() < len {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let byte = (*seed >> 57) as u8;
            if Set::ALNUM.has(byte) && set.has(byte) {
                letters.push(char::from(byte));
            }
        }
        letters
    }

    /// A token of a format; `short` takes a letter from its first part.
    fn fake(format: &Format, short: usize) -> String {
        let mut seed = format.prefix.bytes().fold(7_u64, |seed, b| seed.wrapping_mul(31) + u64::from(b));
        let mut text = String::from(format.prefix);
        match format.proof {
            Proof::Jwt => {
                return format!(
                    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.{}",
                    drawn(Set::ALNUM, 43 - short * 30, &mut seed)
                );
            }
            Proof::Pem => text = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ".into(),
            _ => {}
        }
        let mut short = short;
        for part in format.parts {
            match part {
                Run(set, min, _) => {
                    text.push_str(&drawn(*set, min - core::mem::take(&mut short), &mut seed));
                }
                Exactly(literal) => text.push_str(literal),
                Perhaps(_) => {}
            }
        }
        text
    }

    fn read(text: &str) -> Option<(Rule, usize)> {
        let detector = SecretDetector::new(RuleIdx(0)).unwrap();
        match detector.read_prefixed(text.to_ascii_lowercase().as_bytes(), text.as_bytes(), 0) {
            (rule, Seen::Token(end)) => Some((rule, end)),
            _ => None,
        }
    }

    #[test]
    fn a_token_of_each_format_is_found_whole() {
        for format in FORMATS {
            let token = fake(format, 0);
            for around in ["", " x", "\"", ", x"] {
                assert_eq!(
                    read(&format!("{token}{around}")),
                    Some((format.rule, token.len())),
                    "{token}{around}"
                );
            }
        }
    }

    #[test]
    fn shorter_ones_and_samples_are_not() {
        for format in FORMATS.iter().filter(|format| !matches!(format.proof, Proof::Pem)) {
            let short = fake(format, 1);
            assert_eq!(read(&short), None, "{short}");
            if matches!(format.proof, Proof::Jwt) {
                continue;
            }
            let body = fake(format, 0).split_off(format.prefix.len());
            let sample: String =
                body.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect();
            assert_eq!(read(&format!("{}{sample}", format.prefix)), None, "{}{sample}", format.prefix);
        }
    }

    #[test]
    fn longer_ones_are_something_else() {
        for format in FORMATS {
            if let (Some(Run(set, min, max)), [_]) = (format.parts.first(), format.parts)
                && min == max
            {
                let token = format!("{}{}", fake(format, 0), drawn(*set, 1, &mut 5));
                assert_ne!(read(&token).map(|(rule, _)| rule), Some(format.rule), "{token}");
            }
        }
    }

    #[test]
    fn a_checksum_that_fits_proves_a_token_that_looks_like_a_sample() {
        let entropy = "Example0Example0Example0Exampl";
        let token = format!("ghp_{}", with_checksum(entropy));
        assert_eq!(read(&token), Some((Rule::GithubToken, token.len())));
        assert_eq!(read(&format!("ghp_{entropy}000000")), None);
    }

    #[test]
    fn the_case_of_a_prefix_counts() {
        let token = fake(FORMATS.first().unwrap(), 0);
        assert_eq!(read(&token.to_ascii_lowercase()), None);
    }

    #[test]
    fn names_are_short_and_unlike() {
        for (idx, format) in FORMATS.iter().enumerate() {
            assert!(format.rule.name().len() <= 16);
            let twin = |other: &Format| other.prefix == format.prefix && other.rule != format.rule;
            assert!(!FORMATS.iter().skip(idx).any(twin), "{}", format.prefix);
        }
    }
}
