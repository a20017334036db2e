//! Recovery in place: what hides the right version of a file goes, and no version does.
//!
//! ```text
//! is what is seen right? ──yes──▶ done
//!        │ no: the right version is found
//!        ▼
//! other bytes above it? ──no──▶ remove the markers above ──▶ is it seen? ──yes──▶ done
//!        │ yes                          │ no right to that        │ no
//!        ▼                              ▼                         ▼
//! put its bytes anew, with a lock where the copy has one ◀────────┘
//! ```
//! Whoever may only put can do all of it: a marker that may not be removed has the same bytes put
//! above it.

use std::sync::Arc;

use strongroom_model::FileName;
use strongroom_store::{Error as StoreError, FileVersion, SharedBytes, VersionContent};

use crate::Result;
use crate::recover::files::File;
use crate::recover::search::Attempt;
use crate::recover::source::{Reading, Source};
use crate::right_version::{Candidate, Sought, since_1970_ns};
use crate::sync::budget::Budget;

/// Above more markers the bytes are put anew: that is one request.
const MOST_MARKERS: usize = 100;

/// What lies above a version.
#[derive(Debug, Default)]
struct Above {
    markers: Vec<FileVersion>,
    has_too_many_markers: bool,
    has_bytes: bool,
    /// What is seen, where it may be the same bytes.
    seen: Option<Candidate>,
}

/// Brings a file into sight, where this version is the right one.
///
/// # Errors
/// Where it cannot be put; and as [`Source::read`].
pub(super) fn show(
    source: &Source<'_>,
    budget: &Budget,
    file: &File,
    candidate: &Candidate,
) -> Result<Attempt> {
    if candidate.is_seen {
        let reading = source.read(file.name, candidate, &mut |_| Ok(()))?;
        return Ok(Attempt::of(reading, false));
    }
    let _permit = budget.take(candidate.size_bytes);
    let (reading, bytes) = source.read_whole(file.name, candidate)?;
    let is_new = match reading {
        Reading::Right => bring_into_sight(source, file.name, candidate, bytes)?,
        _ => false,
    };
    Ok(Attempt::of(reading, is_new))
}

/// Does what is needed so that a version, whose bytes are these, is what is seen under its name;
/// returns whether anything was needed.
///
/// # Errors
/// As [`show`].
pub(super) fn bring_into_sight(
    source: &Source<'_>,
    name: FileName,
    candidate: &Candidate,
    bytes: Vec<u8>,
) -> Result<bool> {
    let above = look_above(source, name, candidate)?;
    // It came after the time that was asked for, or was put again since the listing.
    if let (Some(_), Some(seen)) = (name.id(), &above.seen)
        && matches!(source.read(name, seen, &mut |_| Ok(()))?, Reading::Right)
    {
        return Ok(false);
    }
    if !above.has_bytes && !above.has_too_many_markers && unhide(source, candidate, &above, name)? {
        return Ok(true);
    }
    let bytes: SharedBytes = Arc::new(bytes);
    source.store.replace_shared(name, bytes)?;
    Ok(true)
}

fn look_above(source: &Source<'_>, name: FileName, candidate: &Candidate) -> Result<Above> {
    let mut above = Above::default();
    let made_ns = candidate.made_ns(name.kind());
    let listed = source.versions.each_version_of(name, &mut |version| {
        source.check()?;
        // Places tell the time in seconds: what came in the same one may lie above.
        if version.version == candidate.version || since_1970_ns(version.made) < made_ns {
            return Ok(());
        }
        match version.content {
            VersionContent::Marker if above.markers.len() < MOST_MARKERS => {
                above.markers.push(version);
            }
            VersionContent::Marker => above.has_too_many_markers = true,
            VersionContent::Bytes { size_bytes, .. } => {
                above.has_bytes = true;
                if version.is_newest && size_bytes == candidate.size_bytes {
                    above.seen = Candidate::of(&version, &Sought::default()).ok().flatten();
                }
            }
        }
        Ok(())
    });
    listed.map_err(|error| source.not_listed(error))?;
    Ok(above)
}

/// Removes the markers above a version; returns whether it is seen then.
fn unhide(
    source: &Source<'_>,
    candidate: &Candidate,
    above: &Above,
    name: FileName,
) -> Result<bool> {
    for marker in &above.markers {
        match source.versions.remove_marker(marker) {
            Ok(()) => {}
            Err(StoreError::Denied { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    match source.store.size(name) {
        Ok(size_bytes) => Ok(size_bytes == candidate.size_bytes),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
