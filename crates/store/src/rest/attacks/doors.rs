//! What only those who administer a vault may ask, asked with a machine's token.
//!
//! Each request could do nothing were it let in: it is about a repository or a token that is
//! nobody's, and has a field that the vault refuses. So whatever is answered but a refusal at the
//! door tells that the door is open.

use strongroom_model::attack::{Attempt, Left, Said, Tried};

use crate::Result;
use crate::rest::attacks::knock::{Knock, said_of};
use crate::rest::attacks::probe::probe_of;
use crate::rest::{RestStore, VaultClient};

/// A body that no request has.
const NONSENSE: &[u8] = br#"{"strongroom_drill":true}"#;

/// A token that is nobody's.
const NOBODY: &str = "strongroomdrill";

impl RestStore {
    /// Knocks at every door once; with a wrong login each, which are fewer than an address may
    /// have.
    pub(super) fn attack_doors(&self, vault: &VaultClient) -> Result<Vec<Tried>> {
        let (root, probe) = (vault.root(), probe_of(vault.repository()));
        let doors = [
            (Attempt::MakeToken, "POST", "v1/tokens".to_owned()),
            (
                Attempt::RaiseRights,
                "POST",
                format!("v1/tokens/{NOBODY}/day"),
            ),
            (Attempt::Hide, "POST", format!("v1/tokens/{NOBODY}/hide")),
            (
                Attempt::LowerRetention,
                "POST",
                format!("v1/repositories/{probe}/keeping"),
            ),
            (
                Attempt::PurgeNow,
                "POST",
                format!("v1/repositories/{probe}/agree-to-purge"),
            ),
            (
                Attempt::RemoveRepository,
                "DELETE",
                format!("v1/repositories/{probe}"),
            ),
            (Attempt::MoveClock, "POST", "v1/clock/confirm".to_owned()),
        ];
        let tried = doors.into_iter().map(|(attempt, method, path)| {
            let knock = Knock::new(method, &format!("{root}{path}"))
                .with(NONSENSE)
                .saying("Content-Type", "application/json")
                .bearing();
            let said = at_door(self.attempts.run(|_| self.client.knock(&knock)))?;
            Ok(Tried::new(attempt, said, Left::Nothing))
        });
        tried.collect()
    }
}

/// What an answer at a door says: only who is turned away there is refused. Too many wrong logins
/// are no way in either.
fn at_door(sent: Result<u16>) -> Result<Said> {
    match sent {
        Ok(status @ (401 | 403 | 429)) => Ok(Said::Refused(status.to_string())),
        Ok(200..=499) => Ok(Said::Done),
        sent => said_of(sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_turned_away_at_the_door_is_in() {
        for (status, is_in) in [(401, false), (403, false), (429, false)] {
            let said = at_door(Ok(status)).unwrap();
            assert_eq!(said == Said::Done, is_in, "{status}");
        }
        for status in [200, 204, 400, 404, 409] {
            assert_eq!(at_door(Ok(status)).unwrap(), Said::Done, "{status}");
        }
        let fault = at_door(Ok(503)).unwrap();
        assert!(matches!(fault, Said::Failed(_)), "{fault:?}");
    }
}
