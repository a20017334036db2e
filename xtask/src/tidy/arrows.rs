//! The arrows between crates: what a crate may link is what it can do.
//!
//! A server that does not link the repository format cannot decrypt, whatever its code says; so
//! an arrow too many is a hole, not a matter of taste.
//!
//! Manifests are read for the arrows that the design allows. What a program links in the end is
//! asked of cargo, which knows other names for a crate, those for one system only and whatever is
//! brought along by others ([`reaches`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Complaint;
use crate::run::{capture, cargo};

/// Every crate of the design, and all that it may link of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ledger", &[]),
    ("store", &["model"]),
    ("access", &["model"]),
    ("guard", &["model"]),
    ("repo", &["model", "store"]),
    ("engine", &["model", "store", "repo"]),
    ("vault", &["model", "store", "access", "guard", "ledger"]),
    (
        "cli",
        &[
            "model", "ledger", "store", "access", "guard", "repo", "engine", "vault",
        ],
    ),
    ("testkit", &["model", "store"]),
];

/// Programs beside the crates: they test or build, so nothing links them.
const TOOLS: &[(&str, &[&str])] = &[
    ("xtask", &[]),
    (
        "fuzz",
        &[
            "model", "ledger", "store", "repo", "engine", "guard", "access", "vault", "testkit",
        ],
    ),
];

/// What reads a repository.
///
/// **Architecture invariant:** the vault's program links none of it, in whatever way.
const READERS: &[&str] = &["strongroom-repo", "strongroom-engine", "rustic_core"];

/// What decrypts, or makes keys of a repository's password.
///
/// **Architecture invariant:** no crate of ours that the vault's program links names any of it. What
/// TLS needs is in `ring`, and what passkeys need comes with `webauthn-rs`: no password of a repository
/// reaches either, and no code of ours could call what they link (docs/decisions/0011).
const DECRYPTING: &[&str] = &[
    "aes",
    "aes-gcm",
    "cbc",
    "chacha20poly1305",
    "crypto-glue",
    "crypto_secretbox",
    "ctr",
    "openssl",
    "pbkdf2",
    "poly1305",
    "scrypt",
    "sodiumoxide",
];

/// Programs that may not reach it.
const BLIND: &[&str] = &["strongroom-vault", "strongroom-ledger"];

/// What cargo has resolved, for every system and with every feature.
pub(super) fn linked() -> Result<String> {
    capture(&mut cargo([
        "metadata",
        "--format-version=1",
        "--locked",
        "--all-features",
    ]))
}

/// Checks what cargo has resolved, as [`linked`] tells it.
pub(super) fn check_linked(metadata: &str) -> Result<Vec<Complaint>> {
    let metadata: Value =
        serde_json::from_str(metadata).context("Cannot read what cargo metadata says")?;
    let mut complaints = Vec::new();
    for program in BLIND {
        let linked = reaches(&metadata, program)?;
        let readers = READERS.iter().filter(|name| linked.contains_key(**name));
        complaints.extend(readers.map(|name| {
            format!(
                "{program} links {name}, which reads repositories: `cargo tree -p {program} -e \
                 normal,build --target all --all-features -i {name}` tells through what"
            )
        }));
        for (ours, named) in &linked {
            if !ours.starts_with("strongroom-") {
                continue;
            }
            let decrypting = DECRYPTING.iter().filter(|name| named.contains(**name));
            complaints.extend(decrypting.map(|name| {
                format!("{ours}, which {program} links, names {name}, which decrypts")
            }));
        }
    }
    Ok(complaints)
}

