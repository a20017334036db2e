//! What drills leave on a server, taken away as far as that is let happen.
//!
//! One canary stays where nobody may delete it, and is attacked again by the next drill; so does a
//! probe, which only an operator can take away. Both stay noted, and are told.
//!
//! **Security:** what is noted is a name in a file: nothing is asked for that no drill makes.

use strongroom_model::attack::{Trace, TraceKind, canary};

use crate::attacks::Traces;
use crate::rest::attacks::RENAMED;
use crate::rest::attacks::knock::{Knock, is_token_name};
use crate::rest::attacks::probe::probe_of;
use crate::rest::{RestStore, VaultClient};
use crate::{Error, Result};

impl RestStore {
    /// Takes away what is noted, and strikes out what is not there any more.
    pub(super) fn sweep(&self, vault: Option<&VaultClient>, traces: &Traces) -> Result<()> {
        for trace in traces.left() {
            if self.is_removed(&trace, vault)? {
                traces.strike(&trace);
            }
        }
        Ok(())
    }

    /// Whether something is gone, be it because of this.
    fn is_removed(&self, trace: &Trace, vault: Option<&VaultClient>) -> Result<bool> {
        let (kept, base) = (canary().to_string(), self.client.base());
        match (trace.kind, vault) {
            // It was asked to go when it was attacked, and is of use to the next drill.
            (TraceKind::Canary, _) if trace.name == kept => {
                self.is_absent(&format!("{base}{kept}"))
            }
            (TraceKind::Canary, _) if trace.name == format!("{kept}{RENAMED}") => {
                let url = format!("{base}{}", trace.name);
                self.knock(&Knock::new("DELETE", &url))?;
                self.is_absent(&url)
            }
            (TraceKind::ProbeRepository, Some(vault))
                if trace.name == probe_of(vault.repository()) =>
            {
                let root = vault.root();
                self.is_absent(&format!("{root}{}/config", trace.name))
            }
            (TraceKind::Token, Some(vault)) if is_token_name(&trace.name) => {
                let url = format!("{}v1/tokens/{}/revoke", vault.root(), trace.name);
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
