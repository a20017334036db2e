//! nginx and Caddy, behind which a vault is tried as operators put it behind them.
//!
//! They are unpacked beside the system and not installed: Debian's packages would start both as
//! services, on the ports of the web, now and whenever the machine starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::run::{capture, find_program, target_folder};

/// A proxy, and where Debian's package of the same name keeps it.
struct Proxy {
    name: &'static str,
    path: &'static str,
    /// What it is asked to tell that it runs here.
    version: &'static str,
    variable: &'static str,
}

const PROXIES: &[Proxy] = &[
    Proxy {
        name: "nginx",
        path: "usr/sbin/nginx",
        version: "-v",
        variable: "STRONGROOM_TEST_NGINX",
    },
    Proxy {
        name: "caddy",
        path: "usr/bin/caddy",
        version: "version",
        variable: "STRONGROOM_TEST_CADDY",
    },
];

/// Finds or unpacks every proxy, by the variable by which the tests find it; a line for each that
/// could not be had.
pub(super) fn find() -> (Vec<(&'static str, PathBuf)>, Vec<String>) {
    let unpacked = target_folder().join("tools").join("proxies");
    let missing = PROXIES
        .iter()
        .filter(|proxy| proxy.named().is_none() && proxy.find(&unpacked).is_none());
    let missing: Vec<_> = missing.map(|proxy| proxy.name).collect();
    let failure = match missing.is_empty() {
        true => None,
        false => unpack(&missing, &unpacked).err(),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for proxy in PROXIES {
        match (proxy.find(&unpacked), &failure) {
            (Some(path), _) => found.push((proxy.variable, path)),
            (None, failure) => failures.push(format!(
                "{0} (a proxy before a vault): set {1} to the path of one that runs, or run \
                 this on Debian, which unpacks its package{2}",
                proxy.name,
                proxy.variable,
                failure
                    .as_ref()
                    .map_or_else(String::new, |error| format!(" ({error:#})"))
            )),
        }
    }
    (found, failures)
}

impl Proxy {
    /// The one that its variable names, which alone counts then.
    fn named(&self) -> Option<PathBuf> {
        std::env::var_os(self.variable).map(PathBuf::from)
    }

    /// The one that is named, that is installed, or that was unpacked; none that does not run.
    fn find(&self, unpacked: &Path) -> Option<PathBuf> {
        let candidates = match self.named() {
            Some(path) => vec![path],
            None => find_program(self.name)
                .into_iter()
                .chain([unpacked.join(self.path)])
                .collect(),
        };
        let runs = |path: &PathBuf| capture(Command::new(path).arg(self.version)).is_ok();
        candidates.into_iter().find(runs)
    }
}

fn unpack(names: &[&str], folder: &Path) -> Result<()> {
    let release = debian::release().context("This is not Debian")?;
    debian::unpack(names, &release, folder)
}
