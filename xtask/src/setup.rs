//! `cargo xtask setup`: the real programs that the tests run against.
//!
//! On Debian, as root, it installs them; anywhere else it names exactly what is missing and how
//! to get it. A missing program is a failure here, so that it can never become a skipped test.
//! Two versions of restic are wanted side by side. The one that is not installed is unpacked
//! beside the system, from Debian's own signed packages (see [`debian`]), and so are nginx and Caddy
//! (see [`proxies`]).

mod axe_core;
mod debian;
mod proxies;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{capture, cargo, find_program, run as run_command, target_folder};

/// A program, the Debian package that holds it, and what it is for.
struct Program {
    name: &'static str,
    package: &'static str,
    why: &'static str,
}

const PROGRAMS: &[Program] = &[
    program(
        "git",
        "git",
        "says which files of a checkout are the project's",
    ),
    program("restic", "restic", "the judge of every repository"),
    program(
        "rclone",
        "rclone",
        "a second server of restic's REST protocol, which it is no client of",
    ),
    program("openssl", "openssl", "certificates for the tests of TLS"),
    program("curl", "curl", "asks a vault as an operator does"),
    program(
        "systemd-analyze",
        "systemd",
        "the judge of the unit of a vault; systemd need not run",
    ),
    program("setfattr", "attr", "extended attributes, seen from outside"),
    program("setfacl", "acl", "access control lists, seen from outside"),
    program("ceph-mon", "ceph-mon", CEPH),
    program("ceph-osd", "ceph-osd", CEPH),
    program("radosgw", "radosgw", CEPH),
    program("ceph", "ceph-common", CEPH),
    program(
        "aws",
        "awscli",
        "types what `strongroom init` prints to whoever rules a bucket",
    ),
    program(
        "initdb",
        "postgresql",
        "a real database that several vaults share",
    ),
    // What it depends on brings letters along, DejaVu's.
    program("chromium", "chromium", "opens a vault's pages as people do"),
    program(
        "chromedriver",
        "chromium-driver",
        "tells chromium what to do",
    ),
    program("borg", "borgbackup", "a peer in `cargo xtask bench`"),
    program("tar", "tar", "the one big file of `cargo xtask bench`"),
];

/// What all of Ceph's programs are for.
const CEPH: &str = "a real S3 server";

/// A cargo subcommand, in the version that is known to work here.
struct CargoTool {
    subcommand: &'static str,
    package: &'static str,
    version: &'static str,
}

const CARGO_TOOLS: &[CargoTool] = &[
    CargoTool {
        subcommand: "nextest",
        package: "cargo-nextest",
        version: "0.9.143",
    },
    CargoTool {
        subcommand: "deny",
        package: "cargo-deny",
        version: "0.20.2",
    },
];

/// A restic that the tests judge with, and the Debian release that carries it.
struct WantedRestic {
    version: &'static str,
    debian_release: &'static str,
    variable: &'static str,
}

const RESTICS: &[WantedRestic] = &[
    WantedRestic {
        version: "0.14",
        debian_release: "bookworm",
        variable: "STRONGROOM_TEST_RESTIC_OLD",
    },
    WantedRestic {
        version: "0.18",
        debian_release: "trixie",
        variable: "STRONGROOM_TEST_RESTIC_NEW",
    },
];

/// Where the package keeps the program.
const RESTIC: &str = "usr/bin/restic";

/// A restic of a wanted version that was found or fetched.
pub(crate) struct Restic {
    pub(crate) version: &'static str,
    pub(crate) path: PathBuf,
    variable: &'static str,
}

/// The programs that the tests cannot find by name alone.
pub(crate) struct Programs {
    /// Every wanted restic, oldest first.
    pub(crate) restics: Vec<Restic>,
    /// All others, each with the variable that names it.
    others: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// The environment by which the tests find them.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let restics = self.restics.iter();
        let restics = restics.map(|restic| (restic.variable, restic.path.as_path()));
        let others = self.others.iter();
        restics.chain(others.map(|(variable, path)| (*variable, path.as_path())))
    }
}

