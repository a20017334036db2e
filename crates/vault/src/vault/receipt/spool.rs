//! What all receipts together take of the disk on which they wait, and how many of one token are on
//! their way.
//!
//! They lie in the vault's own folder, beside its keys and its database, and not where objects lie.
//! So they have a bound of their own, and the room on that disk is looked at, whatever the storage
//! says of its own.
//!
//! What can go wrong: somebody who sends large ones slowly, so that nobody else's find room. One
//! token therefore has a part of it and no more; and of several tokens in one hand each gets more
//! than one receipt only while seven others would find as much, so that whoever has none there
//! finds room for one. And somebody who begins very many and sends nothing, which takes no room on the
//! disk, and yet a file and some memory for each: of one token few are on their way at a time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::statvfs;

use crate::vault::receipt::LARGEST_BYTES;
use crate::{Error, Result};

/// What all of them may take at a time.
const MOST_BYTES: u64 = 1 << 30;

/// What those of one token may take.
const MOST_BYTES_OF_TOKEN: u64 = MOST_BYTES / SHARES;

/// How many tokens share it evenly.
const SHARES: u64 = 8;

/// How many receipts of one token are on their way at a time. A client sends one after the other, so
/// that it is one for each of eight machines that share a token.
const MOST_OF_TOKEN: u64 = 8;

/// What is on its way now, by token; those that send nothing are forgotten.
#[derive(Debug, Default)]
pub(in crate::vault) struct Spool(Arc<Mutex<HashMap<i64, Taken>>>);

/// What the receipts of one token take.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    receipts: u64,
    /// Of those that wait on the disk.
    bytes: u64,
}

/// The part of one receipt; free again when dropped.
#[derive(Debug)]
pub(super) struct Part {
    spool: Arc<Mutex<HashMap<i64, Taken>>>,
    token: i64,
    bytes: u64,
}

impl Spool {
    /// The part of a receipt that takes nothing of the disk yet.
    ///
    /// # Errors
    /// [`Error::TooManyReceipts`] where the token has as many on their way as one may.
    pub(super) fn begin(&self, token: i64) -> Result<Part> {
        let mut spool = self.0.lock();
        let taken = spool.entry(token).or_default();
        if taken.receipts >= MOST_OF_TOKEN {
            return Err(Error::TooManyReceipts {
                most: MOST_OF_TOKEN,
            });
        }
        taken.receipts += 1;
        drop(spool);
        Ok(Part {
            spool: Arc::clone(&self.0),
            token,
            bytes: 0,
        })
    }
}

impl Part {
    /// Takes so many bytes in all, on the disk of a folder of which `reserve_bytes` stay free.
    ///
    /// # Errors
    /// [`Error::Crowded`] where too many receipts are on their way, [`Error::Full`] where the disk
    /// is full; [`Error::Local`] where that cannot be asked.
    pub(super) fn grow_to(&mut self, bytes: u64, folder: &Path, reserve_bytes: u64) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        let mut spool = self.spool.lock();
        let all: u64 = spool.values().map(|taken| taken.bytes).sum();
        let own = spool.entry(self.token).or_default();
        let own_bytes = own.bytes.saturating_add(more);
        if is_over(own_bytes, all.saturating_add(more)) {
            return Err(Error::Crowded { what: "receipts" });
        }
        own.bytes = own_bytes;
        self.bytes = self.bytes.saturating_add(more);
        drop(spool);
        let asked = statvfs(folder).map_err(|errno| {
            let action = format!("ask for the room in {}", folder.display());
            Error::local(action)(errno.into())
        })?;
        match asked.f_bavail.saturating_mul(asked.f_frsize) < reserve_bytes {
            true => Err(Error::Full {
                reason: "the disk of the vault's own folder is full but for its reserve".to_owned(),
            }),
            false => Ok(()),
        }
    }
}

/// Whether a token may not have so many bytes, where all together have so many by that.
const fn is_over(own: u64, all: u64) -> bool {
    let for_others = match own > LARGEST_BYTES {
        true => own.saturating_mul(SHARES - 1),
        false => 0,
    };
    own > MOST_BYTES_OF_TOKEN || all.saturating_add(for_others) > MOST_BYTES
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut spool = self.spool.lock();
        if let Some(own) = spool.get_mut(&self.token) {
            own.bytes = own.bytes.saturating_sub(self.bytes);
            own.receipts = own.receipts.saturating_sub(1);
            if own.receipts == 0 {
                spool.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "/";

    #[test]
    fn one_token_has_a_part_and_all_together_have_the_whole() {
        let spool = Spool::default();
        let take = |token| {
            let mut part = spool.begin(token).unwrap();
            let taken = part.grow_to(LARGEST_BYTES, Path::new(HERE), 0);
            let is_crowded = matches!(taken, Err(Error::Crowded { .. }));
            assert!(taken.is_ok() || is_crowded, "{token}: {taken:?}");
            taken.is_ok().then_some(part)
        };
        // One alone has an eighth, and ten together leave room to those that have nothing.
        let mut parts: Vec<Part> = std::iter::from_fn(|| take(0)).collect();
        assert_eq!(parts.len(), 2);
        for _ in 0..3 {
            for token in 1..10 {
                parts.extend(std::iter::from_fn(|| take(token)));
            }
        }
        assert_eq!(parts.len(), 11);
        for token in 10..15 {
            parts.extend(take(token));
        }
        assert_eq!(parts.len(), 16);
        assert!(take(15).is_none());
        parts.truncate(15);
        drop(take(15).unwrap());
        drop(parts);
        assert!(spool.0.lock().is_empty());
    }

    #[test]
    fn a_disk_that_is_full_but_for_the_reserve_takes_none() {
        let spool = Spool::default();
        let mut part = spool.begin(1).unwrap();
        let refused = part.grow_to(1, Path::new(HERE), u64::MAX);
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
        drop(part);
        assert!(spool.0.lock().is_empty());
    }

    #[test]
    fn one_token_has_few_on_their_way_and_takes_none_from_others() {
        let spool = Spool::default();
        let mut parts: Vec<Part> = std::iter::from_fn(|| spool.begin(1).ok()).collect();
        assert_eq!(parts.len() as u64, MOST_OF_TOKEN);
        let refused = spool.begin(1);
        assert!(
            matches!(refused, Err(Error::TooManyReceipts { .. })),
            "{refused:?}"
        );
        parts.push(spool.begin(2).unwrap());
        assert!(spool.begin(1).is_err());
        drop(parts.remove(0));
        parts.push(spool.begin(1).unwrap());
        drop(parts);
        assert!(spool.0.lock().is_empty());
    }
}
