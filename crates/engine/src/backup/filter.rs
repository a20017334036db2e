//! What of a folder source is left out.
//!
//! Of the patterns of a source, in their order, the last that matches an entry decides. One that
//! leads into a path of the source from the root of the machine is cut to what it says inside that
//! path, so that all of them are of one kind and keep their order.

mod pattern;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use strongroom_model::config::{Source, SourceKind};

use crate::backup::filter::pattern::Pattern;
use crate::{Error, Result};

/// The start of a `CACHEDIR.TAG` file; see the Cache Directory Tagging Specification.
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The rules of one source.
#[derive(Debug)]
pub(crate) struct Filter {
    /// For each path of the source, the rules with patterns relative to it.
    roots: Vec<(PathBuf, Gitignore)>,
    pub(crate) exclude_caches: bool,
    pub(crate) one_file_system: bool,
    larger_than_bytes: u64,
}

impl Filter {
    /// Reads the rules of a source; a command has none.
    ///
    /// # Errors
    /// [`Error::Source`] for a pattern that is not one.
    pub(crate) fn new(source: &Source) -> Result<Self> {
        let SourceKind::Folder {
            paths,
            exclude,
            exclude_caches,
            one_file_system,
            exclude_larger_than,
        } = &source.kind
        else {
            return Ok(Self::nothing());
        };
        let patterns = exclude.iter().map(|text| Pattern::new(text, paths));
        let patterns: Vec<_> = patterns.collect();
        let build = |root: &PathBuf| {
            let mut builder = GitignoreBuilder::new(root);
            for pattern in &patterns {
                for line in pattern.lines_for(root) {
                    builder
                        .add_line(None, &line)
                        .map_err(|error| Error::Source {
                            source_name: source.name.to_string(),
                            reason: format!("the exclude pattern {pattern} is not one: {error}"),
                        })?;
                }
            }
            let rules = builder.build().map_err(|error| Error::Source {
                source_name: source.name.to_string(),
                reason: format!("the exclude patterns cannot be used: {error}"),
            })?;
            Ok((root.clone(), rules))
        };
        Ok(Self {
            roots: paths.iter().map(build).collect::<Result<_>>()?,
            exclude_caches: *exclude_caches,
            one_file_system: *one_file_system,
            larger_than_bytes: exclude_larger_than.map_or(u64::MAX, |size| size.bytes()),
        })
    }

    /// Rules that leave out nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            roots: Vec::new(),
            exclude_caches: false,
            one_file_system: false,
            larger_than_bytes: u64::MAX,
        }
    }

    /// Whether a pattern can match at all; asking costs a path for each entry.
    pub(crate) fn has_patterns(&self) -> bool {
        self.roots.iter().any(|(_, rules)| !rules.is_empty())
    }

    /// Whether patterns leave out an entry of a folder.
    pub(crate) fn excludes(&self, folder: &Path, name: &[u8], is_folder: bool) -> bool {
        let path = folder.join(OsStr::from_bytes(name));
        // The path that is nearest above the entry.
        let above = self.roots.iter();
        let above = above.filter(|(root, _)| path.starts_with(root) && path != *root);
        let nearest = above.max_by_key(|(root, _)| root.as_os_str().len());
        nearest.is_some_and(|(_, rules)| rules.matched(&path, is_folder).is_ignore())
    }

    /// Whether a file is left out for its size.
    pub(crate) fn is_too_large(&self, size_bytes: u64) -> bool {
        size_bytes > self.larger_than_bytes
    }

    /// Whether the beginning of a file named `CACHEDIR.TAG` marks its folder as a cache.
    pub(crate) fn is_cache_tag(beginning: &[u8]) -> bool {
        beginning.starts_with(CACHE_TAG)
    }
}

/// The name of the file that marks a cache.
pub(crate) const CACHE_TAG_NAME: &[u8] = b"CACHEDIR.TAG";
