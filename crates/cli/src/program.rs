//! How to type this very program, and the vault's: by its name where PATH finds it, else by its path.
//!
//! Whoever has just built it has no `strongroom` on PATH, or another one; and the vault's program is
//! built by a command of its own, so that it may be nowhere.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use strongroom_model::shell::quoted;

/// The program's name.
const NAME: &str = "strongroom";

/// The name of the vault's program, under which it is installed.
pub(crate) const VAULT: &str = "strongroom-vault";

/// What installs the vault's program, typed in the folder of the source; then PATH finds it.
pub(crate) const INSTALL_VAULT: &str = "cargo install --locked --path crates/vault";

/// What to type for this program.
pub(crate) fn typed() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::current_exe().map_or_else(|_| NAME.to_owned(), |exe| word(NAME, &exe, &path))
}

/// What to type for the vault's program: the one beside this, else the one that PATH finds.
///
/// `None` where there is neither: it has to be installed first, and then it is [`VAULT`].
pub(crate) fn vault_typed() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    vault_word(std::env::current_exe().ok().as_deref(), &path)
}

/// Lets the commands in a text of ours, in which no paths are, be typed as they stand there.
pub(crate) fn as_typed(text: &str) -> String {
    with_program(text, &typed())
}

/// Every command of ours has a word behind its name; `strongroom.toml` and others have none.
fn with_program(text: &str, program: &str) -> String {
    text.replace(&format!("{NAME} "), &format!("{program} "))
}

/// What to type for the program `exe` of this name, where commands are looked for in `path`.
fn word(name: &str, exe: &Path, path: &OsStr) -> String {
    let Ok(exe) = exe.canonicalize() else {
        // It was replaced or removed meanwhile.
        return name.to_owned();
    };
    let found = on_path(name, path).and_then(|found| found.canonicalize().ok());
    if found.as_ref() == Some(&exe) {
        return name.to_owned();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    match exe.to_str() {
        Some(plain) if plain.bytes().all(is_plain) => plain.to_owned(),
        _ => quoted(&exe),
    }
}

fn vault_word(exe: Option<&Path>, path: &OsStr) -> Option<String> {
    let beside = exe
        .and_then(|exe| exe.canonicalize().ok())
        .map(|exe| exe.with_file_name(VAULT))
        .filter(|beside| is_program(beside));
    match beside {
        Some(beside) => Some(word(VAULT, &beside, path)),
        None => on_path(VAULT, path).map(|_| VAULT.to_owned()),
    }
}

/// The first program of this name in the folders of `path`.
fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|found| is_program(found))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn program(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.canonicalize().unwrap()
    }

    #[test]
    fn a_program_that_path_finds_is_typed_by_its_name_and_any_other_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let built = program(&at("target/strongroom"));
        let other = program(&at("other/strongroom"));
        fs::create_dir_all(at("links")).unwrap();
        symlink(&built, at("links/strongroom")).unwrap();
        // Nothing of these two can be run.
        fs::create_dir_all(at("folder/strongroom")).unwrap();
        fs::create_dir_all(at("text")).unwrap();
        fs::write(at("text/strongroom"), "").unwrap();
        let path = |names: &[&str]| std::env::join_paths(names.iter().map(|name| at(name)));
        let typed = |names: &[&str]| word(NAME, &built, &path(names).unwrap());
        assert_eq!(typed(&["none", "target", "other"]), "strongroom");
        assert_eq!(typed(&["links"]), "strongroom");
        assert_eq!(typed(&["folder", "text", "target"]), "strongroom");
        let whole = built.to_str().unwrap();
        assert_eq!(typed(&["other", "target"]), whole);
        assert_eq!(typed(&["none"]), whole);
        assert_eq!(word(NAME, &other, OsStr::new("")), other.to_str().unwrap());
        assert_eq!(word(NAME, &at("gone"), OsStr::new("")), "strongroom");
    }

    #[test]
    fn the_program_of_the_vault_is_typed_only_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let built = program(&at("target/strongroom"));
        let path = at("installed").into_os_string();
        assert_eq!(vault_word(Some(&built), &path), None);
        assert_eq!(vault_word(None, &path), None);
        // It was built for nobody to run.
        fs::write(at("target/strongroom-vault"), "").unwrap();
        assert_eq!(vault_word(Some(&built), &path), None);

        program(&at("installed/strongroom-vault"));
        let by_name = Some(VAULT.to_owned());
        assert_eq!(vault_word(Some(&built), &path), by_name);
        assert_eq!(vault_word(None, &path), by_name);

        // The one beside us is the one that we know.
        let beside = program(&at("target/strongroom-vault"));
        let whole = beside.to_str().map(str::to_owned);
        assert_eq!(vault_word(Some(&built), &path), whole);
        assert_eq!(
            vault_word(Some(&built), at("target").as_os_str()),
            Some(VAULT.to_owned())
        );
    }

    #[test]
    fn what_a_shell_would_cut_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let built = program(&folder.path().join("it's mine/strongroom"));
        let whole = built.to_str().unwrap().replace('\'', r"'\''");
        assert_eq!(word(NAME, &built, OsStr::new("")), format!("'{whole}'"));
    }

    #[test]
    fn only_commands_are_replaced() {
        let text =
            "  strongroom init && strongroom backup\n  cd strongroom-try-x; vi strongroom.toml";
        assert_eq!(
            with_program(text, "/t/strongroom"),
            "  /t/strongroom init && /t/strongroom backup\n  cd strongroom-try-x; vi strongroom.toml"
        );
    }
}
