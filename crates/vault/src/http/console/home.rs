//! The first page: how each repository stands, and what is wrong.

use maud::{Markup, html};

use crate::Result;
use crate::http::console::look::Scene;
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::records::repositories::Repository;

/// How many repositories a page shows.
const PAGE: usize = 24;

/// The page.
pub(super) fn page(scene: &Scene<'_>) -> Result<Reply> {
    let after = scene.ask.parameter("after");
    let page = scene.people.vault().repositories_after(after, PAGE + 1)?;
    let (page, is_more) = match page.split_at_checked(PAGE) {
        Some((page, rest)) => (page, !rest.is_empty()),
        None => (page.as_slice(), false),
    };
    let content = html! {
        @if page.is_empty() && after.is_empty() { (nothing_yet(scene)) }
        div.cards { @for repository in page { (card(scene, repository)) } }
        @if let Some(last) = page.last().filter(|_| is_more) {
            p { a.button.quiet href={ "/-/?after=" (last.path.as_str()) } { "More" } }
        }
    };
    Ok(scene.page("Overview", &content))
}

/// What a newcomer does next.
fn nothing_yet(scene: &Scene<'_>) -> Markup {
    let origin = scene.people.origin().unwrap_or("https://vault.example.net");
    html! {
        div.card {
            h2 { "The first protected folder" }
            p { "Nothing is kept here yet. On the machine that has something to lose:" }
            pre {
                "strongroom init\n"
                "strongroom copy add vault --to " (origin) "/acme\n"
                "strongroom backup"
            }
            p.soft { "restic works as well: " code { "restic -r rest:" (origin) "/acme init" } }
        }
    }
}

fn card(scene: &Scene<'_>, repository: &Repository) -> Markup {
    let quiet_ms = repository
        .arrived_at_ms
        .map(|at_ms| scene.people.vault().now().recorded_ms - at_ms);
    let is_held = repository.purge_held_ms.is_some();
    html! {
        section.card aria-label=(repository.path.as_str()) {
            h2 { a href={ "/-/repositories/" (repository.path.as_str()) } { (repository.path.as_str()) } }
            @if is_held { p { span.tag.is-bad { "purge is held" } } }
            dl {
                dt { "Last arrival" }
                dd { @match quiet_ms {
                    Some(ms) => { (words::period(ms)) " ago" },
                    None => "never",
                } }
                dt { "Objects" } dd { (repository.objects) ", " (words::bytes(repository.bytes)) }
                dt { "Kept" } dd { (words::keeping(repository.keeping)) }
            }
        }
    }
}
