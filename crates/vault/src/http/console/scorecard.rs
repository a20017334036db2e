//! How each repository stands, in the words of `strongroom status`, as far as a vault knows: it has
//! receipts, and no plan.

use maud::{Markup, html};
use strongroom_model::Name;

use crate::http::console::look::Scene;
use crate::http::console::repository::address;
use crate::http::console::words;
use crate::records::repositories::Repository;
use crate::rules::clock::DAY_MS;
use crate::vault::Newest;

/// A newest snapshot that is older is told of.
const OLD_MS: i64 = 2 * DAY_MS;

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Ok,
    Unproven,
    Missed,
}

impl Standing {
    /// The word, as `status` has it, and how it looks.
    const fn word(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("ok", "is-good"),
            Self::Unproven => ("unproven", "is-warn"),
            Self::Missed => ("missed", "is-bad"),
        }
    }
}

/// How a repository stands, and what to do next where that is not well.
fn judge(repository: &Repository, sources: &[(Name, Newest)]) -> (Standing, Option<&'static str>) {
    let is_old = |newest: &Newest| newest.age_ms > OLD_MS;
    let mut all = sources.iter().map(|(_, newest)| newest);
    if repository.purge_held_ms.is_some() {
        let next = "Purging is held: look at what was deleted";
        return (Standing::Missed, Some(next));
    }
    if all.clone().any(|newest| !newest.is_whole) {
        let next = "A newest snapshot is not whole here: strongroom sync brings what is missing";
        return (Standing::Missed, Some(next));
    }
    if all.any(is_old) {
        let next = "A source is silent for two days: does its machine still back up?";
        return (Standing::Missed, Some(next));
    }
    match (repository.arrived_at_ms, sources.is_empty()) {
        (None, _) => (
            Standing::Unproven,
            Some("Nothing has come so far: strongroom backup"),
        ),
        (Some(_), true) => (
            Standing::Unproven,
            Some(
                "No receipt tells what is needed: back up with strongroom, or look at it by restic",
            ),
        ),
        (Some(_), false) => (Standing::Ok, None),
    }
}

/// The card of a repository.
pub(super) fn card(
    scene: &Scene<'_>,
    repository: &Repository,
    sources: &[(Name, Newest)],
) -> Markup {
    let recorded_ms = scene.people.vault().now().recorded_ms;
    let quiet_ms = repository.arrived_at_ms.map(|at_ms| recorded_ms - at_ms);
    let (standing, next) = judge(repository, sources);
    let (word, kind) = standing.word();
    let path = repository.path.as_str();
    html! {
        section.card aria-label=(path) {
            h2 { a href=(address(&repository.path)) { (path) } }
            p { span class={ "tag " (kind) } { (word) } }
            @if let Some(next) = next { p { (next) } }
            dl {
                @for (source, newest) in sources {
                    dt { (source.as_str()) }
                    dd {
                        (words::ago(newest.age_ms)) ", "
                        @if newest.is_whole { "whole" } @else { "not whole here" }
                    }
                }
                dt { "Last arrival" }
                dd { @match quiet_ms {
                    Some(ms) => (words::ago(ms)),
                    None => "never",
                } }
                dt { "Objects" } dd { (repository.objects) ", " (words::bytes(repository.bytes)) }
                dt { "Kept" } dd { (words::keeping(repository.keeping)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use strongroom_access::Keeping;

    use super::*;

    fn repository(arrived_at_ms: Option<i64>, purge_held_ms: Option<i64>) -> Repository {
        Repository {
            id: 1,
            path: "acme/repos".parse().unwrap(),
            config: None,
            keeping: Keeping {
                retention_ms: 1,
                grace_ms: 1,
            },
            quota_bytes: None,
            objects: 0,
            bytes: 0,
            tombstones: (0, 0),
            tombstone_day_began: 0,
            purge_held_ms,
            arrived_at_ms,
            began: 0,
        }
    }

    #[test]
    fn a_repository_is_ok_only_where_receipts_show_it() {
        let source = |is_whole: bool, age_ms: i64| {
            let newest = Newest { is_whole, age_ms };
            vec![("repos".parse().unwrap(), newest)]
        };
        for (held_ms, came_ms, sources, expected) in [
            (None, Some(1), source(true, DAY_MS), Standing::Ok),
            (None, Some(1), source(true, OLD_MS + 1), Standing::Missed),
            (None, Some(1), source(false, 1), Standing::Missed),
            (Some(1), Some(1), source(true, 1), Standing::Missed),
            (None, Some(1), Vec::new(), Standing::Unproven),
            (None, None, Vec::new(), Standing::Unproven),
        ] {
            let (found, next) = judge(&repository(came_ms, held_ms), &sources);
            assert_eq!(found, expected);
            assert_eq!(next.is_none(), expected == Standing::Ok);
        }
    }
}
