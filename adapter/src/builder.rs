//! Engines from policies and bundles. What several of them have in common is built once: the rules and the model that are
//! compiled in, and packs and models that came with bundles.

use std::sync::Arc;

use sentinel_bundle::{Bundle, Newest, PublicKey, base64};
use sentinel_core::{CompactModel, Engine, PatternSet, config::PluginConfig, policy::Policy};

use crate::parts::Parts;

#[derive(Clone, Debug, Default)]
pub struct Builder {
    parts: Parts,
    patterns: Option<Arc<PatternSet>>,
    model: Option<Arc<CompactModel>>,
}

/// What a bundle made.
#[derive(Debug)]
pub struct Built {
    pub engine: Arc<Engine>,
    /// The bundle's id.
    pub bundle: String,
    /// In seconds of the epoch.
    pub expires: u64,
    pub newest: Newest,
}

impl Builder {
    /// With the rules compiled and the model opened. No configuration, host, clock or chance has a part in that.
    pub fn prepared() -> Result<Self, String> {
        let mut builder = Self::default();
        builder.patterns()?;
        builder.model()?;
        Ok(builder)
    }

    /// With the rules and the model of this very build.
    pub fn engine(&mut self, policy: Policy) -> Result<Arc<Engine>, String> {
        let patterns = self.patterns()?;
        let engine = Engine::new(policy, patterns).map_err(|e| format!("policy: {e}"))?;
        Ok(Arc::new(engine.with_model(self.model()?)))
    }

    /// Opens a bundle and builds all of it, or says why not.
    pub fn open(
        &mut self,
        config: &PluginConfig,
        trusted: &[PublicKey],
        bytes: &[u8],
        now_seconds: u64,
        newest: Option<Newest>,
    ) -> Result<Built, String> {
        let bundle = Bundle::open(bytes, trusted, now_seconds, newest.as_ref());
        let bundle = bundle.map_err(|error| error.to_string())?;
        let policy: Policy = serde_json::from_slice(bundle.contents().policy())
            .map_err(|error| format!("part policy: {error}"))?;
        let patterns = match bundle.contents().packs() {
            Some(part) => self.parts.packs(part)?,
            None => self.patterns()?,
        };
        let model = match bundle.contents().model() {
            Some(part) => self.parts.model(part)?,
            None => self.model()?,
        };
        let policy = config.made_effective(policy);
        let engine = Engine::new(policy, patterns).map_err(|e| format!("part policy: {e}"))?;
        let engine = Arc::new(engine.with_model(model));
        self.parts.forget_unused();
        let (bundle_id, expires) = (bundle.id().to_string(), bundle.manifest().expires);
        Ok(Built { engine, bundle: bundle_id, expires, newest: bundle.newest() })
    }

    /// Compiled once and shared by every configuration.
    fn patterns(&mut self) -> Result<Arc<PatternSet>, String> {
        if let Some(patterns) = &self.patterns {
            return Ok(Arc::clone(patterns));
        }
        let patterns = Arc::new(PatternSet::builtin().map_err(|e| e.to_string())?);
        self.patterns = Some(Arc::clone(&patterns));
        Ok(patterns)
    }

    /// Opened once, where it lies in the module.
    fn model(&mut self) -> Result<Arc<CompactModel>, String> {
        if let Some(model) = &self.model {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(CompactModel::builtin().map_err(|e| e.to_string())?);
        self.model = Some(Arc::clone(&model));
        Ok(model)
    }
}

/// The keys that a configuration trusts.
pub fn trusted_keys(config: &PluginConfig) -> Result<Vec<PublicKey>, String> {
    let key = |(idx, text): (usize, &String)| {
        PublicKey::parse(text).map_err(|error| format!("plugin configuration: trust_keys[{idx}]: {error}"))
    };
    config.trust_keys.iter().enumerate().map(key).collect()
}

/// The bundle that stands in a configuration.
pub fn inline_bundle(config: &PluginConfig) -> Result<Option<Vec<u8>>, String> {
    let decoded = config.bundle.as_deref().map(|text| {
        base64::decode(text)
            .ok_or("plugin configuration: bundle: is no base64, expected that of a bundle's file")
    });
    Ok(decoded.transpose()?)
}
