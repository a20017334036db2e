//! Whose account production runs in: as configured, and as its provider says.
//!
//! Either counts. A configuration that names another account must not make a vault in production's
//! own look safer than it is.

use strongroom_model::{Account, Config};
use strongroom_store::place::account::Metadata;

/// The accounts that are production's.
pub(super) fn of_production(config: &Config) -> Vec<Account> {
    let metadata = Metadata::of(&|name| std::env::var(name).ok());
    config
        .runs_in
        .iter()
        .cloned()
        .chain(metadata.account())
        .collect()
}
