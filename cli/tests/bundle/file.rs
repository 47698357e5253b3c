//! From a policy to a signed file: what is refused is refused with file and reason.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::support::{BUILD, fails, json_of, ok, sentinel, workshop};

#[test]
fn a_key_is_for_its_owner_alone_and_never_overwritten() {
    let folder = workshop();
    let folder = folder.path();
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("one.key"), 0o600);
    let secret = fs::read_to_string(folder.join("one.key")).unwrap();
    assert!(secret.starts_with("ed25519-secret:"), "{secret}");
    assert_ne!(secret, fs::read_to_string(folder.join("two.key")).unwrap());
    assert!(fs::read_to_string(folder.join("one.key.pub")).unwrap().starts_with("ed25519:"));

    let (code, error) = fails(folder, "keygen --out one.key");
    assert_eq!(code, 2);
    assert!(error.contains("never overwritten"), "{error}");
    fs::remove_file(folder.join("one.key.pub")).unwrap();
    let (code, error) = fails(folder, "keygen --out one.key");
    assert_eq!(code, 2);
    assert!(error.contains("one.key: it is there already"), "{error}");
    assert_eq!(fs::read_to_string(folder.join("one.key")).unwrap(), secret);

    fs::set_permissions(folder.join("one.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let (code, error) = fails(folder, &format!("{BUILD} --version 1 --out a.sntb"));
    assert_eq!(code, 2);
    assert!(error.contains("mode 640") && error.contains("chmod 600 one.key"), "{error}");
    assert!(!folder.join("a.sntb").exists());
}

#[test]
fn the_same_input_gives_the_same_file_and_it_holds_what_was_put_in() {
    let folder = workshop();
    let folder = folder.path();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/artifacts/compact.smdl");
    let packs = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/patterns");
    fs::write(folder.join("deny.txt"), "203.0.113.9\n").unwrap();
    fs::write(folder.join("report.json"), "{}").unwrap();
    let build = format!(
        "{BUILD} --version 3 --packs {packs} --model {model} --feed deny.txt --evaluation report.json --out"
    );
    let built = ok(folder, &format!("{build} a.sntb"));
    ok(folder, &format!("{build} b.sntb"));
    assert_eq!(fs::read(folder.join("a.sntb")).unwrap(), fs::read(folder.join("b.sntb")).unwrap());

    let parts: Vec<(&str, &str)> = built["manifest"]["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["kind"].as_str().unwrap(), part["name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        parts,
        [("policy", "policy.json"), ("packs", "packs.json"), ("model", "model.smdl"), ("feed", "deny.txt")]
    );
    assert_eq!(built["manifest"]["expires"], 4_102_444_800_u64);
    let inspected = ok(folder, "inspect a.sntb");
    for field in ["id", "manifest", "signatures", "bytes"] {
        assert_eq!(inspected[field], built[field], "{field}");
    }
    let verified = ok(folder, "verify a.sntb --trust one.key.pub");
    assert_eq!((&verified["valid"], &verified["id"]), (&json!(true), &built["id"]));

    // The packs as they came to lie in the bundle are packs.
    let bytes = fs::read(folder.join("a.sntb")).unwrap();
    let bundle = sentinel_bundle::Contents::read(&bytes).unwrap();
    fs::write(folder.join("packs.json"), bundle.packs().unwrap()).unwrap();
    let again = ok(folder, &build.replace(packs, "packs.json").replace("--out", "--out c.sntb"));
    assert_eq!(again["id"], built["id"]);
}

#[test]
fn nothing_is_signed_that_a_proxy_would_refuse() {
    let folder = workshop();
    let folder = folder.path();
    fs::write(folder.join("level.yaml"), "profiles:\n  default:\n    level: 9\n").unwrap();
    fs::write(folder.join("field.yaml"), "profiles:\n  default:\n    levle: 2\n").unwrap();
    fs::write(folder.join("packs.json"), "[{}]").unwrap();
    fs::write(folder.join("model.smdl"), "no model").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::create_dir(folder.join("packs")).unwrap();
    let build = format!("{BUILD} --version 1 --out a.sntb");
    for (command, expected) in [
        (build.replace("policy.yaml", "level.yaml"), "level.yaml:3:12: profiles.default.level: is 9"),
        (
            build.replace("policy.yaml", "field.yaml"),
            "field.yaml:3:5: profiles.default.levle: there is no such field",
        ),
        (build.replace("policy.yaml", "gone.yaml"), "gone.yaml: No such file"),
        (format!("{build} --packs packs.json"), "packs.json: rule packs: missing field"),
        (format!("{build} --packs packs"), "packs: there is no pack"),
        (format!("{build} --model model.smdl"), "model.smdl: "),
        (format!("{build} --feed empty"), "empty: the feed is empty"),
        (format!("{build} --evaluation gone"), "gone: No such file"),
        (build.replace("shop", "my/shop"), "name is \"my/shop\""),
        (build.replace("--version 1", "--version 0"), "--version"),
        (build.replace("2100-01-01", "soon"), "expected a date"),
        (build.replace("--expires 2100-01-01", ""), "--expires"),
        (format!("{build} --not-before 2100-01-01"), "it would never be valid"),
        (build.replace("one.key", "one.key.pub"), "one.key.pub: "),
    ] {
        let (code, error) = fails(folder, &command);
        assert_eq!(code, 2, "{command}: {error}");
        assert!(error.contains(expected), "{command}: {error}");
        assert!(!folder.join("a.sntb").exists(), "{command}");
    }
}

/// What is rightly signed and cannot be used is found by `verify`, and not signed a second time.
#[test]
fn a_bundle_that_a_proxy_cannot_use_is_refused_however_well_signed() {
    use sentinel_bundle::{Draft, Kind, SecretKey};
    let folder = workshop();
    let folder = folder.path();
    let key = SecretKey::parse(fs::read_to_string(folder.join("one.key")).unwrap().trim()).unwrap();
    for (kind, bytes, expected) in [
        (Kind::Policy, &br#"{"profiles":{"default":{"level":9}}}"#[..], "policy: profiles.default.level"),
        (Kind::Packs, b"[{}]", "packs: rule packs: missing field"),
        (Kind::Model, b"no model", "model: "),
    ] {
        let mut parts = vec![("it", kind, bytes)];
        if kind != Kind::Policy {
            parts.push(("policy", Kind::Policy, b"{}"));
        }
        let draft =
            Draft { name: "x", version: 1, not_before: 0, expires: 5_000_000_000, parts, evaluation: None };
        let file = draft.seal(std::slice::from_ref(&key)).unwrap();
        fs::write(folder.join("x.sntb"), &file).unwrap();
        let output = sentinel(folder, &["--json", "bundle", "verify", "x.sntb", "--trust", "one.key.pub"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report = json_of(&output);
        assert_eq!(report["reason"], "unusable");
        assert!(report["error"].as_str().unwrap().starts_with(expected), "{report}");
        let (code, error) = fails(folder, "sign x.sntb --key two.key");
        assert_eq!(code, 2);
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read(folder.join("x.sntb")).unwrap(), file);
    }
}

#[test]
fn verify_says_what_a_proxy_would_say() {
    let folder = workshop();
    let folder = folder.path();
    let not_before = "--not-before 2026-01-01";
    ok(folder, &format!("{BUILD} --version 2 {not_before} --out a.sntb"));
    ok(folder, &format!("{BUILD} --version 3 {not_before} --out newer.sntb"));
    ok(folder, &format!("{} --version 2 --out other.sntb", BUILD.replace("shop", "store")));
    let whole = fs::read(folder.join("a.sntb")).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(folder.join("changed.sntb"), &changed).unwrap();
    fs::write(folder.join("cut.sntb"), &whole[..whole.len() - 1]).unwrap();
    fs::write(folder.join("longer.sntb"), [&whole[..], b"\n"].concat()).unwrap();
    let trust = "--trust one.key.pub --at 2026-06-01";
    ok(folder, &format!("verify a.sntb {trust}"));
    ok(folder, &format!("verify a.sntb {trust} --after a.sntb"));
    ok(folder, &format!("verify newer.sntb {trust} --after a.sntb"));
    for (command, reason) in [
        ("verify a.sntb --trust two.key.pub --at 2026-06-01".to_owned(), "unknown_key"),
        (format!("verify changed.sntb {trust}"), "tampered"),
        (format!("verify cut.sntb {trust}"), "truncated"),
        (format!("verify longer.sntb {trust}"), "tampered"),
        (format!("verify policy.yaml {trust}"), "malformed"),
        (format!("verify a.sntb {trust} --after newer.sntb"), "older"),
        (format!("verify other.sntb {trust} --after a.sntb"), "older"),
        ("verify a.sntb --trust one.key.pub --at 2025-12-31".to_owned(), "not_yet_valid"),
        ("verify a.sntb --trust one.key.pub --at 2100-01-01".to_owned(), "expired"),
    ] {
        let args: Vec<&str> = ["--json", "bundle"].into_iter().chain(command.split_whitespace()).collect();
        let output = sentinel(folder, &args);
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        assert_eq!(json_of(&output)["reason"], reason, "{command}");
    }
    let (code, error) = fails(folder, "inspect cut.sntb");
    assert_eq!(code, 2);
    assert!(error.contains("cut.sntb: the bundle is cut within part policy.json"), "{error}");
}

#[test]
fn keys_change_without_a_pause() {
    let folder = workshop();
    let folder = folder.path();
    let built = ok(folder, &format!("{BUILD} --version 1 --out a.sntb"));
    let signed = ok(folder, "sign a.sntb --key two.key --out both.sntb");
    assert_eq!(signed["id"], built["id"], "who signs does not change what it is");
    assert_eq!(signed["signatures"].as_array().unwrap().len(), 2);
    ok(folder, &format!("{BUILD} --key two.key --version 1 --out at-once.sntb"));
    assert_eq!(fs::read(folder.join("both.sntb")).unwrap(), fs::read(folder.join("at-once.sntb")).unwrap());
    let trusted: String =
        ["one", "two"].map(|key| fs::read_to_string(folder.join(format!("{key}.key.pub"))).unwrap()).concat();
    fs::write(folder.join("trusted"), format!("# signers\n\n{trusted}")).unwrap();
    for (file, trust, signers) in
        [("both.sntb", "one.key.pub", 1), ("both.sntb", "two.key.pub", 1), ("both.sntb", "trusted", 2)]
    {
        let report = ok(folder, &format!("verify {file} --trust {trust}"));
        assert_eq!(report["trusted_signers"].as_array().unwrap().len(), signers, "{trust}");
    }
    assert_eq!(fails(folder, "verify a.sntb --trust two.key.pub").0, 1);
    ok(folder, "sign a.sntb --key two.key");
    let key = fs::read_to_string(folder.join("two.key.pub")).unwrap();
    ok(folder, &format!("verify a.sntb --trust {}", key.trim()));
    fs::write(folder.join("trusted"), "# nobody\n").unwrap();
    let (code, error) = fails(folder, "verify a.sntb --trust trusted");
    assert_eq!(code, 2);
    assert!(error.contains("trusted: there is no key in it"), "{error}");
}
