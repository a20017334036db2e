//! The working area of a trial: a folder with a configuration, a password, two copies in folders
//! and one on a vault, a state folder, and what was restored.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use strongroom_engine::session::Password;
use strongroom_engine::state::StateFolder;
use strongroom_model::shell::quoted;
use strongroom_model::{Config, Id};
use strongroom_repo::Key;
use zeroize::Zeroizing;

use crate::commands::trial::server::TrialVault;
use crate::error::{Error, Result};
use crate::program;

/// A working area that was made.
pub(super) struct Area {
    /// The folder.
    pub(super) path: PathBuf,
    /// The password of the repository in it.
    pub(super) password: Password,
    /// The vault that holds the third copy, for as long as the trial runs.
    pub(super) vault: TrialVault,
    text: String,
}

/// The copies in folders.
const COPIES: [&str; 2] = ["one", "two"];

/// The copy on the vault.
pub(super) const VAULT_COPY: &str = "three";

impl Area {
    /// Makes a new area for trying `dir`, at a given place or in the folder for temporary files.
    pub(super) fn make(dir: &Path, at: Option<&Path>) -> Result<Self> {
        if !dir.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(Error::local(format!("try {}", dir.display()))(error));
        }
        let path = match at {
            Some(path) => empty_folder(path, dir)?,
            None => temporary_folder(dir)?,
        };
        let password = random_password()?;
        let vault = TrialVault::start(&path.join("vault"))?;
        let text = configuration(dir, &path, &vault)?;
        write(&path.join("strongroom.toml"), text.as_bytes())?;
        write(&path.join("password"), &password)?;
        Ok(Self {
            path,
            password,
            vault,
            text,
        })
    }

    /// The configuration of the area.
    pub(super) fn config(&self) -> Result<Config> {
        Config::parse(&self.text, &|_| None).map_err(|problems| Error::Config {
            path: self.path.join("strongroom.toml"),
            problems,
        })
    }

    /// The folder of a copy.
    pub(super) fn copy(&self, name: &str) -> PathBuf {
        self.path.join("copies").join(name)
    }

    /// Where the snapshot is restored to.
    pub(super) fn restored(&self) -> PathBuf {
        self.path.join("restored")
    }

    /// The area's own state folder.
    pub(super) fn state(&self) -> StateFolder {
        StateFolder::new(self.path.join("state"))
    }

    /// What to do next.
    pub(super) fn last_words(&self, dir: &Path) -> String {
        let in_area = |name: &str| quoted(self.path.join(name));
        let vault_program = program::vault_typed();
        let back = match &vault_program {
            Some(_) => "The vault of copy three ended with the trial. To have it back, in another terminal:"
                .to_owned(),
            None => format!(
                "The vault of copy three ended with the trial, and its program is neither beside this one nor on PATH.
To have it back, first in the folder of Strongroom's source, then in another terminal:
  {}",
                program::INSTALL_VAULT
            ),
        };
        format!(
            "
All three copies lie on one disk of one machine: whatever takes it takes all of them, and the vault
was on the machine that it is to protect. This was a rehearsal, not 3-2-1; the lines above say what
is missing.

{back}
  {vault_program} serve --config {vault_config} --listen {address} --no-tls

Look around:
  export STRONGROOM_CONFIG={config} STRONGROOM_STATE={state}
  {program} snapshots
  {program} ls -l latest {dir}
  {program} status
  restic -r {one} --password-file {password} check --read-data

With the vault, stock restic too; its address has the token that may append and never delete:
  restic -r \"$(grep -o 'rest:[^\"]*' {config})\" --password-file {password} snapshots

For real: copy strongroom.toml to /etc/strongroom, put the copies where fire, thieves and the
credentials of this machine do not reach all of them, choose a password, and:
  {program} init && {program} backup && {program} status

Forget it all:
  rm -r {area}
",
            program = program::typed(),
            vault_program = vault_program.as_deref().unwrap_or(program::VAULT),
            vault_config = quoted(&self.vault.config),
            address = self.vault.address,
            config = in_area("strongroom.toml"),
            state = in_area("state"),
            dir = quoted(dir),
            one = quoted(self.copy("one")),
            password = in_area("password"),
            area = quoted(&self.path),
        )
    }
}

