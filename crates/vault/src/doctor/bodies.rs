//! Bodies and rows: is there a body for each object, and an object for each body?
//!
//! A body without an object is what is left of an upload that ended between storing and the
//! commit: it was never acknowledged, and the client's next attempt replaces it. An object without
//! a body is a loss.

use std::fs;
use std::path::Path;

use strongroom_model::{FileName, FileType, Id, RepositoryPath};
use strongroom_store::BodyKey;

use crate::config::StorageConfig;
use crate::doctor::{Examination, Line};
use crate::vault::Vault;
use crate::{Error, Result};

/// How many objects, and how many files, are looked at in a sample.
const SAMPLE: u64 = 2_000;

/// So young a file may be an upload under way.
const YOUNG_S: u64 = 3_600;

/// How names of files begin that are being written.
const PASSING: &str = ".tmp-";

/// The folders of a repository with hash names.
const FOLDERS: [FileType; 5] = FileType::STORED;

/// What a walk through the files has found.
#[derive(Debug, Default)]
struct Walk {
    left: u64,
    files: u64,
    strays: u64,
    stray_bytes: u64,
    example: Option<String>,
    passing: u64,
}

impl Examination<'_> {
    pub(super) fn bodies(&self, vault: &Vault) -> Result<Vec<Line>> {
        let most = if self.is_thorough { u64::MAX } else { SAMPLE };
        let checked = vault.check_bodies(most, self.start)?;
        let mut lines = vec![match checked.example {
            None => Line::ok(
                "objects",
                format!("of {} objects the bodies are there", checked.objects),
            ),
            Some(example) => Line::fail(
                "objects",
                format!(
                    "of {} objects {} have no body, or one of another size: {example}",
                    checked.objects, checked.wrong
                ),
                "whoever has them puts them again, and they are healed: strongroom sync",
            ),
        }];
        let StorageConfig::Folder(folder) = &self.config.storage else {
            return Ok(lines);
        };
        let mut walk = Walk {
            left: most,
            ..Walk::default()
        };
        let root = folder.join("repositories");
        for repository in vault.repositories()? {
            let place = root.join(repository.path.as_str());
            self.walk(vault, &repository.path, &place, &mut walk)?;
        }
        lines.push(match walk.example {
            None => Line::ok("bodies", format!("{} files belong to objects", walk.files)),
            Some(example) => Line::warn(
                "bodies",
                format!(
                    "of {} files {} with {} bytes belong to no object: {example}",
                    walk.files, walk.strays, walk.stray_bytes
                ),
                "uploads that ended before they were acknowledged; they may be removed by hand",
            ),
        });
        if walk.passing > 0 {
            lines.push(Line::warn(
                "uploads",
                format!(
                    "{} files of uploads that never ended are left",
                    walk.passing
                ),
                "the vault removes them within a day of serving",
            ));
        }
        Ok(lines)
    }

    fn walk(
        &self,
        vault: &Vault,
        repository: &RepositoryPath,
        place: &Path,
        walk: &mut Walk,
    ) -> Result<()> {
        let mut folders = vec![(place.to_owned(), None)];
        for kind in FOLDERS {
            folders.push((place.join(kind.folder()), Some(kind)));
        }
        while let Some((folder, kind)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => {
                    entries.map_err(Error::of_vault(format!("read {}", folder.display())))?
                }
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                let name = entry.file_name().to_string_lossy().into_owned();
                if metadata.is_dir() {
                    // The folders of packs, by the first byte of their names.
                    if kind == Some(FileType::Data) && name.len() == 2 {
                        folders.push((entry.path(), kind));
                    }
                    continue;
                }
                if walk.left == 0 {
                    return Ok(());
                }
                let is_young = metadata.modified().is_ok_and(|time| self.is_young(time));
                if name.starts_with(PASSING) {
                    walk.passing += u64::from(!is_young);
                    continue;
                }
                walk.left -= 1;
                walk.files += 1;
                let body = body(repository, kind, &name);
                let is_known = match &body {
                    Some(body) => vault.knows_body(body)?,
                    None => false,
                };
                if !is_known && !is_young {
                    walk.strays += 1;
                    walk.stray_bytes = walk.stray_bytes.saturating_add(metadata.len());
                    let path = entry.path();
                    walk.example
                        .get_or_insert_with(|| path.display().to_string());
                }
            }
        }
        Ok(())
    }

    fn is_young(&self, time: std::time::SystemTime) -> bool {
        let since = time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let now_s = u64::try_from(self.now_s).unwrap_or_default();
        now_s.saturating_sub(since.as_secs()) < YOUNG_S
    }
}

/// The body whose file this would be: a name of restic's layout, and perhaps a generation.
fn body(repository: &RepositoryPath, kind: Option<FileType>, name: &str) -> Option<BodyKey> {
    let (name, generation) = match kind {
        None if name == "config" => (FileName::CONFIG, 1),
        None => return None,
        Some(kind) => {
            let (id, generation) = match name.split_once('.') {
                Some((id, generation)) => (id, generation.parse().ok()?),
                None => (name, 1),
            };
            (FileName::new(kind, id.parse::<Id>().ok()?), generation)
        }
    };
    Some(BodyKey {
        repository: repository.clone(),
        name,
        generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_storage() {
        let repository: RepositoryPath = "acme/repos".parse().unwrap();
        let id = Id::of(b"a pack");
        let of = |kind, name: &str| {
            body(&repository, kind, name).map(|body| (body.name, body.generation))
        };
        let pack = FileName::new(FileType::Data, id);
        assert_eq!(of(Some(FileType::Data), &id.to_string()), Some((pack, 1)));
        assert_eq!(
            of(Some(FileType::Data), &format!("{id}.7")),
            Some((pack, 7))
        );
        assert_eq!(of(None, "config"), Some((FileName::CONFIG, 1)));
        for stray in ["README", "x.1", &format!("{id}.x"), ""] {
            assert_eq!(of(Some(FileType::Data), stray), None, "{stray}");
        }
        assert_eq!(of(None, "README"), None);
    }
}
