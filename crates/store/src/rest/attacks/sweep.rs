//! What drills leave on a server, taken away as far as that is let happen.
//!
//! One canary stays where nobody may delete it, and is attacked again by the next drill; so does a
//! probe, which only an operator can take away. Both stay noted, and are told.
//!
//! **Security:** what is noted is a name in a file: nothing is asked for that no drill makes.

use strongroom_model::attack::{Remnant, RemnantKind, canary};

use crate::attacks::Remnants;
use crate::rest::attacks::RENAMED;
use crate::rest::attacks::knock::{Knock, is_token_name};
use crate::rest::attacks::probe::probe_of;
use crate::rest::{RestStore, VaultClient};
use crate::{Error, Result};

impl RestStore {
    /// Takes away what is noted, and strikes out what is not there any more.
    pub(super) fn sweep(&self, vault: Option<&VaultClient>, remnants: &Remnants) -> Result<()> {
        for remnant in remnants.left() {
            if self.is_removed(&remnant, vault)? {
                remnants.strike(&remnant);
            }
        }
        Ok(())
    }

    /// Whether something is gone, be it because of this.
    fn is_removed(&self, remnant: &Remnant, vault: Option<&VaultClient>) -> Result<bool> {
        let (kept, base) = (canary().to_string(), self.client.base());
        match (remnant.kind, vault) {
            // It was asked to go when it was attacked, and is of use to the next drill.
            (RemnantKind::Canary, _) if remnant.name == kept => {
                self.is_absent(&format!("{base}{kept}"))
            }
            (RemnantKind::Canary, _) if remnant.name == format!("{kept}{RENAMED}") => {
                let url = format!("{base}{}", remnant.name);
                self.knock(&Knock::new("DELETE", &url))?;
                self.is_absent(&url)
            }
            (RemnantKind::ProbeRepository, Some(vault))
                if remnant.name == probe_of(vault.repository()) =>
            {
                let root = vault.root();
                self.is_absent(&format!("{root}{}/config", remnant.name))
            }
            (RemnantKind::Token, Some(vault)) if is_token_name(&remnant.name) => {
                let url = format!("{}v1/tokens/{}/revoke", vault.root(), remnant.name);
                let knock = Knock::new("POST", &url)
                    .with(b"{}")
                    .saying("Content-Type", "application/json")
                    .bearing();
                let sent = self.attempts.run(|_| self.client.knock(&knock));
                match sent {
                    Ok(status) => Ok(matches!(status, 200..=299 | 404)),
                    Err(error @ Error::Cancelled { .. }) => Err(error),
                    Err(_) => Ok(false),
                }
            }
            _ => Ok(false),
        }
    }

    /// Whether nothing is at an address; not so where that is not told.
    fn is_absent(&self, url: &str) -> Result<bool> {
        match self.fetch(url) {
            Ok(found) => Ok(found.is_none()),
            Err(error @ Error::Cancelled { .. }) => Err(error),
            Err(_) => Ok(false),
        }
    }
}
