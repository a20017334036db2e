//! What somebody should look at: the vault's own doctor.
//!
//! It reads and changes nothing. What it finds is no secret to whoever runs the vault.

use crate::Result;
use crate::records::receipts;
use crate::vault::Vault;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, as the path of a repository.
    pub about: String,
    /// What is to be seen.
    pub problem: String,
    /// The next step.
    pub hint: Option<String>,
}

impl Vault {
    /// Looks for what somebody should look at.
    ///
    /// # Errors
    /// Those of the database.
    pub fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        if self.is_clock_doubted() {
            findings.push(Finding {
                about: "clock".to_owned(),
                problem: "The wall clock has jumped; nothing is purged".to_owned(),
                hint: Some("put it right; then strongroom-vault clock confirm".to_owned()),
            });
        }
        for overview in self.overviews()? {
            let path = &overview.repository.path;
            if overview.repository.purge_held_ms.is_some() {
                findings.push(Finding {
                    about: path.to_string(),
                    problem: "Very many deletions were asked for in a day; nothing is purged"
                        .to_owned(),
                    hint: Some(format!(
                        "look at them; then strongroom-vault repository agree-to-purge {path}, or \
                         strongroom-vault undelete {path}"
                    )),
                });
            }
            let keys = overview.pending_keys.len();
            if keys > 0 {
                findings.push(Finding {
                    about: path.to_string(),
                    problem: format!("{keys} keys wait to be let in"),
                    hint: Some(format!("strongroom-vault key list {path}")),
                });
            }
        }
        for ((path, source), newest) in self.all_newest_snapshots()? {
            if !newest.is_whole {
                findings.push(Finding {
                    about: path.to_string(),
                    problem: format!("The newest snapshot of source {source} is not whole here"),
                    hint: Some("a sync by its client brings what is missing".to_owned()),
                });
            }
        }
        let wrong = self.read(|transaction| receipts::count_wrongly_held(transaction))?;
        if wrong > 0 {
            findings.push(Finding {
                about: "receipts".to_owned(),
                problem: format!("{wrong} receipts hold back too much, or too little"),
                hint: Some("this is a fault of strongroom-vault: please report it".to_owned()),
            });
        }
        Ok(findings)
    }
}
