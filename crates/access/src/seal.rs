//! The seal: closed by anybody, opened by nobody alone.
//!
//! ```text
//!          anybody who counts, or a seal code
//!   Open ──────────────────────────────────────▶ Sealed
//!     ▲                                             │
//!     └─────────── an operation, after a day ───────┘
//! ```
//! While it holds nothing is destroyed, loosened or newly trusted. What only takes access away goes on.

use crate::operation::Operation;
use crate::permit::Permit;
use crate::world::World;
use crate::{Act, Refusal};

/// Whether the vault is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It is not.
    Open {
        /// Since when, by vault time: what waited under the seal waits anew from here.
        since_ms: i64,
    },
    /// It is.
    Sealed {
        /// Since when, by vault time.
        since_ms: i64,
        /// The leaf that tells of it, which names this seal and no other.
        leaf: u64,
    },
}

/// What the seal makes of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderSeal {
    /// It goes on as ever.
    AsEver,
    /// It takes approvals, and no delay.
    WithoutDelay,
    /// It is refused, or stands still.
    Refused,
}

impl Seal {
    /// Whether it holds.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Sealed { .. })
    }

    const fn close(self, now_ms: i64, leaf: u64) -> Result<Self, Refusal> {
        match self {
            Self::Open { .. } => Ok(Self::Sealed {
                since_ms: now_ms,
                leaf,
            }),
            Self::Sealed { .. } => Err(Refusal::NotNow {
                what: "a seal that is closed",
            }),
        }
    }

    /// What comes of opening the seal of which a leaf tells; [`Refusal::Changed`] where that is not
    /// the one that is closed.
    pub(crate) const fn open(self, of_leaf: u64, now_ms: i64) -> Result<Self, Refusal> {
        match self {
            Self::Sealed { leaf, .. } if leaf == of_leaf => Ok(Self::Open { since_ms: now_ms }),
            _ => Err(Refusal::Changed),
        }
    }
}

/// Closes the seal, of which the log tells at `leaf`. `operations` are all that are neither done nor
/// ended: what has lapsed is written down as that, since behind the seal the others wait anew.
///
/// # Errors
/// [`Refusal::NotNow`] where it is closed, or the permit is for another act.
pub fn close(
    permit: Permit,
    world: &World<'_>,
    operations: &mut [Operation],
    leaf: u64,
    now_ms: i64,
) -> Result<Seal, Refusal> {
    let Act::Seal = permit.act() else {
        return Err(Refusal::NotNow { what: "the seal" });
    };
    let closed = world.seal.close(now_ms, leaf)?;
    settle(world, operations, now_ms);
    Ok(closed)
}

/// Opens the seal that a permit is for. `operations` are all that are neither done nor ended, as for
/// [`close`]: what could be done under the seal may have lapsed under it.
///
/// # Errors
/// [`Refusal::NotNow`] where the permit is for another act, [`Refusal::Changed`] where it is for
/// another seal.
pub fn open(
    permit: Permit,
    world: &World<'_>,
    operations: &mut [Operation],
    now_ms: i64,
) -> Result<Seal, Refusal> {
    let Act::Unseal { leaf } = permit.act() else {
        return Err(Refusal::NotNow { what: "the seal" });
    };
    let opened = world.seal.open(*leaf, now_ms)?;
    settle(world, operations, now_ms);
    Ok(opened)
}

fn settle(world: &World<'_>, operations: &mut [Operation], now_ms: i64) {
    for operation in operations {
        operation.settle(world, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_yes_opens_no_new_seal() {
        let open = Seal::Open { since_ms: 0 };
        let sealed = open.close(5, 7).unwrap();
        assert!(sealed.close(6, 8).is_err());
        let again = sealed.open(7, 9).unwrap().close(10, 11).unwrap();
        assert_eq!(again.open(7, 12), Err(Refusal::Changed));
        assert_eq!(open.open(7, 12), Err(Refusal::Changed));
        assert_eq!(again.open(11, 12), Ok(Seal::Open { since_ms: 12 }));
    }
}