/// The names of all crates that one links, directly or through others, for whatever system and
/// also while it is built, each with those that it names itself; what only its tests link is left out.
fn reaches<'m>(metadata: &'m Value, from: &str) -> Result<BTreeMap<&'m str, BTreeSet<&'m str>>> {
    let mut names = BTreeMap::new();
    for package in all(metadata, "/packages") {
        if let (Some(id), Some(name)) = (text(package, "id"), text(package, "name")) {
            names.insert(id, name);
        }
    }
    let mut nodes = BTreeMap::new();
    for node in all(metadata, "/resolve/nodes") {
        if let Some(id) = text(node, "id") {
            nodes.insert(id, node);
        }
    }
    let ours = names.iter().find(|(_, name)| **name == from);
    let (first, _) = ours.with_context(|| format!("cargo metadata knows no {from}"))?;
    let name_of = |id: &str| {
        let name = names.get(id).copied();
        name.context("cargo metadata names a crate that it does not list")
    };
    let (mut seen, mut next) = (BTreeMap::new(), vec![*first]);
    while let Some(id) = next.pop() {
        if seen.contains_key(id) {
            continue;
        }
        let node = nodes.get(id).copied();
        let node = node.with_context(|| format!("cargo metadata has not resolved {id}"))?;
        let linked = all(node, "/deps").iter().filter(|link| is_linked(link));
        let linked: Vec<&str> = linked.filter_map(|link| text(link, "pkg")).collect();
        seen.insert(id, linked.clone());
        next.extend(linked);
    }
    // Of a crate in two versions each has its own.
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, linked) in seen {
        let linked: Result<Vec<&str>> = linked.into_iter().map(name_of).collect();
        named.entry(name_of(id)?).or_default().extend(linked?);
    }
    Ok(named)
}

/// Whether a dependency is more than one of tests.
fn is_linked(link: &Value) -> bool {
    let is_for_tests = |kind: &Value| text(kind, "kind") == Some("dev");
    !all(link, "/dep_kinds").iter().all(is_for_tests)
}

fn all<'m>(value: &'m Value, pointer: &str) -> &'m [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[][..], Vec::as_slice)
}

fn text<'m>(value: &'m Value, key: &str) -> Option<&'m str> {
    value.get(key).and_then(Value::as_str)
}

/// Checks one `Cargo.toml`.
pub(super) fn check(path: &Path, text: &str) -> Result<Vec<Complaint>> {
    let manifest: toml::Table = text
        .parse()
        .with_context(|| format!("Cannot read {}", path.display()))?;
    let Some(package) = manifest.get("package") else {
        return Ok(Vec::new());
    };
    let folder = path.parent().unwrap_or(path);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let complain = |what: String| format!("{}: {what}", path.display());

    let Some((_, allowed)) = ARROWS.iter().chain(TOOLS).find(|(known, _)| *known == name) else {
        return Ok(vec![complain(format!(
            "{name} is not a crate of the design"
        ))]);
    };
    let mut complaints = Vec::new();
    let is_crate = ARROWS.iter().any(|(known, _)| *known == name);
    let expected = format!("strongroom-{name}");
    let declared = package.get("name").and_then(toml::Value::as_str);
    if is_crate && declared != Some(&expected) {
        complaints.push(complain(format!("the package must be called {expected}")));
    }
    for (section, for_tests) in [
        ("dependencies", false),
        ("build-dependencies", false),
        ("dev-dependencies", true),
    ] {
        for linked in ours(manifest.get(section)) {
            let testing = for_tests && linked == "testkit" && name != "testkit";
            if !testing && !allowed.contains(&linked) {
                complaints.push(complain(format!(
                    "{name} may not link {linked} ({section})"
                )));
            }
        }
    }
    Ok(complaints)
}

