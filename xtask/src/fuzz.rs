//! `cargo xtask fuzz`: coverage-guided search for inputs that break a promise of the core. The targets are the files of
//! `fuzz/src/bin`; what the search learns and finds stays in the target folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};

use crate::build::{root, run_command, target_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target; every one if none is named.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Processes that search at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
    /// Name the targets and stop.
    #[arg(long)]
    list: bool,
    /// Run each target over its seeds once and search for nothing.
    #[arg(long, conflicts_with = "jobs")]
    check: bool,
    /// Run the target over this one input.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["check", "jobs"])]
    reproduce: Option<PathBuf>,
}

/// Coverage by LLVM's own pass, which needs no nightly compiler. Safe code needs no sanitizer; overflow checks and
/// assertions are in the profile of the workspace.
const RUSTFLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Has a target print what it makes of its input.
const SHOW: &str = "SENTINEL_FUZZ_SHOW";

/// What one input may cost. The core bounds its work, so to need more is a finding.
const INPUT_SECONDS_MAX: u32 = 5;
const MEMORY_MIB_MAX: u32 = 1024;
const INPUT_BYTES_MAX: u32 = 4096;

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut targets = targets()?;
    if args.list {
        targets.iter().for_each(|target| println!("{:<18} {}", target.name, target.about));
        return Ok(());
    }
    if let Some(name) = &args.target {
        targets.retain(|target| target.name == *name);
        ensure!(!targets.is_empty(), "there is no target {name}; cargo xtask fuzz --list names them");
    }
    let bin = build(args.target.as_deref())?;
    if let Some(file) = &args.reproduce {
        let file = env::current_dir()?.join(file);
        let target = args.target.as_deref().unwrap_or_default();
        let status = libfuzzer(&bin.join(target)).arg(&file).env(SHOW, "1").status()?;
        ensure!(status.success(), "{target} fails for {}", file.display());
        println!("{target} holds for {}", file.display());
        return Ok(());
    }
    let mut failed = Vec::new();
    for target in &targets {
        if !target.search(&bin, args)?.success() {
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    println!("\nfindings, or inputs that were too slow or took too much memory:");
    for target in &failed {
        for file in files(&target.artifacts())? {
            let file = file.strip_prefix(root()).map(Path::to_path_buf).unwrap_or(file);
            println!("  cargo xtask fuzz {} --reproduce {}", target.name, file.display());
        }
    }
    bail!("{} of {} targets failed", failed.len(), targets.len())
}

struct Target {
    name: String,
    about: String,
}

/// Every file of `bin` is a target, and its first line says what it is about.
fn targets() -> Result<Vec<Target>> {
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let about = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Target { name, about: about.to_owned() })
    };
    files(&folder().join("src/bin"))?.into_iter().map(read).collect()
}

impl Target {
    fn search(&self, bin: &Path, args: &Args) -> Result<ExitStatus> {
        let (corpus, seeds) = (target_dir().join("fuzz/corpus").join(&self.name), self.seeds());
        for dir in [&corpus, &self.artifacts()] {
            fs::create_dir_all(dir)?;
        }
        let mut command = libfuzzer(&bin.join(&self.name));
        command.arg(format!("-artifact_prefix={}/", self.artifacts().display()));
        let dictionary = folder().join("dictionaries").join(format!("{}.dict", self.name));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        match args.check {
            true => command.args(["-runs=0", "-verbosity=0"]),
            false => command.arg(format!("-max_total_time={}", args.seconds)).arg(&corpus),
        };
        if args.jobs > 1 {
            // Only so does a failure of one process end them all.
            command.arg(format!("-fork={}", args.jobs)).args(["-ignore_timeouts=0", "-ignore_ooms=0"]);
        }
        println!("\n{}: {}", self.name, self.about);
        let started = Instant::now();
        let status =
            command.arg(&seeds).status().with_context(|| format!("could not start {}", self.name))?;
        let outcome = if status.success() { "holds" } else { "FAILS" };
        println!("{}: {outcome} after {:.1} s", self.name, started.elapsed().as_secs_f64());
        Ok(status)
    }

    fn seeds(&self) -> PathBuf {
        folder().join("seeds").join(&self.name)
    }

    fn artifacts(&self) -> PathBuf {
        target_dir().join("fuzz/artifacts").join(&self.name)
    }
}

fn libfuzzer(target: &Path) -> Command {
    let mut command = Command::new(target);
    command
        .current_dir(root())
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg("-print_final_stats=1");
    command
}

/// Builds one target or all, and answers the folder they are in.
fn build(target: Option<&str>) -> Result<PathBuf> {
    // With a target named, build scripts and macros are built without coverage.
    let host = host()?;
    let out = target_dir().join("fuzz/build");
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command
        .args(["build", "--quiet", "--release", "--locked", "--target", &host])
        .arg("--manifest-path")
        .arg(folder().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&out)
        .env("RUSTFLAGS", RUSTFLAGS.join(" "))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    match target {
        Some(name) => command.args(["--bin", name]),
        None => command.arg("--bins"),
    };
    println!("building the targets");
    run_command(&mut command)?;
    Ok(out.join(host).join("release"))
}

fn host() -> Result<String> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc is not installed")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it is for")
}

fn folder() -> PathBuf {
    root().join("fuzz")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
