//! `strongroom drill attack`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::CopyStore;
use strongroom_engine::drill::attack::{self, CopyDrill, DrillDelivery, Drilled};
use strongroom_engine::session::chain;
use strongroom_engine::state::{RepositoryState, StateFolder};
use strongroom_model::attack::{
    Attempt, Left, Mark, NotedRemnant, PlaceKind, Said, Tried, Verdict,
};
use strongroom_model::{BackupCopy, Config, Id};

use crate::commands::drill::remnants;
use crate::context::{Context, Looked};
use crate::copies;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL, GOOD, Output, visible};
use crate::table::{Cell, Table};
use crate::vaults::Vaults;
use crate::{locking, state_folder};

/// The next step where a statement waits.
const SENT_AGAIN: &str = "the next drill sends it again";

/// The next step where a vault takes a statement never.
const REFUSED: &str = "it stays in the state folder and is not sent again; is the vault older than \
                       this program?";

/// Try to destroy every copy, with the very credentials that backups use
///
/// Works on canaries and never on what is backed up: small files of its own, which it deletes,
/// overwrites, truncates, renames, copies over themselves, and whose locks it shortens, bypasses
/// and removes. Of a vault it also asks what only those who administer it may. What acts on a whole
/// bucket or repository is tried on a probe made beside it with the same credentials, or not at
/// all.
///
/// A bucket is proven only where the same credentials delete what is not locked: else a refusal may
/// come from a missing permission alone. A copy in a folder is destroyable by whoever is root here,
/// and that is what it says.
///
/// What a drill makes is removed again as far as locks and rights allow. What stays is named, with
/// the time since when; this machine remembers it, and the next drill tries again.
///
/// The answers are signed, kept with the evidence, and sent to the vaults among the copies, whose
/// logs tell of it. Only by them is `immutable` of the status met, for as long as the plan's
/// drill_every says. Nobody is asked for anything, so that a timer can run it.
///
/// The exit status is 3 where a copy could not be asked, or one with `lock` in its configuration is
/// not proven, and 11 where another drill of this machine is at one of them.
///
/// Examples:
///   strongroom drill attack
///   strongroom drill attack --copy offsite
///   strongroom --json drill attack | jq 'select(.message_type == "copy") | {copy, verdict}'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Attack this copy alone
    #[arg(long, value_name = "NAME")]
    copy: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let looked = context.look()?;
        let output = &context.output;
        let stores = self.chosen(&looked)?;
        let environment = context.environment();
        let at = (environment.clock)();
        let names: Vec<&str> = stores.iter().map(|copy| copy.name.as_str()).collect();
        output.say(&format!("Attacking canaries on {}", names.join(", ")));
        let believed = looked.vaults.believed().map(|met| met.copy.clone());
        let believed: BTreeSet<String> = believed.collect();
        let state = state_folder::choose()?;
        let memory = memory(&looked, &state);
        let memory = memory.as_ref();
        let mut drills = attack::attack(&stores, &believed, memory, at, &context.cancel)?;
        for drill in &mut drills {
            if let Ok(done) = &mut drill.outcome {
                let copy = configured(&looked.config, &drill.name);
                done.principal = principal(copy, done);
                done.credential = copy.and_then(BackupCopy::credential);
            }
        }
        context.cancel.check()?;
        if let Some(memory) = memory {
            locking::tell_alarms(output, &looked.copies.stores, memory, at);
        }
        let receipt = keep(
            memory,
            &state,
            &environment.hostname,
            at,
            &stores,
            &drills,
            output,
        );
        for drill in &drills {
            tell(drill, configured(&looked.config, &drill.name), output)?;
        }
        let sent = deliver(&looked, memory, &state, context);
        let good = drills.iter().filter(|drill| {
            let copy = configured(&looked.config, &drill.name);
            is_good(drill, copy.is_some_and(|copy| copy.lock.is_some()))
        });
        let complete = good.count() == drills.len();
        let proven = drills.iter().filter(|drill| {
            let done = drill.outcome.as_ref();
            done.is_ok_and(|done| done.judged.verdict.is_proven())
        });
        output.object(&Summary {
            message_type: "summary",
            at,
            copies: drills.len(),
            proven: proven.count(),
            receipt,
            sent_to: sent,
            complete,
        })?;
        Ok(Exit::of(complete).after(context.cancel.is_cancelled()))
    }

    /// The copies that are to be attacked.
    fn chosen<'l>(&self, looked: &'l Looked) -> Result<Vec<&'l CopyStore>> {
        if let Some(name) = &self.copy {
            copies::named(&looked.config, name)?;
        }
        let is_wanted = |copy: &&CopyStore| {
            let wanted = self.copy.as_deref();
            wanted.is_none_or(|wanted| copy.name == wanted)
        };
        let all = looked.copies.stores.iter();
        Ok(all.filter(is_wanted).collect())
    }
}