/// Makes every program that the tests need present, or fails naming all that are not.
pub(crate) fn run() -> Result<Programs> {
    let mut problems = install_packages();
    problems.extend(cargo_tools().err().map(|error| format!("{error:#}")));
    let (restics, failures) = restics();
    problems.extend(failures);
    let (mut others, failures) = proxies::find();
    problems.extend(failures);
    match axe_core::find() {
        Ok(path) => others.push((axe_core::VARIABLE, path)),
        Err(error) => problems.push(format!(
            "axe-core {} (the judge of a vault's pages): set {} to the path of its axe.min.js, or \
             have npm fetch it: `apt-get install npm` as root, or your system's package ({error:#})",
            axe_core::VERSION,
            axe_core::VARIABLE
        )),
    }
    if problems.is_empty() {
        return Ok(Programs { restics, others });
    }
    bail!(
        "The tests need what is not here:\n  {}",
        problems.join("\n  ")
    );
}

/// Installs missing cargo subcommands.
pub(crate) fn cargo_tools() -> Result<()> {
    for tool in CARGO_TOOLS {
        if capture(&mut cargo([tool.subcommand, "--version"])).is_ok() {
            continue;
        }
        let mut install = cargo([
            "install",
            "--locked",
            tool.package,
            "--version",
            tool.version,
        ]);
        // What several of them are made of is built once.
        install
            .arg("--target-dir")
            .arg(target_folder().join("tools").join("build"));
        // These tools wait for other programs: building them fast matters more than their speed.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        install.env("CARGO_PROFILE_RELEASE_LTO", "off");
        install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        run_command(&mut install)?;
    }
    Ok(())
}

/// Finds or unpacks every wanted restic; a line for each that could not be had.
pub(crate) fn restics() -> (Vec<Restic>, Vec<String>) {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for wanted in RESTICS {
        match restic(wanted) {
            Ok(path) => found.push(Restic {
                version: wanted.version,
                path,
                variable: wanted.variable,
            }),
            Err(error) => failures.push(format!(
                "restic {0}: set {1} to the path of a restic {0}, or run this on Debian, which \
                 unpacks the package of its release {2} ({error:#})",
                wanted.version, wanted.variable, wanted.debian_release
            )),
        }
    }
    (found, failures)
}

/// Installs missing packages where that is possible; returns a line for each that stays missing.
fn install_packages() -> Vec<String> {
    let missing = || {
        PROGRAMS
            .iter()
            .filter(|program| find_program(program.name).is_none())
    };
    if missing().next().is_none() {
        return Vec::new();
    }
    let mut failure = String::new();
    if debian::can_install() {
        let packages: Vec<_> = missing().map(|program| program.package).collect();
        if let Err(error) = debian::install(&packages) {
            failure = format!(" ({error:#})");
        }
    }
    missing()
        .map(|Program { name, package, why }| {
            format!("{name} ({why}): `apt-get install {package}` as root, or your system's package{failure}")
        })
        .collect()
}

/// Finds a restic of the wanted version, or unpacks one beside the system.
fn restic(wanted: &WantedRestic) -> Result<PathBuf> {
    let unpacked = unpacked(wanted);
    if let Some(path) = std::env::var_os(wanted.variable).map(PathBuf::from) {
        return is_version(&path, wanted.version).map(|()| path);
    }
    let candidates = find_program("restic")
        .into_iter()
        .chain([unpacked.join(RESTIC)]);
    for path in candidates {
        if is_version(&path, wanted.version).is_ok() {
            return Ok(path);
        }
    }
    debian::unpack(&["restic"], wanted.debian_release, &unpacked)?;
    is_version(&unpacked.join(RESTIC), wanted.version).map(|()| unpacked.join(RESTIC))
}

/// Where a restic that is not the system's is unpacked.
fn unpacked(wanted: &WantedRestic) -> PathBuf {
    target_folder()
        .join("tools")
        .join(format!("restic-{}", wanted.version))
}

fn is_version(path: &Path, version: &str) -> Result<()> {
    let said = capture(Command::new(path).arg("version"))?;
    if !said.starts_with(&format!("restic {version}.")) {
        bail!(
            "{} is not {version} but says: {}",
            path.display(),
            said.trim_end()
        );
    }
    Ok(())
}

const fn program(name: &'static str, package: &'static str, why: &'static str) -> Program {
    Program { name, package, why }
}
