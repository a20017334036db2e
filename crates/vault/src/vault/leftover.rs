//! What a process that died may have left in the storage, put right when the next one begins.
//!
//! Uploads that were under way left temporary files. And `config` is committed before it is
//! written where others than us read it; whoever died between has left a folder that stock restic
//! cannot open.

use strongroom_model::{FileName, RepositoryPath};

use crate::Result;
use crate::records::repositories::{self, Repository};
use crate::vault::Vault;

impl Vault {
    /// Writes `config` where it is missing in the storage. One that cannot be looked at keeps no other
    /// from being written.
    ///
    /// # Errors
    /// The first one of database and storage, after all repositories were looked at.
    pub fn mend_configs(&self) -> Result<()> {
        let mut first_error = None;
        for repository in self.repositories()? {
            if let Err(error) = self.mend_config(&repository) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    fn mend_config(&self, repository: &Repository) -> Result<()> {
        let content =
            self.read(|transaction| repositories::config_bytes(transaction, repository.id))?;
        let Some(content) = content else {
            return Ok(());
        };
        let body = self.body_key(&repository.path, FileName::CONFIG, 1);
        match self.shared.bodies.open(&body, Some(0..0)) {
            Ok(_) => Ok(()),
            Err(strongroom_store::Error::NotFound { .. }) => {
                self.write_config(&repository.path, &content)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes `config` for whoever reads the storage without us.
    pub(super) fn write_config(&self, path: &RepositoryPath, content: &[u8]) -> Result<()> {
        let body = self.body_key(path, FileName::CONFIG, 1);
        let mut staged = self.shared.bodies.stage(&body)?;
        staged.write(content)?;
        Ok(staged.publish()?)
    }
}
