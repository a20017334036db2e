//! What is wrong with a repository, and what to do.

use maud::{Markup, html};

use crate::http::console::asking;
use crate::http::console::look::Scene;
use crate::http::console::repository::address;
use crate::rules::purge::Hold;
use crate::vault::Shown;

/// Of how many hundredths of its quota a repository is nearly full.
const NEARLY_FULL_PERCENT: u128 = 90;

/// All of it; that nothing is, where that is so.
pub(super) fn draw(scene: &Scene<'_>, shown: &Shown) -> Markup {
    let all: Vec<Markup> = [
        hold(scene, shown),
        rotten(shown),
        not_whole(shown),
        keys(scene, shown),
        full(shown),
    ]
    .into_iter()
    .flatten()
    .collect();
    html! {
        @if all.is_empty() { p.note.good { "Nothing is wrong here." } }
        @for trouble in all { (trouble) }
    }
}

fn hold(scene: &Scene<'_>, shown: &Shown) -> Option<Markup> {
    let hold = shown.overview.hold?;
    let tombstones = shown.overview.tombstones;
    let release = html! {
        input type="hidden" name="deed" value="release";
        input type="hidden" name="tombstones" value=(tombstones.count);
        @if let Some(newest) = tombstones.newest {
            input type="hidden" name="newest" value=(newest);
        }
        label for="why-release" { "Why is that as it should be?" }
        input id="why-release" name="reason" maxlength="500";
        button.quiet { "Ask to release the hold" }
    };
    Some(html! {
        div.note.bad {
            p { strong { "Purging is held" } ": " (hold.words()) "." }
            @if hold == Hold::ManyTombstones {
                p { "There are " (tombstones) ". Look at them below. Where they were not meant, take "
                    "them back there and revoke the token that asked for them. Where they were meant:" }
                @if !scene.known.seal.is_closed() {
                    (asking::form(scene, &address(&shown.overview.repository.path), &release))
                }
            }
        }
    })
}

fn rotten(shown: &Shown) -> Option<Markup> {
    let rotten = shown.overview.scrub.rotten;
    (rotten > 0).then(|| {
        html! {
            p.note.bad {
                strong { (rotten) " stored objects are not what they were" }
                ". Whoever has them puts them again, and they are healed: " code { "strongroom sync" }
                ". Then look at the disk."
            }
        }
    })
}

fn not_whole(shown: &Shown) -> Option<Markup> {
    let lacking = shown.sources.iter().filter(|(_, newest)| !newest.is_whole);
    let names: Vec<&str> = lacking.map(|(source, _)| source.as_str()).collect();
    (!names.is_empty()).then(|| {
        html! {
            p.note.warn {
                strong { "Not whole here" } ": the newest snapshot of " (names.join(", "))
                ". A sync by its client brings what is missing: " code { "strongroom sync" }
            }
        }
    })
}

fn keys(scene: &Scene<'_>, shown: &Shown) -> Option<Markup> {
    let keys = &shown.overview.pending_keys;
    let address = address(&shown.overview.repository.path);
    (!keys.is_empty()).then(|| {
        html! {
            div.note.warn {
                p { strong { (keys.len()) @if keys.len() == 1 { " key waits" } @else { " keys wait" } }
                    ": whoever has one opens all there is. Let in only what you know of." }
                @for key in keys.iter().filter_map(|key| key.id()) {
                    p { code { (key.to_string()) } }
                    (scene.form(&address, &html! {
                        input type="hidden" name="deed" value="admit";
                        input type="hidden" name="key" value=(key.to_string());
                        button.quiet aria-label={ "Let it in: key " (key.to_string()) } { "Let it in" }
                    }))
                }
            }
        }
    })
}

fn full(shown: &Shown) -> Option<Markup> {
    let repository = &shown.overview.repository;
    let quota = repository.quota_bytes?;
    let share = u128::from(repository.bytes) * 100;
    (share >= u128::from(quota) * NEARLY_FULL_PERCENT).then(|| {
        html! {
            p.note.warn {
                strong { "The quota is nearly used up" }
                ": what is beyond it is refused. Raise it below, or let old snapshots go: "
                code { "strongroom forget --prune" }
            }
        }
    })
}
