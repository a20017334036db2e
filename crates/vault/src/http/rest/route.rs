//! What a path means: everything that becomes part of a name is parsed into a type here, and
//! nothing else of it is looked at again.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use strongroom_model::{FileName, FileType, Id, RepositoryPath};

/// The types that have a folder.
const FOLDERS: [FileType; 6] = [
    FileType::Data,
    FileType::Index,
    FileType::Keys,
    FileType::Locks,
    FileType::Records,
    FileType::Snapshots,
];

/// The first folder of a view as of a moment.
const AS_OF: &str = "asof";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// As of when.
    pub moment: Moment,
    /// Of which repository.
    pub repository: RepositoryPath,
    /// What of it.
    pub target: Target,
}

/// As of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Whenever it is asked.
    Now,
    /// A recorded time, in milliseconds since 1970.
    Time(i64),
    /// So many leaves.
    Leaves(u64),
}

/// What of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The repository itself.
    Root,
    /// All files of a type.
    List(FileType),
    /// A file.
    File(FileName),
}

impl Route {
    /// Reads a path; `None` where it means nothing.
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut folders: Vec<&str> = path.split('/').collect();
        let mut moment = Moment::Now;
        if folders.first() == Some(&AS_OF) {
            moment = Moment::parse(folders.get(1)?)?;
            folders.drain(..2);
        }
        let (repository, target) = match folders.as_slice() {
            [before @ .., "config"] => (before, Target::File(FileName::CONFIG)),
            [before @ .., folder, id] if type_of(folder).is_some() => {
                let id: Id = id.parse().ok()?;
                (before, Target::File(FileName::new(type_of(folder)?, id)))
            }
            [before @ .., folder] if type_of(folder).is_some() => {
                (before, Target::List(type_of(folder)?))
            }
            all => (all, Target::Root),
        };
        let repository = repository.join("/");
        Some(Self {
            moment,
            // What is there stays reachable; only new ones must not be called like a page.
            repository: match target {
                Target::Root => repository.parse().ok()?,
                Target::List(_) | Target::File(_) => RepositoryPath::of_record(&repository).ok()?,
            },
            target,
        })
    }
}

impl Moment {
    /// A time as `2026-11-20T10:00:00Z`, or a number of leaves as `@1234`.
    fn parse(text: &str) -> Option<Self> {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        if let Some(leaves) = text.strip_prefix('@') {
            let is_number = leaves.bytes().all(|byte| byte.is_ascii_digit());
            // No log has more leaves than that.
            let leaves: i64 = leaves.parse().ok().filter(|_| is_number)?;
            return u64::try_from(leaves).ok().map(Self::Leaves);
        }
        let time: Timestamp = text.parse().ok()?;
        Some(Self::Time(time.as_millisecond()))
    }
}

fn type_of(folder: &str) -> Option<FileType> {
    FOLDERS.into_iter().find(|kind| kind.folder() == folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";

    fn route(path: &str) -> Option<(String, Target)> {
        Route::parse(path).map(|route| (route.repository.to_string(), route.target))
    }

    #[test]
    fn repositories_lie_in_one_or_two_folders() {
        let id: Id = ID.parse().unwrap();
        let file = Target::File(FileName::new(FileType::Data, id));
        for repository in ["acme", "acme/repos"] {
            let of = |target| Some((repository.to_owned(), target));
            assert_eq!(route(&format!("/{repository}/")), of(Target::Root));
            assert_eq!(route(&format!("/{repository}/data/{ID}")), of(file));
            let list = of(Target::List(FileType::Index));
            assert_eq!(route(&format!("/{repository}/index/")), list);
            let records = of(Target::List(FileType::Records));
            assert_eq!(route(&format!("/{repository}/strongroom/")), records);
            let record = of(Target::File(FileName::new(FileType::Records, id)));
            assert_eq!(route(&format!("/{repository}/strongroom/{ID}")), record);
            let config = of(Target::File(FileName::CONFIG));
            assert_eq!(route(&format!("/{repository}/config")), config);
        }
    }

    #[test]
    fn a_moment_stands_in_front() {
        let time = Route::parse("/asof/2026-11-20T10:00:00Z/acme/repos/config").unwrap();
        assert_eq!(time.moment, Moment::Time(1_795_168_800_000));
        let encoded = Route::parse("/asof/2026-11-20T10%3A00%3A00Z/acme/repos/config").unwrap();
        assert_eq!(encoded, time);
        let leaves = Route::parse("/asof/@17/acme/keys/").unwrap();
        assert_eq!(leaves.moment, Moment::Leaves(17));
        assert_eq!(leaves.target, Target::List(FileType::Keys));
        assert_eq!(Route::parse("/asof/yesterday/acme/keys/"), None);
        assert_eq!(Route::parse("/asof"), None);
        assert_eq!(Route::parse("/asof/@1"), None);
        for none in [
            "@",
            "@-1",
            "@+1",
            "@9223372036854775808",
            "@18446744073709551615",
        ] {
            assert_eq!(Route::parse(&format!("/asof/{none}/acme/keys/")), None);
        }
    }

    #[test]
    fn a_repository_that_is_called_like_a_page_is_reached_and_never_made() {
        assert_eq!(Route::parse("/v1/"), None);
        assert_eq!(Route::parse("/v1/repos/"), None);
        let index = Target::List(FileType::Index);
        assert_eq!(route("/v1/index/"), Some(("v1".to_owned(), index)));
        let config = Target::File(FileName::CONFIG);
        assert_eq!(
            route("/v1/repos/config"),
            Some(("v1/repos".to_owned(), config))
        );
    }

    #[test]
    fn tricks_mean_nothing() {
        for path in [
            "",
            "/",
            "//",
            "/../etc/passwd",
            "/acme/../x/config",
            "/acme//data/",
            "/a/b/c/config",
            "/acme/data/..",
            "/acme/data/xyz",
            "/acme%2fb/config",
            "/acme/%2e%2e/config",
            "/data/",
            "/strongroom/",
            "/config",
            "/acme/keys/config",
            "/acme/data/data/",
            "/acme/./config",
            "/acme/data/C2A6BD9A1D3F3D6A1F7F0D7B0B2A4C9D8E6F5A4B3C2D1E0F9A8B7C6D5E4F3A2B",
            "/acme\\repos/config",
            "/acme/repos\0/config",
            "acme/config",
        ] {
            assert_eq!(Route::parse(path), None, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_only_plain_names_come_out(path in "[ -~]{0,80}") {
            if let Some(route) = Route::parse(&path) {
                let repository = route.repository.to_string();
                prop_assert!(RepositoryPath::of_record(&repository).is_ok());
                prop_assert!(!repository.contains(".."));
            }
        }
    }
}
