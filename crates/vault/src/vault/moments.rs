//! Moments of which no object tells any more are let go, so that a vault that refuses, restarts and
//! purges for years keeps as many of them as it has something to show.
//!
//! All objects are read once for every 67 million leaves, a page at a time and beside everything
//! else, and it is noted in memory of which leaves they speak. Which moments nobody needs is
//! decided by that alone (see [`rules::moments`](crate::rules::moments)).
//!
//! What can go wrong: an object speaks of a leaf that is not noted. Only leaves are looked at that
//! there were before the reading began, and what is done meanwhile speaks of later ones; a leaf that
//! moves on from row to row of an object is noted wherever it is, as all rows of an object are read
//! at one time. So the notes may be old and never lack one, each moment goes by itself, and it does
//! no harm to die in between, or to be overtaken by another process that does the same.

use crate::Result;
use crate::records::leaves;
use crate::records::moments::{self, Spot};
use crate::rules::moments::Marks;
use crate::vault::Vault;
use crate::vault::jobs::{Held, Job};

/// How many objects, lives of objects, and moments are read at a time.
const PAGE: u64 = 5_000;

impl Vault {
    /// Lets go of moments that nobody needs; returns how many. Nothing where another process does
    /// so. To be called a few times a day: it reads all objects.
    ///
    /// # Errors
    /// Those of the database; what is left goes the next time.
    pub fn thin_moments(&self) -> Result<u64> {
        let removed = self.run_job(Job::Moments, |held| {
            let leaves = self.read(leaves::head)?.leaves;
            let (mut from, mut removed) = (0, 0_u64);
            while held.goes_on() {
                let next = self.read(|transaction| moments::page(transaction, from, 1))?;
                let Some(first) = next.first().copied().filter(|first| *first < leaves) else {
                    break;
                };
                let mut marks = Marks::new(first, leaves);
                if !self.mark(held, &mut marks)? {
                    break;
                }
                removed = removed.saturating_add(self.thin(held, &marks, first)?);
                from = marks.before();
            }
            Ok(removed)
        })?;
        Ok(removed.unwrap_or_default())
    }

    /// Marks all leaves of which objects speak; tells whether all objects were read.
    fn mark(&self, held: &Held<'_>, marks: &mut Marks) -> Result<bool> {
        self.read(|transaction| {
            moments::of_repositories(transaction, &mut |leaf| marks.mark(leaf))
        })?;
        let mut next = Some(Spot::FIRST);
        while let Some(behind) = next {
            if !held.goes_on() {
                return Ok(false);
            }
            held.keep()?;
            next = self.read(|transaction| {
                moments::of_objects(transaction, &behind, PAGE, &mut |leaf| marks.mark(leaf))
            })?;
        }
        Ok(true)
    }

    /// Lets go of the moments in the range of some marks that nobody needs.
    fn thin(&self, held: &Held<'_>, marks: &Marks, first: u64) -> Result<u64> {
        let (mut from, mut removed) = (first, 0_u64);
        while held.goes_on() {
            held.keep()?;
            let page = self.read(|transaction| moments::page(transaction, from, PAGE))?;
            let unneeded = marks.unneeded(&page);
            if !unneeded.is_empty() {
                let lease = held.lease();
                let gone = self.shared.commits.commit(move |transaction| {
                    lease.require(transaction)?;
                    moments::remove(transaction, &unneeded)
                })?;
                removed = removed.saturating_add(gone);
            }
            // The last one of a page is looked at as the first one of the next.
            match page.last() {
                Some(last) if page.len() as u64 == PAGE && *last < marks.before() => from = *last,
                _ => break,
            }
        }
        Ok(removed)
    }
}
