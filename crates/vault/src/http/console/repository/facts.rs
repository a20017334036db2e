//! What a repository is and holds.

use maud::{Markup, html};

use crate::http::console::look::Scene;
use crate::http::console::words;
use crate::rules::life::State;
use crate::rules::scrub::Work;
use crate::vault::Shown;

/// The card of facts.
pub(super) fn draw(scene: &Scene<'_>, shown: &Shown) -> Markup {
    let (overview, held) = (&shown.overview, &shown.held);
    let repository = &overview.repository;
    let recorded_ms = scene.people.vault().now().recorded_ms;
    html! {
        div.card {
            h2 { "How it stands" }
            dl {
                dt { "Newest snapshots" }
                dd {
                    @if shown.sources.is_empty() {
                        "No receipt has come: nobody has told what a snapshot needs."
                    }
                    @for (source, newest) in &shown.sources {
                        (source.as_str()) ": " (words::ago(newest.age_ms)) ", "
                        @if newest.is_whole { "whole" } @else { "not whole here" }
                        br;
                    }
                }
                dt { "Last arrival" }
                dd { @match repository.arrived_at_ms {
                    Some(at_ms) => {
                        (words::ago(recorded_ms - at_ms)) ", at " (words::time(at_ms))
                    },
                    None => "never",
                } }
                dt { "Live" } dd { (shown.live.objects) " objects, " (words::bytes(shown.live.bytes)) }
                @for found in &shown.states {
                    dt { (spoken(found.state)) }
                    dd { (found.tally.objects) " objects, " (words::bytes(found.tally.bytes)) }
                }
                dt { "Kept" } dd { (words::keeping(held.keeping)) }
                dt { "Agreed" }
                dd {
                    (words::keeping(held.agreed)) "; "
                    @if held.is_compliant { "compliant: never lowered" } @else { "not compliant" }
                }
                dt { "Quota" }
                dd { @match repository.quota_bytes {
                    Some(quota) => { (words::bytes(repository.bytes)) " of " (words::bytes(quota)) },
                    None => "none",
                } }
                dt { "Read anew" } dd { (scrub(shown)) }
            }
        }
    }
}

const fn spoken(state: State) -> &'static str {
    match state {
        State::Live => "Live",
        State::Tombstoned => "Deleted, kept",
        State::Hidden => "Hidden",
        State::Pending => "Waiting keys",
        State::Purging => "Being purged",
    }
}

/// How far the reading of all there is has come.
fn scrub(shown: &Shown) -> Markup {
    let scrub = &shown.overview.scrub;
    let work = |work: &Work| {
        html! { (work.objects) " objects, " (words::bytes(work.bytes)) }
    };
    html! {
        @if let Some(round) = &scrub.round {
            (work(&round.progress.done)) " so far, since " (words::time(round.began_at_ms)) ". "
        }
        @match &scrub.last {
            Some(last) => {
                "All was read by " (words::time(last.ended_at_ms)) ": " (work(&last.read)) "."
            },
            None => "Not all was read so far.",
        }
        @if scrub.rotten > 0 { " " (scrub.rotten) " objects are not what they were." }
    }
}
