//! Attacks on a repository behind the REST protocol: a vault, or a server that is none.
//!
//! There is one canary, a pack of bytes that are always the same and that no index names, so that
//! however many drills there are, one file stays. A vault is also asked for what only those who
//! administer it may do, each time with a request that could do nothing were it let in: it names a
//! repository or a token that is nobody's, and a field that no such request has.
//!
//! What can go wrong: a server that authorises one path and acts on another; one that says no and
//! has done it; one that takes a verb for another, or passes over a header, and says yes; a vault that
//! hides what was deleted and lets it go. So after each attempt the canary is read, and where it is
//! not seen any more, as of the leaf at which it was there.
//!
//! **Security:** no attempt names a file of the repository: `config` is attacked in a probe, which
//! lies beside it where the token may make one.

mod doors;
mod knock;
mod probe;
mod sweep;

use strongroom_model::FileName;
use strongroom_model::attack::{
    Attempt, CANARY, Left, PlaceKind, Remnant, RemnantKind, Said, Tried, canary,
};
use ureq::http::StatusCode;

use crate::attacks::{Attacked, Attacks, Remnants, in_one_line};
use crate::rest::attacks::knock::{Knock, said_of};
use crate::rest::client::is_passing;
use crate::rest::retry::Fault;
use crate::rest::{Hello, RestStore, VaultClient};
use crate::{Error, Result, Store};

/// For how many seconds a vault must keep what arrives, and what is deleted, to count as keeping it: a
/// week, since what goes a minute after a drill has looked is withstood by it as well.
const LEAST_KEPT_S: u64 = 7 * 86_400;

/// What is tried on the canary, in this order: it may go with the last one.
const ON_CANARY: [Attempt; 8] = [
    Attempt::Overwrite,
    Attempt::Truncate,
    Attempt::WriteRange,
    Attempt::CopyOverSelf,
    Attempt::Rename,
    Attempt::OverrideMethod,
    Attempt::PathTrick,
    Attempt::Delete,
];

/// What only a vault can be asked for.
const OF_VAULTS: [Attempt; 8] = [
    Attempt::OverwriteConfig,
    Attempt::DeleteConfig,
    Attempt::RemoveRepository,
    Attempt::MakeToken,
    Attempt::RaiseRights,
    Attempt::LowerRetention,
    Attempt::PurgeNow,
    Attempt::MoveClock,
];

/// The headers by which servers let a method be another one.
const OVERRIDES: [&str; 3] = [
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-HTTP-Method",
];

/// What an intruder puts in the stead of a file.
const JUNK: &[u8] = b"junk";

/// What the name of a canary ends with that was given another one.
const RENAMED: &str = "-renamed";

/// A drill on the way.
struct Drill<'s> {
    store: &'s RestStore,
    /// Where the canary is seen though it was deleted: as of a leaf of a vault's log.
    as_of: Option<String>,
    /// All that was made, until it is gone.
    remnants: &'s Remnants,
}

impl Attacks for RestStore {
    fn attack(&self, _: &[FileName], remnants: &Remnants) -> Result<Attacked> {
        self.size(FileName::CONFIG)?;
        let vault = self.vault().filter(is_vault);
        let mut attacked = Attacked::new(match vault {
            Some(_) => PlaceKind::Vault,
            None => PlaceKind::Server,
        });
        attacked.principal = self.principal();
        self.sweep(vault.as_ref(), remnants)?;
        let mut drill = Drill {
            store: self,
            as_of: None,
            remnants,
        };
        drill.put()?;
        let tried = &mut attacked.tried;
        tried.push(Tried::new(Attempt::Put, Said::Done, drill.left()?));
        if let Some(vault) = &vault {
            drill.as_of = self.as_of(vault)?;
        }
        for attempt in ON_CANARY {
            tried.push(drill.attempt(attempt)?);
        }
        if let Some(vault) = &vault {
            tried.extend(self.attack_probe(vault, remnants)?);
            tried.extend(self.attack_doors(vault, remnants)?);
            match vault.repository_info() {
                Ok(info) => {
                    attacked.keeps = is_kept(info.retention_s, info.grace_s);
                    let (arrival, deletion) = (info.retention_s / 86_400, info.grace_s / 86_400);
                    attacked.notes.push(format!(
                        "the vault says that it keeps what arrives for {arrival} d, and what is \
                         deleted for {deletion} d; that, and whoever rules it, is not tried"
                    ));
                }
                Err(error @ Error::Cancelled { .. }) => return Err(error),
                Err(error) => attacked
                    .notes
                    .push(format!("the vault does not say what it keeps: {error}")),
            }
        } else {
            let reason = "it is no vault: it has no such request, and no probe is made beside it";
            tried.extend(OF_VAULTS.map(|attempt| Tried::not(attempt, reason)));
        }
        // Once more, when all is done.
        let put = tried.iter_mut().find(|one| one.attempt == Attempt::Put);
        if let Some(put) = put
            && vault.is_some()
        {
            put.left = drill.left()?;
        }
        self.sweep(vault.as_ref(), remnants)?;
        Ok(attacked)
    }
}

