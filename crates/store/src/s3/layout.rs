//! Where the files of a repository are in a bucket: as restic lays them out.

use strongroom_model::{FileName, FileType, Id};

/// How the keys of a repository begin: nothing, or folders with a slash behind each.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    folder: String,
}

impl Layout {
    /// That of a repository whose keys all begin so.
    pub(super) const fn new(folder: String) -> Self {
        Self { folder }
    }

    /// The key of a file.
    pub(super) fn key(&self, name: FileName) -> String {
        let beginning = self.beginning(name.kind());
        let Some(id) = name.id().map(|id| id.to_string()) else {
            return beginning;
        };
        match (name.kind(), id.get(..2)) {
            (FileType::Data, Some(first)) => format!("{beginning}{first}/{id}"),
            _ => format!("{beginning}{id}"),
        }
    }

    /// What the keys of a type begin with, and may be that of something else; of `config` its key.
    pub(super) fn beginning(&self, kind: FileType) -> String {
        let slash = if kind == FileType::Config { "" } else { "/" };
        format!("{}{}{slash}", self.folder, kind.folder())
    }

    /// The file of a type that has this key; `None` where it is that of no such file.
    pub(super) fn name(&self, kind: FileType, key: &str) -> Option<FileName> {
        let rest = key.strip_prefix(&self.beginning(kind))?;
        if kind == FileType::Config {
            return rest.is_empty().then_some(FileName::CONFIG);
        }
        let id = match kind {
            FileType::Data => {
                let (first, id) = rest.split_once('/')?;
                (id.get(..2) == Some(first)).then_some(id)?
            }
            _ => rest,
        };
        Some(FileName::new(kind, id.parse::<Id>().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FileType; 7] = [
        FileType::Config,
        FileType::Keys,
        FileType::Data,
        FileType::Index,
        FileType::Snapshots,
        FileType::Locks,
        FileType::Records,
    ];

    #[test]
    fn keys_are_those_of_restic() {
        let id = Id::of(b"");
        let whole = Layout::new(String::new());
        let key = |kind| whole.key(FileName::new(kind, id));
        assert_eq!(key(FileType::Config), "config");
        assert_eq!(key(FileType::Data), format!("data/e3/{id}"));
        assert_eq!(key(FileType::Locks), format!("locks/{id}"));
        assert_eq!(key(FileType::Records), format!("strongroom/{id}"));
        let below = Layout::new("acme/repos/".to_owned());
        let pack = FileName::new(FileType::Data, id);
        assert_eq!(below.key(pack), format!("acme/repos/data/e3/{id}"));
        assert_eq!(below.key(FileName::CONFIG), "acme/repos/config");
    }

    #[test]
    fn each_key_is_that_of_one_file_and_others_are_of_none() {
        for folder in ["", "a/", "a/b/"] {
            let layout = Layout::new(folder.to_owned());
            for kind in KINDS {
                let name = FileName::new(kind, Id::of(folder.as_bytes()));
                let key = layout.key(name);
                assert!(key.starts_with(&layout.beginning(kind)), "{key}");
                for other in KINDS {
                    let expected = (kind == other).then_some(name);
                    assert_eq!(layout.name(other, &key), expected, "{key} as {other}");
                }
            }
        }
        let layout = Layout::new("a/".to_owned());
        let id = Id::of(b"");
        for (kind, key) in [
            (FileType::Data, format!("a/data/{id}")),
            (FileType::Data, format!("a/data/00/{id}")),
            (FileType::Data, format!("data/e3/{id}")),
            (FileType::Data, format!("a/data/e3/{id}.tmp")),
            (FileType::Data, "a/data/e3/ä".to_owned()),
            (FileType::Data, "a/data/".to_owned()),
            (FileType::Keys, format!("a/keys/x/{id}")),
            (FileType::Config, "a/config2".to_owned()),
        ] {
            assert_eq!(layout.name(kind, &key), None, "{key}");
        }
    }
}
