//! What only those who administer a vault may ask, asked with a machine's token.
//!
//! Each request could do nothing were it let in: it is about a repository or a token that is
//! nobody's, and has a field that the vault refuses. So whatever the vault answers but a refusal at
//! the door tells that the door is open.

use strongroom_model::attack::{Attempt, Left, Remnant, RemnantKind, Said, Tried};

use crate::Result;
use crate::attacks::Remnants;
use crate::rest::attacks::knock::{Heard, Knock, said_of};
use crate::rest::attacks::probe::probe_of;
use crate::rest::{RestStore, VaultClient};

/// A body that no request has.
const NONSENSE: &[u8] = br#"{"strongroom_drill":true}"#;

/// What a token is called in notes whose name was not told.
const UNNAMED: &str = "?";

/// A token that is nobody's.
const NOBODY: &str = "strongroomdrill";

impl RestStore {
    /// Knocks at every door once; with a wrong login each, which are fewer than an address may
    /// have.
    ///
    /// A vault that makes a token of that nonsense has made one: it is ended by the sweep behind it.
    pub(super) fn attack_doors(
        &self,
        vault: &VaultClient,
        remnants: &Remnants,
    ) -> Result<Vec<Tried>> {
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
            let sent = self.attempts.run(|_| self.client.knock_and_hear(&knock));
            if attempt == Attempt::MakeToken
                && let Ok(heard) = &sent
                && matches!(heard.status, 200..=299)
            {
                let name = heard.token.as_deref().unwrap_or(UNNAMED);
                remnants.make(Remnant::new(RemnantKind::Token, name));
            }
            Ok(Tried::new(attempt, at_door(sent)?, Left::Nothing))
        });
        tried.collect()
    }
}

/// What an answer at a door says: only who is turned away there is refused. A vault that had too many
/// wrong logins says so to wrong ones alone; that there were too many requests tells of no door,
/// since whoever floods the vault could have it said. Whoever hears from the vault what is wrong with
/// his request is in; an error that is not the vault's, as of a proxy before it that knows no such
/// path, tells of no door.
fn at_door(sent: Result<Heard>) -> Result<Said> {
    let heard = match sent {
        Ok(heard) => heard,
        Err(error) => return said_of(Err(error)),
    };
    let status = heard.status;
    match status {
        429 if !heard.is_wrong_login => {
            Ok(Said::Unclear("429: too many requests for now".to_owned()))
        }
        401 | 403 | 429 => Ok(Said::Refused(status.to_string())),
        300..=499 if !heard.is_error_of_vault => {
            Ok(Said::Unclear(format!("{status}, and not by the vault")))
        }
        200..=499 => Ok(Said::Done),
        _ => said_of(Ok(status)),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_model::attack::Mark;

    use super::*;

    fn heard(status: u16, is_error_of_vault: bool) -> Said {
        let heard = Heard {
            status,
            is_error_of_vault,
            is_wrong_login: false,
            token: None,
        };
        at_door(Ok(heard)).unwrap()
    }

    #[test]
    fn whoever_is_not_turned_away_at_the_door_is_in() {
        for status in [401, 403] {
            for of_vault in [true, false] {
                let said = heard(status, of_vault);
                assert!(matches!(said, Said::Refused(_)), "{status} {said:?}");
            }
        }
        let many = Heard {
            status: 429,
            is_error_of_vault: true,
            is_wrong_login: true,
            token: None,
        };
        let said = at_door(Ok(many)).unwrap();
        assert!(matches!(said, Said::Refused(_)), "{said:?}");
        for status in [200, 204, 400, 404, 409] {
            assert_eq!(heard(status, true), Said::Done, "{status}");
        }
        assert_eq!(heard(200, false), Said::Done);
        let fault = heard(503, false);
        assert!(matches!(fault, Said::Failed(_)), "{fault:?}");
    }

    #[test]
    fn what_a_proxy_answers_or_a_flood_is_no_open_door_and_no_shut_one() {
        for (status, of_vault) in [
            (302, false),
            (400, false),
            (404, false),
            (405, false),
            (429, false),
            (429, true),
        ] {
            let said = heard(status, of_vault);
            assert!(matches!(said, Said::Unclear(_)), "{status} {said:?}");
            let tried = Tried::new(Attempt::MakeToken, said, Left::Nothing);
            assert_eq!(tried.mark(), Mark::Open, "{status}");
        }
    }
}