/// The crates of ours in a table of dependencies, without their prefix.
fn ours(section: Option<&toml::Value>) -> impl Iterator<Item = &str> {
    section
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(toml::Table::keys)
        .filter_map(|key| key.strip_prefix("strongroom-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(folder: &str, dependencies: &str) -> Vec<Complaint> {
        let name = folder.rsplit('/').next().unwrap();
        let text = format!("[package]\nname = \"strongroom-{name}\"\n{dependencies}");
        check(&Path::new(folder).join("Cargo.toml"), &text).unwrap()
    }

    #[test]
    fn an_arrow_of_the_design_passes() {
        let links = "[dependencies]\nstrongroom-repo.workspace = true\nserde = \"1\"\n\
                     [dev-dependencies]\nstrongroom-testkit.workspace = true\n";
        assert!(complaints("crates/engine", links).is_empty());
    }

    #[test]
    fn the_vault_cannot_link_what_decrypts() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for crate_name in ["repo", "engine"] {
                let links = format!("[{section}]\nstrongroom-{crate_name}.workspace = true\n");
                assert_eq!(complaints("crates/vault", &links).len(), 1, "{links}");
            }
        }
    }

    #[test]
    fn test_code_cannot_be_linked_into_the_product() {
        let links = "[dependencies]\nstrongroom-testkit.workspace = true\n";
        assert_eq!(complaints("crates/cli", links).len(), 1);
    }

    #[test]
    fn a_crate_that_nobody_designed_is_named() {
        assert_eq!(complaints("crates/utils", "").len(), 1);
    }

    /// What cargo tells of the vault, which links `store`, which links one more crate of this name.
    fn metadata(name: &str, link: &Value) -> String {
        let crates = [
            ("1", "strongroom-vault"),
            ("2", "strongroom-ledger"),
            ("3", "strongroom-store"),
            ("4", name),
        ];
        let packages = crates.map(|(id, name)| json!({"id": id, "name": name}));
        let plain = json!({"kind": null, "target": null});
        let nodes = json!([
            {"id": "1", "deps": [{"name": "store", "pkg": "3", "dep_kinds": [plain]}]},
            {"id": "2", "deps": []},
            {"id": "3", "deps": [{"name": "another_name", "pkg": "4", "dep_kinds": [link]}]},
            {"id": "4", "deps": []},
        ]);
        json!({"packages": packages, "resolve": {"nodes": nodes}}).to_string()
    }

    #[test]
    fn whatever_the_vault_links_through_others_is_looked_at() {
        let plain = json!({"kind": null, "target": null});
        let complaints = |name: &str, link: &Value| check_linked(&metadata(name, link)).unwrap();
        for (name, verb) in [
            ("strongroom-repo", "strongroom-vault links"),
            ("rustic_core", "strongroom-vault links"),
            (
                "scrypt",
                "strongroom-store, which strongroom-vault links, names",
            ),
            (
                "aes",
                "strongroom-store, which strongroom-vault links, names",
            ),
        ] {
            let build = json!({"kind": "build", "target": null});
            let elsewhere = json!({"kind": null, "target": "cfg(windows)"});
            for link in [&plain, &build, &elsewhere] {
                let told = complaints(name, link);
                let [told] = &told[..] else {
                    panic!("{told:?}")
                };
                assert!(told.starts_with(&format!("{verb} {name},")), "{told}");
            }
            let for_tests = json!({"kind": "dev", "target": null});
            assert_eq!(complaints(name, &for_tests), [""; 0], "{name}");
        }
        assert_eq!(complaints("sha2", &plain), [""; 0]);
        check_linked("{}").unwrap_err();
    }

    #[test]
    fn what_a_library_of_others_links_is_its_own_matter_but_for_whole_readers() {
        let plain = json!({"kind": null, "target": null});
        let through = |name: &str| {
            let mut metadata: Value =
                serde_json::from_str(&metadata("webauthn-rs", &plain)).unwrap();
            let package = json!({"id": "5", "name": name});
            metadata["packages"].as_array_mut().unwrap().push(package);
            let nodes = metadata["resolve"]["nodes"].as_array_mut().unwrap();
            nodes[3]["deps"] = json!([{"name": "x", "pkg": "5", "dep_kinds": [plain]}]);
            nodes.push(json!({"id": "5", "deps": []}));
            check_linked(&metadata.to_string()).unwrap()
        };
        assert_eq!(through("aes"), [""; 0]);
        assert_eq!(through("rustic_core").len(), 1);
    }

    #[test]
    fn what_cargo_resolves_is_asked_for_what_decrypts() {
        // The one program that does decrypt: the names are those that cargo knows.
        let metadata: Value = serde_json::from_str(&linked().unwrap()).unwrap();
        let ours = reaches(&metadata, "strongroom-cli").unwrap();
        for name in ["strongroom-repo", "scrypt", "aes", "ctr", "poly1305"] {
            let is_known = DECRYPTING.contains(&name) || READERS.contains(&name);
            assert!(ours.contains_key(name) && is_known, "{name}");
        }
        reaches(&metadata, "strongroom-nothing").unwrap_err();
    }

    #[test]
    fn the_arrows_have_no_cycle() {
        let mut settled: Vec<&str> = Vec::new();
        while settled.len() < ARROWS.len() {
            let before = settled.len();
            for (name, links) in ARROWS {
                if !settled.contains(name) && links.iter().all(|link| settled.contains(link)) {
                    settled.push(name);
                }
            }
            assert!(
                settled.len() > before,
                "a cycle among the rest of {settled:?}"
            );
        }
    }
}
