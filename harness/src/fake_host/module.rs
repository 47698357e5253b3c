//! A filter's .wasm, compiled once: the compiled form is kept on disk for the next test process.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, Module};

use super::wasm_error;

#[derive(Clone)]
pub struct FilterModule {
    pub(crate) engine: Engine,
    pub(crate) module: Module,
    name: String,
}

impl FilterModule {
    /// Loads a .wasm (or .wat) file. The compiled form lies beside it in `.cwasm/`, named by the hash of the bytes
    /// and the version of the compiler.
    pub fn load(path: &Path) -> Result<Self> {
        let wasm = fs::read(path).with_context(|| format!("cannot read the filter {}", path.display()))?;
        let cache = path.parent().unwrap_or(Path::new(".")).join(".cwasm");
        Self::compile(&wasm, Some(&cache), path.display().to_string())
    }

    /// Compiles a module from bytes, binary or text, without a cache.
    pub fn from_bytes(wasm: &[u8]) -> Result<Self> {
        Self::compile(wasm, None, "module from bytes".to_owned())
    }

    /// What the module needs from its host, as (module, name).
    pub fn imports(&self) -> Vec<(String, String)> {
        self.module.imports().map(|import| (import.module().to_owned(), import.name().to_owned())).collect()
    }

    pub fn exports(&self) -> Vec<String> {
        self.module.exports().map(|export| export.name().to_owned()).collect()
    }

    fn compile(wasm: &[u8], cache: Option<&Path>, name: String) -> Result<Self> {
        let engine = Engine::new(Config::new().consume_fuel(true)).map_err(wasm_error)?;
        let kept = cache.map(|folder| folder.join(file_name(&engine, wasm)));
        if let Some(module) = kept.as_deref().and_then(|kept| read_compiled(&engine, kept)) {
            return Ok(Self { engine, module, name });
        }
        let module = Module::new(&engine, wasm)
            .map_err(wasm_error)
            .with_context(|| format!("cannot compile {name}"))?;
        if let Some(kept) = kept {
            // A cache that cannot be written costs time only.
            let _ = keep_compiled(&module, &kept);
        }
        Ok(Self { engine, module, name })
    }
}

impl fmt::Debug for FilterModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterModule").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The engine's own hash covers wasmtime's version, the settings and the machine's features.
fn file_name(engine: &Engine, wasm: &[u8]) -> String {
    use std::hash::{Hash, Hasher};
    let mut settings = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let digest = Sha256::digest(wasm);
    let content: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{content}-{:016x}.cwasm", settings.finish())
}

#[expect(unsafe_code, reason = "wasmtime has no safe way to read back a module that it compiled before")]
fn read_compiled(engine: &Engine, path: &Path) -> Option<Module> {
    let compiled = fs::read(path).ok()?;
    // SAFETY: the bytes are what `Module::serialize` returned: this crate alone writes such files, whole by a rename,
    // under a name that carries the hash of the source and of the engine's settings.
    unsafe { Module::deserialize(engine, compiled) }.ok()
}

fn keep_compiled(module: &Module, path: &Path) -> Result<()> {
    let folder: PathBuf = path.parent().context("the cache has no folder")?.to_owned();
    fs::create_dir_all(&folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, &module.serialize().map_err(wasm_error)?)?;
    file.persist(path)?;
    Ok(())
}
