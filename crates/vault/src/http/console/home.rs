//! The first page: how each repository stands, and what is wrong.

use maud::html;

use crate::Result;
use crate::http::console::look::Scene;
use crate::http::console::reply::Reply;
use crate::http::console::{guide, scorecard};

/// How many repositories a page shows.
const PAGE: usize = 24;

/// Of how many clients and sources each card tells.
const SOURCES: u64 = 8;

/// The page.
pub(super) fn page(scene: &Scene<'_>) -> Result<Reply> {
    let vault = scene.people.vault();
    let after = scene.ask.parameter("after");
    let page = vault.repositories_after(after, PAGE + 1)?;
    let (page, is_more) = match page.split_at_checked(PAGE) {
        Some((page, rest)) => (page, !rest.is_empty()),
        None => (page.as_slice(), false),
    };
    let sources = vault.newest_of_each(page, SOURCES)?;
    let content = html! {
        @if after.is_empty() { (guide::draw(scene, page)?) }
        div.cards {
            @for (repository, sources) in page.iter().zip(&sources) {
                (scorecard::card(scene, repository, sources))
            }
        }
        @if let Some(last) = page.last().filter(|_| is_more) {
            p { a.button.quiet href={ "/-/?after=" (last.path.as_str()) } { "More" } }
        }
    };
    Ok(scene.page("Overview", &content))
}
