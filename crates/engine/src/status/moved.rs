//! What a vault misses of a snapshot since a prune has moved it.
//!
//! A vault goes by receipts, and these name where everything was when the backup was made. What was
//! removed on purpose since then is no lack: whether what took its place is there is found out by
//! whoever has the key, and the receipt of the next backup tells the vault.

use strongroom_model::{CopyEvidence, FileName, FileType};

use crate::receipts::Receipts;
use crate::state::FileNames;

/// Takes out of a vault's word what it misses of what was `removed` on purpose; where nothing else
/// is missing there, it cannot tell whether a snapshot is whole.
pub(super) fn excuse(
    evidence: &mut CopyEvidence,
    receipts: Option<Receipts<'_>>,
    removed: &FileNames,
) {
    let (Some(word), Some(receipts)) = (&mut evidence.by_vault, receipts) else {
        return;
    };
    for said in word.snapshots.values_mut() {
        if said.whole != Some(false) {
            continue;
        }
        let Some(needs) = receipts.known_needs(said.snapshot) else {
            continue;
        };
        let packs = needs.packs.iter();
        let packs = packs.map(|id| FileName::new(FileType::Data, *id));
        let index = needs.index.iter();
        let index = index.map(|id| FileName::new(FileType::Index, *id));
        let moved = packs.chain(index).filter(|name| removed.contains(*name));
        let moved = moved.count() as u64;
        said.missing = said.missing.saturating_sub(moved);
        if moved > 0 && said.missing == 0 {
            said.whole = None;
        }
    }
}