fn empty_folder(path: &Path, dir: &Path) -> Result<PathBuf> {
    let making = || Error::local(format!("make the working area {}", path.display()));
    let whole = std::path::absolute(path).map_err(making())?;
    // Before it is made: nothing may be written into the folder that is tried.
    let real = real_path(&whole).map_err(making())?;
    refuse_overlap(&real, dir)?;
    make_private(&real).map_err(making())?;
    if fs::read_dir(&real).map_err(making())?.next().is_some() {
        return Err(making()(std::io::ErrorKind::DirectoryNotEmpty.into()));
    }
    Ok(real)
}

fn temporary_folder(dir: &Path) -> Result<PathBuf> {
    let place = std::env::temp_dir();
    let making = || Error::local(format!("make a working area in {}", place.display()));
    let place = place.canonicalize().map_err(making())?;
    let name = random_text().map_err(|error| Error::Engine(error.into()))?;
    let name: String = name.chars().take(8).collect();
    let path = place.join(format!("strongroom-try-{name}"));
    refuse_overlap(&path, dir)?;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .map_err(making())?;
    Ok(path)
}

/// The path with its links resolved, as far as it exists.
fn real_path(path: &Path) -> std::io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok(real_path(parent)?.join(name)),
                _ => Err(error),
            }
        }
        found => found,
    }
}

fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn refuse_overlap(area: &Path, dir: &Path) -> Result<()> {
    if area.starts_with(dir) || dir.starts_with(area) {
        return Err(Error::Overlap {
            area: area.to_owned(),
            dir: dir.to_owned(),
        });
    }
    Ok(())
}

/// A password that nobody has to type.
fn random_password() -> Result<Password> {
    let text = random_text().map_err(|error| Error::Engine(error.into()))?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// 256 random bits as text: a key, hashed, so that nothing of it is left in memory.
fn random_text() -> strongroom_repo::Result<Zeroizing<String>> {
    let sealed = Key::generate()?.seal(&[])?;
    Ok(Zeroizing::new(Id::of(&sealed).to_string()))
}

fn configuration(dir: &Path, area: &Path, vault: &TrialVault) -> Result<String> {
    let string = |path: &Path| {
        let text = path.to_str().ok_or_else(|| {
            let error = std::io::Error::other("its name is not UTF-8, which TOML cannot write");
            Error::local(format!("write {} into a configuration", path.display()))(error)
        })?;
        // JSON escapes what TOML does, and `$$` stands for a dollar sign.
        serde_json::to_string(&text.replace('$', "$$"))
            .map_err(|error| Error::local("write a configuration")(error.into()))
    };
    let mut text = format!(
        "# Made by strongroom try: three copies on one disk, which is not 3-2-1.\n\
         password_file = {}\n\n\
         [[source]]\nname = \"tried\"\npath = {}\n",
        string(&area.join("password"))?,
        string(dir)?,
    );
    for name in COPIES {
        let store = string(&area.join("copies").join(name))?;
        text.push_str(&format!(
            "\n[[copy]]\nname = \"{name}\"\nstore = {store}\nmedium = \"disk\"\n\
             site = \"here\"\ndomain = \"this-machine\"\n"
        ));
    }
    let store = vault.store();
    text.push_str(&format!(
        "\n[[copy]]\nname = \"{VAULT_COPY}\"\nstore = \"{store}\"\nmedium = \"disk\"\n\
         site = \"here\"\ndomain = \"this-machine\"\n"
    ));
    Ok(text)
}

/// Writes a new file that only its owner reads.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(Error::local(format!("write {}", path.display())))
}
