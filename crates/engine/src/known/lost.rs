//! Files that are on no copy any more.

use std::collections::BTreeSet;

use strongroom_model::FileName;

use crate::Listing;

/// What records name and no copy lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// The files.
    pub files: BTreeSet<FileName>,
    /// The copies, by name, that were not listed, so that they may have them.
    pub away: Vec<String>,
}

/// How many files are named.
const NAMED: usize = 5;

impl Lost {
    /// Looks for files in what each copy lists, by name; `None` where it could not be listed.
    pub fn among<'a>(
        files: &BTreeSet<FileName>,
        copies: impl IntoIterator<Item = (&'a str, Option<&'a Listing>)>,
    ) -> Self {
        let mut lost = Self {
            files: files.clone(),
            away: Vec::new(),
        };
        for (name, listing) in copies {
            match listing {
                Some(listing) => lost.files.retain(|file| !listing.holds(*file)),
                None => lost.away.push(name.to_owned()),
            }
        }
        lost
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether something is missing, and no copy is left that may have it.
    pub fn is_certain(&self) -> bool {
        !self.files.is_empty() && self.away.is_empty()
    }

    /// The next step for a person.
    pub fn hint(&self) -> String {
        match self.away.as_slice() {
            [] => "find out who removed that; if it was meant, as by a forget on all copies: \
                   strongroom sync --accept-removed"
                .to_owned(),
            away => format!("bring back {}, then: strongroom sync", away.join(", ")),
        }
    }
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first: Vec<String> = self.files.iter().rev().take(NAMED).map(brief).collect();
        f.write_str(&first.join(", "))?;
        let more = self.files.len().saturating_sub(first.len());
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        match self.away.as_slice() {
            [] => f.write_str(": lost everywhere; once there, and now on no copy"),
            [one] => write!(f, ": on no copy that was listed; {one} may have it"),
            away => write!(
                f,
                ": on no copy that was listed; one of {} may have it",
                away.join(", ")
            ),
        }
    }
}

/// A name with the first digits of its id, as `strongroom snapshots` shows them.
fn brief(name: &FileName) -> String {
    match name.id() {
        Some(id) => format!("{}/{}", name.kind().folder(), id.short()),
        None => name.to_string(),
    }
}
