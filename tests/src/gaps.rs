//! Cases that are known to fail, each with its reason. A listed case that passes is an error: the list shrinks.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use crate::{
    case::{self, Case, Policies},
    folder,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownGap {
    pub path: String,
    pub case: String,
    /// Not given: every engine.
    engines: Option<Vec<String>>,
    pub reason: String,
}

#[derive(Debug)]
pub struct KnownGaps(Vec<KnownGap>);

impl KnownGaps {
    /// The list as it is shipped, held against the cases as they are shipped.
    pub fn load_all() -> Result<Self> {
        let policies = Policies::load(&folder().join("policies"))?;
        let cases = case::load(&folder().join("cases"), &policies)?;
        Self::load(&folder().join("known-gaps.yaml"), &cases)
    }

    /// Reads the list. Each entry must name a case that exists.
    pub fn load(path: &Path, cases: &[Case]) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let gaps: Vec<KnownGap> = serde_saphyr::from_str(&text).map_err(|e| anyhow!("known gaps: {e}"))?;
        for KnownGap { path, case, reason, .. } in &gaps {
            let known = cases.iter().any(|known| known.file == *path && known.name == *case);
            ensure!(known, "known gaps: there is no case {case:?} in {path}");
            ensure!(!reason.is_empty(), "known gaps: {path}, {case:?}: no reason");
        }
        Ok(Self(gaps))
    }

    /// Those of every engine: of what Sentinel does not do, and not of what a host cannot.
    pub fn everywhere(&self) -> impl Iterator<Item = &KnownGap> {
        self.0.iter().filter(|gap| gap.engines.is_none())
    }

    /// Why this case is known to fail on this engine.
    pub fn reason(&self, case: &Case, engine: &str) -> Option<&str> {
        let gap = self.0.iter().find(|gap| {
            let here = gap.engines.as_ref().is_none_or(|engines| engines.iter().any(|name| name == engine));
            here && gap.path == case.file && gap.case == case.name
        });
        gap.map(|gap| gap.reason.as_str())
    }
}
