//! When the snapshots of a repository came, for whoever decides which of them stay.

use strongroom_model::{FileType, Id, RepositoryPath};

use crate::Result;
use crate::records::arrivals::{self, Page};
use crate::rules::right;
use crate::vault::Vault;
use crate::vault::authentication::Principal;

impl Vault {
    /// When the snapshots came that are live, behind one of them by name. It reads at most `limit`
    /// of them, live or not.
    ///
    /// # Errors
    /// [`Error::Forbidden`](crate::Error::Forbidden), [`Error::Unknown`](crate::Error::Unknown);
    /// those of the database.
    pub fn arrivals(
        &self,
        principal: &Principal,
        path: &RepositoryPath,
        behind: Option<Id>,
        limit: u64,
    ) -> Result<Page> {
        principal.authorise(right::Act::Read, path)?;
        let repository = self.repository(path)?.id;
        let kind = FileType::Snapshots;
        self.read_list(|transaction| arrivals::page(transaction, repository, kind, behind, limit))
    }
}