fn configured<'c>(config: &'c Config, name: &str) -> Option<&'c BackupCopy> {
    let mut copies = config.copies.iter();
    copies.find(|copy| copy.name.as_str() == name)
}

/// Whose credential it was: the key that the configuration names, and what the place says of it.
fn principal(copy: Option<&BackupCopy>, done: &Drilled) -> Option<String> {
    let account = copy.and_then(|copy| copy.s3.account.as_ref());
    match (account, &done.principal) {
        (Some(account), Some(owner)) => Some(format!("key {} of {owner}", account.access_key)),
        (Some(account), None) => Some(format!("key {}", account.access_key)),
        (None, told) => told.clone(),
    }
}

/// Whether nothing is left to be seen to: it was asked, and where it claims a lock that was proven.
fn is_good(drill: &CopyDrill, claims_lock: bool) -> bool {
    drill.outcome.as_ref().is_ok_and(|done| {
        done.judged.is_certain && (done.judged.verdict.is_proven() || !claims_lock)
    })
}

/// What this machine remembers of the repository; nothing where nobody knows which one it is.
fn memory(looked: &Looked, state: &StateFolder) -> Option<RepositoryState> {
    match &looked.session {
        Ok(session) => Some(state.repository(session.id())),
        Err(_) => state.remembered(&looked.copies.stores),
    }
}

/// Signs and keeps what came of it; where that cannot be done, that is told, and the answers stand.
fn keep(
    memory: Option<&RepositoryState>,
    state: &StateFolder,
    host: &str,
    at: Timestamp,
    stores: &[&CopyStore],
    drills: &[CopyDrill],
    output: &Output,
) -> Option<Id> {
    let Some(memory) = memory else {
        let text = "It is not known of which repository these are the copies: nothing is kept as \
                    evidence";
        let hint = "give the password, or run strongroom status first";
        output.warn(text, Some(hint));
        return None;
    };
    let client = state.client_key();
    let kept = client.and_then(|client| attack::keep(memory, &client, host, at, stores, drills));
    match kept {
        Ok(kept) => kept.map(|kept| kept.receipt),
        Err(error) => {
            let text = format!("The answers are not kept as evidence: {}", chain(&error));
            output.warn(&visible(&text), error.hint().as_deref());
            None
        }
    }
}

/// Sends the statement, and what earlier drills left, to the vaults that there are; tells to which.
fn deliver(
    looked: &Looked,
    memory: Option<&RepositoryState>,
    state: &StateFolder,
    context: &Context,
) -> Vec<String> {
    let vaults: &Vaults = &looked.vaults;
    let (Some(memory), Ok(Some(client))) = (memory, state.find_client_key()) else {
        return Vec::new();
    };
    let mut sent = Vec::new();
    for met in vaults.present() {
        let mut stores = looked.copies.stores.iter();
        let Some(store) = stores.find(|copy| copy.name == met.copy) else {
            continue;
        };
        let key = client.public();
        let send = |drill: &_| met.client.send_drill(&key, drill);
        let unsent = match attack::deliver(memory, store, send, &context.cancel) {
            Ok(delivery) => unsent(delivery),
            Err(error) => vec![(chain(&error), SENT_AGAIN)],
        };
        if unsent.is_empty() {
            sent.push(met.copy.clone());
        }
        for (reason, hint) in unsent {
            let text = format!(
                "{}: a statement is not in the log of its vault: {reason}",
                met.copy
            );
            context.output.warn(&visible(&text), Some(hint));
        }
    }
    sent
}

/// Why a vault does not have every statement, each with the next step; nothing where it has.
fn unsent(delivery: DrillDelivery) -> Vec<(String, &'static str)> {
    let refused = delivery.refusal.map(|reason| {
        let text = format!("it is refused for good: {reason}");
        (text, REFUSED)
    });
    let waiting = (delivery.left > 0).then(|| {
        let reason = delivery.failure.map(|failure| failure.reason);
        let reason = reason.unwrap_or_else(|| "it was interrupted".to_owned());
        (reason, SENT_AGAIN)
    });
    refused.into_iter().chain(waiting).collect()
}