impl RestStore {
    /// Whose credential it is: the name of a vault's token, which may be told, or the user.
    fn principal(&self) -> Option<String> {
        let value = self.client.authorization()?.strip_prefix("Basic ")?;
        let pair = data_encoding::BASE64.decode(value.as_bytes()).ok()?;
        let pair = zeroize::Zeroizing::new(String::from_utf8(pair).ok()?);
        let (user, password) = pair.split_once(':')?;
        let of_token = password.strip_prefix("srt-");
        Some(match of_token.and_then(|rest| rest.split_once('-')) {
            Some((name, _)) => format!("token {}", in_one_line(name)),
            None => format!("user {}", in_one_line(user)),
        })
    }

    /// The address of the canary as of now, in the log's own count.
    fn as_of(&self, vault: &VaultClient) -> Result<Option<String>> {
        let checkpoint = match vault.consistency(0) {
            Ok(answer) => answer.checkpoint,
            Err(error @ Error::Cancelled { .. }) => return Err(error),
            Err(_) => return Ok(None),
        };
        // Its lines are the name of the log, how many leaves it has, and its root.
        let leaves = checkpoint.lines().nth(1);
        let leaves: Option<u64> = leaves.and_then(|leaves| leaves.parse().ok());
        Ok(leaves.map(|leaves| {
            let (root, path, name) = (&self.root, &self.path, canary());
            format!("{root}asof/@{leaves}/{path}/{name}")
        }))
    }

    /// Reads up to a few bytes at an address; `None` where there is nothing.
    fn fetch(&self, url: &str) -> Result<Option<Vec<u8>>> {
        let (client, action) = (&self.client, "read a canary");
        self.attempts.run(|_| {
            let response = client.ask(client.prepare(client.agent().get(url)), action)?;
            let status = response.status();
            if status == StatusCode::NOT_FOUND {
                client.drain(response);
                return Ok(None);
            }
            if !status.is_success() {
                client.drain(response);
                return Err(match is_passing(status) {
                    true => Fault::again(format!("It answers {status}")),
                    false => client.wrong(action, &status.to_string()),
                });
            }
            client.beginning(response).map(Some)
        })
    }

