//! How to type this very program: by its name where PATH finds it, else by its path.
//!
//! Whoever has just built it has no `strongroom` on PATH, or another one.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use strongroom_model::shell::quoted;

/// The program's name.
const NAME: &str = "strongroom";

/// What to type for this program.
pub(crate) fn typed() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::current_exe().map_or_else(|_| NAME.to_owned(), |exe| word(&exe, &path))
}

/// What to type for the vault's program, which lies beside this one.
pub(crate) fn vault_typed() -> String {
    let typed = typed();
    match typed.strip_suffix('\'') {
        Some(open) => format!("{open}-vault'"),
        None => format!("{typed}-vault"),
    }
}

/// Lets the commands in a text of ours, in which no paths are, be typed as they stand there.
pub(crate) fn as_typed(text: &str) -> String {
    with_program(text, &typed())
}

/// Every command of ours has a word behind its name; `strongroom.toml` and others have none.
fn with_program(text: &str, program: &str) -> String {
    text.replace(&format!("{NAME} "), &format!("{program} "))
}

/// What to type for the program `exe`, where commands are looked for in `path`.
fn word(exe: &Path, path: &OsStr) -> String {
    let Ok(exe) = exe.canonicalize() else {
        // It was replaced or removed meanwhile.
        return NAME.to_owned();
    };
    let found = std::env::split_paths(path)
        .map(|folder| folder.join(NAME))
        .find(|found| is_program(found));
    if found.and_then(|found| found.canonicalize().ok()) == Some(exe.clone()) {
        return NAME.to_owned();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    match exe.to_str() {
        Some(plain) if plain.bytes().all(is_plain) => plain.to_owned(),
        _ => quoted(&exe),
    }
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
    use std::path::PathBuf;

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
        let typed = |names: &[&str]| word(&built, &path(names).unwrap());
        assert_eq!(typed(&["none", "target", "other"]), "strongroom");
        assert_eq!(typed(&["links"]), "strongroom");
        assert_eq!(typed(&["folder", "text", "target"]), "strongroom");
        let whole = built.to_str().unwrap();
        assert_eq!(typed(&["other", "target"]), whole);
        assert_eq!(typed(&["none"]), whole);
        assert_eq!(word(&other, OsStr::new("")), other.to_str().unwrap());
        assert_eq!(word(&at("gone"), OsStr::new("")), "strongroom");
    }

    #[test]
    fn what_a_shell_would_cut_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let built = program(&folder.path().join("it's mine/strongroom"));
        let whole = built.to_str().unwrap().replace('\'', r"'\''");
        assert_eq!(word(&built, OsStr::new("")), format!("'{whole}'"));
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
