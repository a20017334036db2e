//! Debian's packages: installed as usual, or unpacked beside the system from another release.
//!
//! The mirror is the one this machine is configured with, and apt checks Debian's signatures as
//! always. Everything that apt writes for the other release goes to a private folder, so that the
//! machine's own package lists never learn of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{capture, find_program, run as run_command};

/// Debian's own keys, from its package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether packages can be installed here the Debian way, by whoever runs this.
pub(super) fn can_install() -> bool {
    has_apt() && rustix::process::geteuid().is_root()
}

/// Installs packages; needs root.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    run_command(apt_get().arg("update"))?;
    run_command(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

/// Downloads packages of a Debian release and unpacks them into a folder; needs no root.
pub(super) fn unpack(packages: &[&str], release: &str, folder: &Path) -> Result<()> {
    if !is_debian() {
        bail!("This is not Debian");
    }
    let mirror = mirror()?;
    let private = tempfile::tempdir()?;
    for needed in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(private.path().join(needed))?;
    }
    let sources = private.path().join("other.sources");
    fs::write(
        &sources,
        format!(
            "Types: deb\nURIs: {mirror}\nSuites: {release}\nComponents: main\nSigned-By: {KEYRING}\n"
        ),
    )?;
    let apt = |arguments: &[&str]| {
        let mut command = apt_get();
        for (option, value) in [
            ("Dir::Etc::SourceList", sources.as_path()),
            ("Dir::Etc::SourceParts", Path::new("/dev/null")),
            ("Dir::State::Lists", &private.path().join("lists")),
            ("Dir::Cache", &private.path().join("cache")),
        ] {
            command
                .arg("-o")
                .arg(format!("{option}={}", value.display()));
        }
        // The folder is ours alone, so apt's unprivileged user could not write there.
        command.args([
            "-o",
            "APT::Sandbox::User=root",
            "-o",
            "Acquire::Languages=none",
        ]);
        command.args(arguments).current_dir(private.path());
        command
    };
    run_command(&mut apt(&["update"])).context(
        "If signatures could not be checked: `apt-get install debian-archive-keyring` as root",
    )?;
    run_command(&mut apt(&[&["download"], packages].concat()))?;
    let files = fs::read_dir(private.path())?.filter_map(Result::ok);
    let archives: Vec<_> = files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    if archives.len() != packages.len() {
        bail!("apt-get download left {archives:?}, not one for each of {packages:?}");
    }
    fs::create_dir_all(folder)?;
    for archive in archives {
        run_command(Command::new("dpkg").arg("-x").args([&archive, folder]))?;
    }
    Ok(())
}

/// The name of the Debian release that this machine runs; none where it runs another system.
pub(super) fn release() -> Option<String> {
    let told = fs::read_to_string("/etc/os-release").ok()?;
    is_debian().then(|| named_release(&told).map(str::to_owned))?
}

/// What `/etc/os-release` calls the release.
fn named_release(told: &str) -> Option<&str> {
    let name = told
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(name.trim_matches('"')).filter(|name| !name.is_empty())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o", "Dpkg::Use-Pty=0"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn has_apt() -> bool {
    find_program("apt-get").is_some()
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    has_apt() && release.lines().any(|line| line == "ID=debian")
}

/// The mirror of the main archive that this machine is configured with.
fn mirror() -> Result<String> {
    let targets = capture(Command::new("apt-get").args([
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    main_archive(&targets)
        .map(str::to_owned)
        .context("No Debian mirror is configured in /etc/apt/sources.list or sources.list.d")
}

/// Picks the archive itself among lines of `URI RELEASE COMPONENT`: not its updates, security or
/// backports, which carry a dash in their release.
fn main_archive(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (uri, release, component) = (words.next()?, words.next()?, words.next()?);
        let is_main = component == "main" && !release.contains(['-', '/']);
        is_main.then_some(uri)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_itself_is_picked_not_its_updates_or_security() {
        let targets = "http://m.example/security/ bookworm-security main\n\
                       http://m.example/debian/ bookworm-updates main\n\
                       http://m.example/debian/ bookworm contrib\n\
                       http://m.example/debian/ bookworm main\n";
        assert_eq!(main_archive(targets), Some("http://m.example/debian/"));
        assert_eq!(
            main_archive("http://m.example/x/ bookworm-updates main"),
            None
        );
        assert_eq!(main_archive(""), None);
    }

    #[test]
    fn the_release_is_the_one_that_the_system_tells() {
        let told = "ID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(named_release(told), Some("bookworm"));
        assert_eq!(named_release("VERSION_CODENAME=\"sid\"\n"), Some("sid"));
        assert_eq!(named_release("ID=debian\nVERSION_CODENAME=\n"), None);
    }
}
