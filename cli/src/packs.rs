//! Rule packs as their authors write them: those that are built in, or a folder of YAML files.

use std::{fs, path::Path, sync::Arc};

use sentinel_core::PatternSet;
use sentinel_model::{
    Channel, Pack,
    source::{PackSource, RuleSource},
};

use crate::{document, report::Fault};

/// All packs of a folder, or those that are built in.
pub(crate) fn sources(folder: Option<&Path>) -> Result<Vec<PackSource>, Fault> {
    match folder {
        None => sentinel_model::BUILTIN_SOURCES
            .iter()
            .map(|(name, text)| {
                PackSource::read(text).map_err(|e| Fault::Internal(format!("built-in pack {name}: {e}")))
            })
            .collect(),
        Some(folder) => read(folder),
    }
}

fn read(folder: &Path) -> Result<Vec<PackSource>, Fault> {
    let fault = |e: std::io::Error| Fault::Input(format!("{}: {e}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Fault::Input(format!("{}: there is no pack (*.yaml) in it", folder.display())));
    }
    files
        .iter()
        .map(|path| {
            let text = document::read_text(path)?;
            PackSource::read(&text).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))
        })
        .collect()
}

/// The artefact that a folder of packs comes to.
pub(crate) fn artefact(folder: &Path) -> Result<Vec<Pack>, Fault> {
    Ok(read(folder)?.into_iter().map(PackSource::into_artefact).collect())
}

/// The rules of a folder, or those that are built in, ready to use.
pub(crate) fn patterns(folder: Option<&Path>) -> Result<Arc<PatternSet>, Fault> {
    let Some(folder) = folder else { return document::builtin_patterns() };
    let compiled = PatternSet::compile(&artefact(folder)?);
    compiled.map(Arc::new).map_err(|e| Fault::Input(format!("{}: {e}", folder.display())))
}

/// What a rule judges: what it says, or what its pack says.
pub(crate) fn channels<'p>(pack: &'p PackSource, rule: &'p RuleSource) -> &'p [Channel] {
    rule.channels.as_deref().unwrap_or(&pack.channels)
}
