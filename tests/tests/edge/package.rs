//! What is tried of the package beside the table: the law of its limits, its types, and the example worker.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use sentinel_harness::npm::{self, Packages};
use sentinel_tests::{engine::built_edge, folder};
use serde_json::json;

/// What this machine cannot try is said.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, folder: Option<&str>, test: Test| match tools(folder) {
        Ok(tools) => trials.push(Trial::test(format!("package::{name}"), move || {
            test(&tools).map_err(|error| format!("{error:#}").into())
        })),
        Err(error) => eprintln!("SKIPPED: package::{name}: {error:#}"),
    };
    add("limits keep their law", None, limits_keep_their_law);
    add("its types hold for a small user", Some("types"), types_hold);
    add("the example guards in miniflare", Some("miniflare"), the_example_guards);
    trials
}

type Test = fn(&Tools) -> Result<()>;

struct Tools {
    node: PathBuf,
    packages: Option<Packages>,
}

fn tools(packages: Option<&str>) -> Result<Tools> {
    let node = npm::node()?;
    let packages = packages.map(|name| Packages::with(&folder().join("edge").join(name))).transpose()?;
    Ok(Tools { node, packages })
}

impl Tools {
    fn file(&self, path: &str) -> Result<PathBuf> {
        self.packages.as_ref().context("no packages")?.file(path)
    }

    fn run(&self, script: &Path, args: &[&Path]) -> Result<()> {
        let output = Command::new(&self.node).arg(script).args(args).output()?;
        let said = [output.stdout, output.stderr].concat();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        Ok(())
    }
}

fn limits_keep_their_law(tools: &Tools) -> Result<()> {
    tools.run(&folder().join("edge/limits.mjs"), &[&built_edge()?])
}

fn the_example_guards(tools: &Tools) -> Result<()> {
    let example = folder().join("../edge/worker/example/worker.js");
    let miniflare = tools.file("miniflare/dist/src/index.js")?;
    tools.run(&folder().join("edge/example.mjs"), &[&built_edge()?, &example, &miniflare])
}

/// By the compiler of TypeScript.
fn types_hold(tools: &Tools) -> Result<()> {
    let (project, compiler) = (tempfile::tempdir()?, tools.file("typescript/bin/tsc")?);
    let modules = project.path().join("node_modules");
    fs::create_dir(&modules)?;
    symlink(built_edge()?, modules.join("sentinel-edge"))?;
    let of_node = tools.file("@types/node/index.d.ts")?;
    let installed = of_node.ancestors().nth(3).map(Path::to_owned).context("no folder of packages")?;
    for name in ["@types", "undici-types"] {
        symlink(installed.join(name), modules.join(name))?;
    }
    fs::copy(folder().join("edge/types/user.ts"), project.path().join("user.ts"))?;
    // The package is used as npm installs it, and its own files are checked, too.
    let options = json!({
        "strict": true, "noEmit": true, "target": "es2022", "lib": ["es2022", "dom"], "types": ["node"],
        "module": "nodenext", "moduleResolution": "nodenext", "preserveSymlinks": true,
    });
    fs::write(project.path().join("package.json"), r#"{"type":"module"}"#)?;
    let settings = json!({ "compilerOptions": options, "files": ["user.ts"] });
    fs::write(project.path().join("tsconfig.json"), settings.to_string())?;
    tools.run(&compiler, &[Path::new("--project"), project.path()])
}
