//! What came, how it was, and what was deleted.

use jiff::Timestamp;
use maud::{Markup, html};
use strongroom_model::RepositoryPath;

use crate::Result;
use crate::http::console::look::Scene;
use crate::http::console::repository::address;
use crate::http::console::words;
use crate::records::shown::{Snapshot, Tombstone};
use crate::rules::clock::DAY_MS;
use crate::rules::life::State;
use crate::vault::Shown;

/// How many rows a page of a list has.
const PAGE: u64 = 25;

/// Snapshots, by their arrival.
pub(super) fn snapshots(scene: &Scene<'_>, shown: &Shown) -> Result<Markup> {
    let (vault, repository) = (scene.people.vault(), &shown.overview.repository);
    let below = scene.ask.parameter("snapshots").parse().unwrap_or(u64::MAX);
    let page = vault.shown_snapshots(repository, below, PAGE)?;
    let spans = vault.sealed_spans()?;
    let last = page.last().filter(|_| page.len() as u64 == PAGE);
    let here = address(&repository.path);
    Ok(html! {
        div.card {
            h2 id="snapshots" { "Snapshots, by their arrival" }
            @if page.is_empty() { p { "No more are here." } }
            @else {
                div.scroll tabindex="0" role="region" aria-label="Snapshots" {
                    table {
                        thead { tr { th { "Came" } th { "Snapshot" } th { "By token" } th { "As then" } } }
                        tbody {
                            @for snapshot in &page { (row(&here, snapshot, &spans)) }
                        }
                    }
                }
            }
            @if let Some(last) = last {
                a.button.quiet href={ (here) "?snapshots=" (last.leaf) "#snapshots" } { "Older snapshots" }
            }
        }
    })
}

fn row(here: &str, snapshot: &Snapshot, spans: &[(u64, Option<u64>)]) -> Markup {
    let name = snapshot.id.to_string();
    let short = name.get(..8).unwrap_or_default();
    let at = snapshot.came_at_ms.map(words::time);
    html! {
        tr {
            td {
                (at.as_deref().unwrap_or("?"))
                @if is_within(snapshot.leaf, spans) { br; span.tag.is-bad { "under the seal" } }
                @match snapshot.state {
                    State::Live | State::Pending => {},
                    State::Tombstoned => { br; span.tag.is-warn { "deleted" } },
                    State::Hidden => { br; span.tag.is-warn { "hidden" } },
                    State::Purging => { br; span.tag { "being purged" } },
                }
            }
            td { code title=(name) { (short) } }
            td { code { (snapshot.token) } }
            td {
                @if let Some(at) = &at {
                    a href={ (here) "?at=" (at) "#asof" } aria-label={ "command as of " (at) } { "command" }
                }
            }
        }
    }
}

/// Whether something came while the vault was sealed.
fn is_within(leaf: u64, spans: &[(u64, Option<u64>)]) -> bool {
    spans
        .iter()
        .any(|(closed, opened)| leaf >= *closed && opened.is_none_or(|opened| leaf < opened))
}

/// The command that reads a repository as it was.
pub(super) fn as_of(scene: &Scene<'_>, path: &RepositoryPath) -> Markup {
    let asked = scene.ask.parameter("at");
    let day_before_ms = scene.people.vault().now().recorded_ms - DAY_MS;
    let text = match asked.is_empty() {
        true => words::time(day_before_ms),
        false => asked.to_owned(),
    };
    let at: Option<Timestamp> = text.parse().ok();
    let (scheme, host) = scene
        .people
        .origin()
        .and_then(|origin| origin.split_once("://"))
        .unwrap_or(("https", "vault.example.net:8000"));
    let here = address(path);
    html! {
        div.card {
            h2 id="asof" { "As it was" }
            p { "restic reads the repository as it stood at any time, whatever was deleted since. It "
                "takes a token that reads: " a href="/-/tokens" { "make one" } "." }
            form method="get" action={ (here) "#asof" } {
                label for="at" { "Time, as 2026-11-20T10:00:00Z" }
                input id="at" name="at" value=(text) maxlength="40";
                button.quiet { "Show the command" }
            }
            @match at {
                Some(at) => {
                    pre {
                        "restic --cacert tls.crt -r rest:" (scheme) "://any:TOKEN@" (host)
                        "/asof/" (at.to_string()) "/" (path.as_str()) "/ --no-lock snapshots"
                    }
                },
                None => p.note.bad { "That is no time: write it as 2026-11-20T10:00:00Z." },
            }
        }
    }
}

/// What was asked to be deleted and is kept.
pub(super) fn tombstones(scene: &Scene<'_>, shown: &Shown) -> Result<Markup> {
    let (vault, repository) = (scene.people.vault(), &shown.overview.repository);
    let below = scene
        .ask
        .parameter("tombstones")
        .parse()
        .unwrap_or(u64::MAX);
    let page = vault.shown_tombstones(repository, below, PAGE)?;
    let last = page.last().filter(|_| page.len() as u64 == PAGE);
    let here = address(&repository.path);
    let day_before_ms = vault.now().recorded_ms - DAY_MS;
    let all = html! {
        input type="hidden" name="deed" value="undelete";
        label for="since" { "Take back all deletions since" }
        input id="since" name="since" value=(words::time(day_before_ms)) maxlength="40";
        button { "Undelete" }
    };
    Ok(html! {
        div.card {
            h2 id="tombstones" { "Deleted, and kept" }
            @if page.is_empty() { p { "Nothing that was deleted is kept here." } }
            @else {
                (scene.form(&here, &all))
                br;
                div.scroll tabindex="0" role="region" aria-label="Deleted, and kept" {
                    table {
                        thead { tr { th { "Deleted" } th { "File" } th { "By token" } th { "Take back" } } }
                        tbody { @for tombstone in &page { (deleted(scene, &here, tombstone)) } }
                    }
                }
            }
            @if let Some(last) = last {
                a.button.quiet href={ (here) "?tombstones=" (last.leaf) "#tombstones" } {
                    "Older deletions"
                }
            }
        }
    })
}

fn deleted(scene: &Scene<'_>, here: &str, tombstone: &Tombstone) -> Markup {
    let name = tombstone.name.to_string();
    let kind = tombstone.name.kind().folder();
    let short = name.get(..kind.len() + 9).unwrap_or(&name);
    html! {
        tr {
            td { (words::time(tombstone.tombstoned_ms)) }
            td { code title=(name) { (short) } br; (words::bytes(tombstone.bytes)) }
            td { code { (tombstone.token) } }
            td {
                @if tombstone.is_out_of_sight { "its token is hidden" }
                @else {
                    (scene.form(here, &html! {
                        input type="hidden" name="deed" value="undelete-one";
                        input type="hidden" name="file" value=(name);
                        button.quiet aria-label={ "Undelete " (name) } { "Undelete" }
                    }))
                }
            }
        }
    }
}
