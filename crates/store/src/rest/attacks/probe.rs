//! A repository beside the real one of a vault, for what acts on a whole repository.
//!
//! It is made once, where the token may make one, and is always the same: nobody but an operator
//! can take it away, and one is enough. It is told as left behind for as long as it is there.

use strongroom_model::RepositoryPath;
use strongroom_model::attack::{Attempt, Left, Remnant, RemnantKind, Said, Tried};

use crate::attacks::{Remnants, in_one_line};
use crate::rest::attacks::JUNK;
use crate::rest::attacks::knock::Knock;
use crate::rest::{RestStore, VaultClient};
use crate::{Error, Result};

/// The `config` of a probe.
const CONFIG: &[u8] = b"strongroom drill: this is no repository but a probe, and may be removed\n";

/// What is tried on it, in this order.
const ON_PROBE: [Attempt; 2] = [Attempt::OverwriteConfig, Attempt::DeleteConfig];

impl RestStore {
    /// Makes the probe where it may be made, and attacks its `config`.
    pub(super) fn attack_probe(
        &self,
        vault: &VaultClient,
        remnants: &Remnants,
    ) -> Result<Vec<Tried>> {
        let probe = probe_of(vault.repository());
        let base = format!("{}{probe}", vault.root());
        let config = format!("{base}/config");
        let create = Knock::new("POST", &format!("{base}/?create=true"));
        let none = |reason: String| -> Result<Vec<Tried>> {
            let all = ON_PROBE.into_iter();
            Ok(all.map(|attempt| Tried::not(attempt, &*reason)).collect())
        };
        let remnant = Remnant::new(RemnantKind::ProbeRepository, probe);
        let is_known = remnants.left().contains(&remnant);
        remnants.make(remnant.clone());
        let said = self.knock(&create)?;
        if matches!(said, Said::Refused(_)) && !is_known {
            remnants.strike(&remnant);
        }
        match said {
            Said::Done => {}
            Said::Refused(reason)
            | Said::Unclear(reason)
            | Said::Failed(reason)
            | Said::NotTried(reason) => {
                return none(format!(
                    "this token may make no repository beside it: {reason}"
                ));
            }
        }
        // It is there from an earlier drill, or is put now.
        self.knock(&Knock::new("POST", &config).with(CONFIG))?;
        if self.config_left(&config)? != Left::Whole {
            return none("the probe takes no config".to_owned());
        }
        let mut tried = Vec::new();
        for attempt in ON_PROBE {
            let knock = match attempt {
                Attempt::OverwriteConfig => Knock::new("POST", &config).with(JUNK),
                _ => Knock::new("DELETE", &config),
            };
            let said = self.knock(&knock)?;
            tried.push(Tried::new(attempt, said, self.config_left(&config)?));
        }
        Ok(tried)
    }

    fn config_left(&self, url: &str) -> Result<Left> {
        match self.fetch(url) {
            Ok(Some(bytes)) if bytes == CONFIG => Ok(Left::Whole),
            Ok(_) => Ok(Left::Lost),
            Err(error @ Error::Cancelled { .. }) => Err(error),
            Err(error) => Ok(Left::Unknown(in_one_line(&error.to_string()))),
        }
    }
}

/// The path of the probe beside a repository: in the same first folder.
pub(super) fn probe_of(repository: &RepositoryPath) -> String {
    let path = repository.as_str();
    let folder = path.split_once('/').map_or(path, |(folder, _)| folder);
    format!("{folder}/strongroom-drill")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_a_repository_of_the_same_folder_and_never_the_real_one() {
        for path in ["acme", "acme/repos"] {
            let repository: RepositoryPath = path.parse().unwrap();
            let probe = probe_of(&repository);
            assert_eq!(probe, "acme/strongroom-drill");
            assert!(probe.parse::<RepositoryPath>().is_ok());
            assert_ne!(probe, path);
        }
    }
}
