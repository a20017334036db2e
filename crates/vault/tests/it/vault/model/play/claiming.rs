//! Receipts that are sent, and where the vault may die of them.

use strongroom_vault::vault::Principal;

use crate::vault::model::acts::{Claim, Who};
use crate::vault::model::play::Play;

impl Play {
    /// Sends a receipt; tells whether the vault has died of it.
    ///
    /// That it was sent is counted in a commit of its own, as is what was looked through for it. So
    /// the log decides whether it was taken: wholly, or not at all.
    pub(super) fn claim(
        &mut self,
        principal: &Principal,
        (who, repository): (Who, usize),
        claim: &Claim,
    ) -> bool {
        let signed = self.model.sign(repository, claim);
        let before = self.model.clone();
        let expected = self.model.claim(who, repository, &signed);
        let found = self.world.claim(principal, repository, &signed.request);
        let (has_died, _) = self.world.settle();
        if !has_died {
            assert_eq!(found, expected, "{claim:?}");
        } else {
            assert!(found.is_err(), "{claim:?}: {found:?}");
            let leaves = self.world.committed_leaves();
            match leaves == before.leaves.len() as u64 {
                true => self.model = before.clone(),
                false => assert_eq!(leaves, self.model.leaves.len() as u64, "{claim:?}"),
            }
        }
        // Whatever it claims, it takes no protection away.
        let held = before.repositories[repository].named();
        let holds = self.model.repositories[repository].named();
        assert!(held.is_subset(&holds), "{claim:?}");
        has_died
    }
}
