//! The real programs that tests judge with: restic in two versions, rclone, openssl and others.
//!
//! A missing program fails the test that needs it. It never skips it: a judge who was not there
//! has acquitted nobody.

use std::path::PathBuf;
use std::sync::LazyLock;

/// A restic that is present.
#[derive(Debug, Clone)]
pub struct Restic {
    /// Its major and minor version, such as `0.14`.
    pub version: &'static str,
    /// The executable.
    pub path: PathBuf,
}

/// Returns every restic that a repository must satisfy, oldest first.
///
/// `cargo xtask test` says where they are through the environment; without it, they are looked
/// for where `cargo xtask setup` leaves them.
///
/// # Panics
/// When one of them is missing.
pub fn restic_versions() -> Vec<Restic> {
    RESTICS.clone()
}

/// Each was asked for its version once, and not again for every copy that it judges.
static RESTICS: LazyLock<Vec<Restic>> = LazyLock::new(|| {
    [
        ("0.14", "STRONGROOM_TEST_RESTIC_OLD"),
        ("0.18", "STRONGROOM_TEST_RESTIC_NEW"),
    ]
    .map(|(version, variable)| Restic {
        version,
        path: restic(version, variable),
    })
    .to_vec()
});

/// Returns the path of a program on PATH.
///
/// # Panics
/// When it is missing.
pub fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| missing(name))
}

/// Where `cargo xtask setup` leaves what is not installed, and tests what is made once.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// The folder of builds.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(target)
}

/// The script of axe-core, which judges pages.
pub(crate) fn axe_core() -> PathBuf {
    let fetched = tools().join("axe-core-4.14.1/package/axe.min.js");
    std::env::var_os("STRONGROOM_TEST_AXE_CORE")
        .map(PathBuf::from)
        .into_iter()
        .chain([fetched])
        .find(|path| path.is_file())
        .unwrap_or_else(|| missing("axe-core 4.14.1"))
}

/// A proxy: the one that a variable names, the one on PATH or where Debian has what only root has
/// there, or the one that `cargo xtask setup` has unpacked, which is at `path` in Debian's package.
pub(crate) fn proxy_program(name: &str, path: &str, variable: &str) -> PathBuf {
    let unpacked = tools().join("proxies").join(path);
    std::env::var_os(variable)
        .map(PathBuf::from)
        .or_else(|| find(name))
        .or_else(|| {
            let installed = PathBuf::from("/usr/sbin").join(name);
            [installed, unpacked].into_iter().find(|at| at.is_file())
        })
        .unwrap_or_else(|| missing(name))
}

fn restic(version: &str, variable: &str) -> PathBuf {
    let unpacked = tools().join(format!("restic-{version}/usr/bin/restic"));
    std::env::var_os(variable)
        .map(PathBuf::from)
        .into_iter()
        .chain([unpacked])
        .chain(find("restic"))
        .find(|path| is_version(path, version))
        .unwrap_or_else(|| missing(&format!("restic {version}")))
}

fn is_version(path: &PathBuf, version: &str) -> bool {
    let said = std::process::Command::new(path).arg("version").output();
    said.is_ok_and(|output| {
        output
            .stdout
            .starts_with(format!("restic {version}.").as_bytes())
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[expect(
    clippy::panic,
    reason = "a test without its judge must fail, and say how to get one"
)]
fn missing(what: &str) -> PathBuf {
    panic!("{what} is not here: run `cargo xtask setup`")
}
