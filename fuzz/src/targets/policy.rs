//! Any bytes as the plugin configuration. What loads says the same when it is written out and loaded again.

use std::sync::{Arc, OnceLock};

use sentinel_core::{Engine, PatternSet, config::PluginConfig, policy::Policy};

pub fn run(data: &[u8]) {
    let _ = PluginConfig::salvage_collector(data);
    let Ok(config) = PluginConfig::parse(data) else { return };
    let policy = config.effective_policy();
    if load(&policy).is_err() {
        return;
    }
    let written = serde_json::to_vec(&config).expect("a configuration can be written");
    let again = PluginConfig::parse(&written);
    assert_eq!(again.as_ref(), Ok(&config), "{}", String::from_utf8_lossy(&written));

    let explained = policy.profiles.iter().map(|(name, profile)| (name.clone(), profile.explained()));
    let explained = Policy { profiles: explained.collect(), ..policy };
    assert!(
        load(&explained).is_ok(),
        "a policy that was explained does not load: {:?}",
        load(&explained).err()
    );
    let twice = explained.profiles.values().map(|profile| profile.explained());
    assert!(twice.eq(explained.profiles.values().cloned()), "explained twice, and not the same");
}

fn load(policy: &Policy) -> Result<Engine, sentinel_core::policy::PolicyError> {
    static PATTERNS: OnceLock<Arc<PatternSet>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| Arc::new(PatternSet::builtin().expect("the packs compile")));
    Engine::new(policy.clone(), Arc::clone(patterns))
}
