//! Repositories that were seen on a copy before the one that is there now: an alarm in every command,
//! until somebody says that they were given up.
//!
//! **Architecture invariant:** nothing but removals waits for that. A backup that refused would be what
//! whoever did it wants most; and to read what is backed up he needs no repository of his own, as long
//! as he is on the machine.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_engine::Session;
use strongroom_engine::session::chain;
use strongroom_engine::state::Predecessor;
use strongroom_model::Id;

use crate::context::Opened;
use crate::output::{Output, visible};

/// What to do where one was accepted as given up and is not.
const NOT_GIVEN_UP: &str = "if it is not, somebody else has put his own in its stead: \
                            docs/when-something-is-wrong.md, \"Another repository was there before\"";

/// Raises an alarm of each.
pub(crate) fn tell(output: &Output, predecessors: &[Predecessor]) {
    for one in predecessors {
        let steps = one.steps();
        let steps: Vec<String> = steps.iter().map(|step| visible(step)).collect();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        output.alarm(&visible(&one.to_string()), &steps);
    }
}

/// The same, each on one line.
pub(crate) fn lines(predecessors: &[Predecessor]) -> Vec<String> {
    let told = predecessors.iter();
    let told = told.map(|one| format!("{one}; {}", one.hint()));
    told.collect()
}

/// Those that may be accepted as given up, by their ids; none where a copy cannot be used, which may
/// hold the right one.
pub(crate) fn acceptable(opened: &Opened) -> BTreeSet<Id> {
    match opened.has_all_copies() {
        true => ids(&opened.session),
        false => BTreeSet::new(),
    }
}

/// Tells what is about to be accepted; or that nothing is, since a copy cannot be used.
pub(crate) fn tell_accepting(output: &Output, opened: &Opened) {
    if opened.session.predecessors.is_empty() {
        return;
    }
    if !opened.has_all_copies() {
        let away = opened.left_out().join(", ");
        let text = format!(
            "no other repository is accepted as given up: {away} cannot be used, and may hold it"
        );
        output.warn(
            &visible(&text),
            Some("with every copy at hand, say it once more"),
        );
        return;
    }
    for one in &opened.session.predecessors {
        tell_given_up(output, one.repository, &one.copies);
    }
}

/// Takes note that all of them were given up.
pub(crate) fn accept(opened: &mut Opened) -> strongroom_engine::Result<()> {
    let given_up = ids(&opened.session);
    let now = (opened.environment.clock)();
    let id = opened.session.id();
    opened.state.accept_predecessors(id, &given_up, now)?;
    opened.session.predecessors.clear();
    Ok(())
}

/// What was on the copies on which a repository is made, which is given up by that.
#[derive(Debug, Default)]
pub(crate) struct GivenUp(BTreeMap<Id, Vec<String>>);

impl GivenUp {
    /// Adds those that a copy held, where it could be noted that they are given up.
    pub(crate) fn add(&mut self, copy: &str, noted: strongroom_engine::Result<BTreeSet<Id>>) {
        match noted {
            Ok(given_up) => {
                for id in given_up {
                    self.0.entry(id).or_default().push(copy.to_owned());
                }
            }
            Err(error) => tracing::warn!(
                reason = chain(&error),
                "What was there before is not remembered as given up"
            ),
        }
    }

    /// Tells of each.
    pub(crate) fn tell(&self, output: &Output) {
        for (id, copies) in &self.0 {
            tell_given_up(output, *id, copies);
        }
    }
}

fn tell_given_up(output: &Output, id: Id, copies: &[String]) {
    let (id, copies) = (id.short(), copies.join(", "));
    let text = format!("repository {id}, which was on {copies} before, counts as given up");
    output.warn(&visible(&text), Some(NOT_GIVEN_UP));
}

fn ids(session: &Session) -> BTreeSet<Id> {
    let predecessors = session.predecessors.iter();
    predecessors.map(|one| one.repository).collect()
}