/// Tells what came of a copy: a table, and the answer below it.
fn tell(drill: &CopyDrill, copy: Option<&BackupCopy>, output: &Output) -> Result<()> {
    let lock = copy.and_then(|copy| copy.lock).map(|lock| lock.spoken());
    let done = match &drill.outcome {
        Ok(done) => done,
        Err(failure) => {
            let text = format!("{} could not be attacked: {}", drill.name, failure.reason);
            output.warn(&visible(&text), failure.hint.as_deref());
            output.data(&remnants::told(&drill.name, &drill.remnants))?;
            return output.object(&Failed {
                message_type: "copy",
                copy: &drill.name,
                store: &drill.store,
                lock,
                failure: &failure.reason,
                remnants: &drill.remnants,
            });
        }
    };
    let mut table = Table::headed(&["attempt", "expected", "seen", "verdict"]);
    for one in &done.tried {
        let mark = one.mark();
        table.row([
            one.attempt.word().into(),
            one.attempt.expected(done.place).into(),
            one.seen().into(),
            Cell::styled(mark.word(), style(mark)),
        ]);
    }
    let by = done.principal.as_deref().unwrap_or("whoever it is");
    let mut text = format!("{}, as {}\n{table}", drill.name, visible(by));
    for note in &done.notes {
        text.push_str(&format!("{}\n", visible(note)));
    }
    text.push_str(&remnants::told(&drill.name, &drill.remnants));
    let answer = format!("{}: {}", drill.name, done.judged);
    text.push_str(&format!("{}\n\n", visible(&answer)));
    output.data(&text)?;
    output.object(&Message {
        message_type: "copy",
        copy: &drill.name,
        store: &drill.store,
        lock,
        place: done.place,
        principal: done.principal.as_deref(),
        verdict: done.judged.verdict,
        reason: &done.judged.reason,
        certain: done.judged.is_certain,
        attempts: done.tried.iter().map(Row::of(done.place)).collect(),
        notes: &done.notes,
        remnants: &drill.remnants,
    })
}

const fn style(mark: Mark) -> anstyle::Style {
    match mark {
        Mark::Withstood => GOOD,
        Mark::Fell => BAD,
        Mark::Open | Mark::NotTried => DOUBTFUL,
    }
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    copy: &'a str,
    store: &'a str,
    lock: Option<String>,
    place: PlaceKind,
    principal: Option<&'a str>,
    verdict: Verdict,
    reason: &'a str,
    certain: bool,
    attempts: Vec<Row<'a>>,
    notes: &'a [String],
    remnants: &'a [NotedRemnant],
}

#[derive(Serialize)]
struct Row<'a> {
    attempt: Attempt,
    expected: &'static str,
    #[serde(flatten)]
    said: &'a Said,
    #[serde(flatten)]
    left: &'a Left,
    verdict: Mark,
}

impl<'a> Row<'a> {
    fn of(place: PlaceKind) -> impl Fn(&'a Tried) -> Self {
        move |one| Self {
            attempt: one.attempt,
            expected: one.attempt.expected(place),
            said: &one.said,
            left: &one.left,
            verdict: one.mark(),
        }
    }
}

#[derive(Serialize)]
struct Failed<'a> {
    message_type: &'static str,
    copy: &'a str,
    store: &'a str,
    lock: Option<String>,
    failure: &'a str,
    remnants: &'a [NotedRemnant],
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    at: Timestamp,
    copies: usize,
    proven: usize,
    receipt: Option<Id>,
    sent_to: Vec<String>,
    complete: bool,
}

#[cfg(test)]
mod tests {
    use strongroom_engine::session::{CopyFailure, CopyFailureKind};

    use super::*;

    #[test]
    fn what_is_refused_for_good_is_not_said_to_be_sent_again() {
        assert!(unsent(DrillDelivery::default()).is_empty());
        let refused = DrillDelivery {
            refused: 1,
            refusal: Some("It makes no sense".to_owned()),
            ..DrillDelivery::default()
        };
        let text = "it is refused for good: It makes no sense".to_owned();
        assert_eq!(unsent(refused.clone()), [(text.clone(), REFUSED)]);
        assert!(!REFUSED.contains(SENT_AGAIN));
        // And what was made after it waits all the same.
        let both = DrillDelivery {
            left: 1,
            failure: Some(CopyFailure {
                reason: "It cannot be reached".to_owned(),
                hint: None,
                kind: CopyFailureKind::Other,
            }),
            ..refused
        };
        let waits = "It cannot be reached".to_owned();
        assert_eq!(unsent(both), [(text, REFUSED), (waits, SENT_AGAIN)]);
        let interrupted = DrillDelivery {
            left: 2,
            ..DrillDelivery::default()
        };
        let text = "it was interrupted".to_owned();
        assert_eq!(unsent(interrupted), [(text, SENT_AGAIN)]);
    }
}