    /// Whether the bytes of the canary are in sight at an address; `None` where that is not told.
    fn shows_canary(&self, url: &str) -> Result<Option<bool>> {
        match self.fetch(url) {
            Ok(found) => Ok(Some(found.is_some_and(|bytes| bytes == CANARY))),
            Err(error @ Error::Cancelled { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Sends one request of an attack, and takes what was said.
    fn knock(&self, knock: &Knock<'_>) -> Result<Said> {
        let sent = self.attempts.run(|_| self.client.knock(knock));
        said_of(sent)
    }
}

impl Drill<'_> {
    /// Puts the canary; where an earlier attack has left other bytes under its name, in their
    /// stead.
    fn put(&self) -> Result<()> {
        let remnant = Remnant::new(RemnantKind::Canary, canary().to_string());
        let is_known = self.remnants.left().contains(&remnant);
        self.remnants.make(remnant.clone());
        let put = match self.store.save(canary(), CANARY) {
            Err(Error::Exists { .. }) => self.store.replace(canary(), CANARY),
            saved => saved,
        };
        if matches!(put, Err(Error::Denied { .. })) && !is_known {
            self.remnants.strike(&remnant);
        }
        put
    }

    fn url(&self) -> String {
        format!("{}{}", self.store.client.base(), canary())
    }

    /// Tries one thing on the canary, which is put anew where it is not there.
    fn attempt(&self, attempt: Attempt) -> Result<Tried> {
        if let Err(error) = self.put() {
            return match error {
                error @ Error::Cancelled { .. } => Err(error),
                error => {
                    let reason = in_one_line(&error.to_string());
                    Ok(Tried::not(
                        attempt,
                        format!("no canary could be put: {reason}"),
                    ))
                }
            };
        }
        let said = self.ask(attempt)?;
        let left = self.left()?;
        let said = match left {
            Left::Whole => self.borne_out(attempt, said)?,
            _ => said,
        };
        let is_idle = left == Left::Whole && !attempt.is_needed(PlaceKind::Vault);
        Ok(match said {
            // A verb that this server does not know well enough to refuse it.
            Said::Failed(reason) | Said::Unclear(reason) if is_idle => Tried::not(attempt, reason),
            said => Tried::new(attempt, said, left),
        })
    }

    /// What was said of an attempt that has left the canary whole, held against what is to be seen:
    /// a server that took a verb for another one, or passed over what makes it one, or knows no such
    /// verb, has withstood nothing.
    fn borne_out(&self, attempt: Attempt, said: Said) -> Result<Said> {
        let is_other_verb = matches!(
            attempt,
            Attempt::WriteRange | Attempt::CopyOverSelf | Attempt::Rename | Attempt::OverrideMethod
        );
        let is_unknown = |reason: &str| matches!(reason, "404" | "405" | "501");
        match said {
            Said::Refused(reason) if is_other_verb && is_unknown(&reason) => Ok(Said::Unclear(
                format!("the server does not know it: {reason}"),
            )),
            Said::Done if is_other_verb || attempt == Attempt::Delete => {
                let is_copied = attempt == Attempt::Rename
                    && self.store.shows_canary(&self.renamed())? == Some(true);
                let is_seen = is_copied || self.store.shows_canary(&self.url())? == Some(false);
                Ok(match is_seen {
                    true => Said::Done,
                    false => Said::Unclear(
                        "it says that it is done, and nothing of it is to be seen".to_owned(),
                    ),
                })
            }
            said => Ok(said),
        }
    }

    /// The address that it gets by a rename.
    fn renamed(&self) -> String {
        format!("{}{RENAMED}", self.url())
    }

    fn ask(&self, attempt: Attempt) -> Result<Said> {
        let (store, url) = (self.store, self.url());
        match attempt {
            Attempt::Overwrite => store.knock(&Knock::new("POST", &url).with(JUNK)),
            Attempt::Truncate => store.knock(&Knock::new("POST", &url)),
            Attempt::WriteRange => {
                let range = format!("bytes 0-{}/{}", JUNK.len() - 1, CANARY.len());
                let knock = Knock::new("PUT", &url).with(JUNK);
                store.knock(&knock.saying("Content-Range", &range))
            }
            Attempt::Rename => {
                let other = Remnant::new(RemnantKind::Canary, format!("{}{RENAMED}", canary()));
                self.remnants.make(other);
                store.knock(&Knock::new("MOVE", &url).saying("Destination", &self.renamed()))
            }
            Attempt::CopyOverSelf => {
                store.knock(&Knock::new("COPY", &url).saying("Destination", &url))
            }
            Attempt::OverrideMethod => {
                let mut said = Said::Done;
                for name in OVERRIDES {
                    let knock = Knock::new("POST", &url).with(CANARY);
                    said = store.knock(&knock.saying(name, "DELETE"))?;
                    if said == Said::Done && store.shows_canary(&url)? == Some(false) {
                        break;
                    }
                }
                Ok(said)
            }
            Attempt::PathTrick => {
                let (base, name) = (store.client.base(), canary());
                let mut said = Said::Refused("404".to_owned());
                // Whoever may only put may remove locks.
                for way in ["locks/../", "locks/%2e%2e/", "locks%2f..%2f"] {
                    match store.knock(&Knock::new("DELETE", &format!("{base}{way}{name}")))? {
                        Said::Done => return Ok(Said::Done),
                        other => said = other,
                    }
                }
                Ok(said)
            }
            Attempt::Delete => store.knock(&Knock::new("DELETE", &url)),
            _ => Ok(Said::NotTried(
                "it is none for a file of a server".to_owned(),
            )),
        }
    }

    /// What is left of the canary, be it out of sight.
    fn left(&self) -> Result<Left> {
        let addresses = [Some(self.url()), self.as_of.clone()];
        for address in addresses.into_iter().flatten() {
            match self.store.fetch(&address) {
                Ok(Some(bytes)) if bytes == CANARY => return Ok(Left::Whole),
                Ok(_) => {}
                Err(error @ Error::Cancelled { .. }) => return Err(error),
                Err(error) => return Ok(Left::Unknown(in_one_line(&error.to_string()))),
            }
        }
        Ok(Left::Lost)
    }
}

fn is_vault(vault: &VaultClient) -> bool {
    matches!(vault.hello(), Hello::Vault(_))
}

/// Whether what a vault says that it keeps is long enough for somebody to notice.
fn is_kept(retention_s: u64, grace_s: u64) -> bool {
    retention_s.min(grace_s) >= LEAST_KEPT_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_a_moment_is_not_kept() {
        let week = 7 * 86_400;
        assert!(is_kept(week, week));
        assert!(!is_kept(1, week) && !is_kept(week, 1) && !is_kept(week, week - 1));
    }
}
