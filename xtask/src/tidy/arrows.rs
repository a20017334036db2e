//! The arrows between crates: what a crate may link is what it can do.
//!
//! A server that does not link the repository format cannot decrypt, whatever its code says; so
//! an arrow too many is a hole, not a matter of taste.

use std::path::Path;

use anyhow::{Context, Result};

use super::Complaint;

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
