//! What decided: policy, bundle, packs and model, found by what the event says of them and held against that.

use std::{fs, path::Path, sync::Arc};

use sentinel_bundle::Contents;
use sentinel_core::{
    CompactModel, Engine, PatternSet,
    config::{Fail, PluginConfig},
    event::Event,
    policy::Policy,
};
use serde::Serialize;

use super::Args;
use crate::{
    command::{audit::source::Evidence, bundle::parts},
    document::{self, Kind},
    report::Fault,
};

pub(super) struct Artefacts {
    pub(super) engine: Engine,
    /// The bundle that they are from.
    bundle: Option<String>,
}

/// An artefact that is not the one that decided.
#[derive(Debug, Serialize)]
pub(super) struct Differing {
    pub(super) artefact: String,
    pub(super) recorded: Option<String>,
    pub(super) found: Option<String>,
}

impl Artefacts {
    pub(super) async fn find(args: &Args, event: &Event, evidence: &Evidence) -> Result<Self, Fault> {
        if let Some(path) = &args.policy {
            return Self::of_policy(document::load(path, Kind::Policy)?.engine.policy(), event);
        }
        if let Some(path) = &args.bundle {
            let bytes = fs::read(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
            return Self::of_bundle(&bytes, &path.display().to_string(), event);
        }
        let Some(id) = &event.bundle else { return Self::of_policy(&Policy::default(), event) };
        let stored = match evidence {
            Evidence::Collector(collector) => collector.get_bytes(&format!("/v1/bundles/{id}"))?,
            Evidence::Database(stored) => {
                stored.bundle(id).await.map_err(|error| Fault::Internal(error.to_string()))?
            }
            Evidence::Folder(_) => None,
        };
        let stored = stored.ok_or_else(|| {
            Fault::Input(format!("bundle {id} is not stored here: name it with --bundle FILE"))
        })?;
        Self::of_bundle(&stored, &format!("bundle {id}"), event)
    }

    /// A policy by itself goes with the packs and the model of this build.
    fn of_policy(policy: &Policy, event: &Event) -> Result<Self, Fault> {
        let patterns: Arc<PatternSet> = document::builtin_patterns()?;
        let engine = like_proxy(event, |fail| {
            let made = Engine::new(effective(fail, policy.clone()), Arc::clone(&patterns));
            made.map_err(|error| Fault::Input(format!("policy: {error}")))
        })?;
        Ok(Self { engine: with_model(engine, None, event)?, bundle: event.bundle.clone() })
    }

    fn of_bundle(bytes: &[u8], place: &str, event: &Event) -> Result<Self, Fault> {
        let at = |error: &dyn std::fmt::Display| Fault::Input(format!("{place}: {error}"));
        let contents = Contents::read(bytes).map_err(|error| at(&error))?;
        let engine = like_proxy(event, |fail| {
            parts::engine(&contents, |policy| effective(fail, policy)).map_err(|error| at(&error))
        })?;
        let engine = with_model(engine, contents.model(), event)?;
        Ok(Self { engine, bundle: Some(contents.id().to_string()) })
    }

    /// What is not as the event says.
    pub(super) fn differing(&self, event: &Event) -> Vec<Differing> {
        let mut list = Vec::new();
        let mut hold = |artefact: String, recorded: Option<&str>, found: Option<&str>| {
            if recorded != found {
                let [recorded, found] = [recorded, found].map(|hash| hash.map(str::to_owned));
                list.push(Differing { artefact, recorded, found });
            }
        };
        hold("bundle".into(), event.bundle.as_deref(), self.bundle.as_deref());
        hold("policy".into(), Some(&event.policy), Some(self.engine.policy_hash()));
        hold("model".into(), event.model.as_deref(), self.engine.model().map(CompactModel::hash));
        let here = self.engine.packs();
        for pack in &event.packs {
            let found = here.iter().find(|other| other.name == pack.name);
            hold(format!("pack {}", pack.name), Some(&pack.hash), found.map(|found| found.hash.as_str()));
        }
        for pack in here.iter().filter(|pack| !event.packs.iter().any(|other| other.name == pack.name)) {
            hold(format!("pack {}", pack.name), None, Some(&pack.hash));
        }
        list
    }
}

/// A proxy whose configuration says `fail: open` writes that into the policy: whichever of the two is the one that the
/// event names, or else the policy as it is.
fn like_proxy(event: &Event, make: impl Fn(Fail) -> Result<Engine, Fault>) -> Result<Engine, Fault> {
    let plain = make(Fail::Closed)?;
    if plain.policy_hash() == event.policy {
        return Ok(plain);
    }
    let open = make(Fail::Open)?;
    Ok(if open.policy_hash() == event.policy { open } else { plain })
}

fn effective(fail: Fail, policy: Policy) -> Policy {
    PluginConfig { fail, ..PluginConfig::default() }.made_effective(policy)
}

/// The model of the bundle, or of this build; none where none took part.
fn with_model(engine: Engine, own: Option<&[u8]>, event: &Event) -> Result<Engine, Fault> {
    match own {
        _ if event.model.is_none() => Ok(engine),
        None => Ok(engine.with_model(document::model(None::<&Path>)?)),
        Some(bytes) => {
            let model = CompactModel::open_shared(bytes.into());
            let model = model.map_err(|error| Fault::Input(format!("part model: {error}")))?;
            Ok(engine.with_model(Arc::new(model)))
        }
    }
}
