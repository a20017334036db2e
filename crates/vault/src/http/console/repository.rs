//! The page of a repository: how it stands, what is wrong and what to do, what came, what was deleted,
//! how it was.

mod acts;
mod facts;
mod lists;
mod troubles;

use maud::html;
use strongroom_model::RepositoryPath;

use crate::Result;
use crate::http::console::chart;
use crate::http::console::look::{Scene, nothing};
use crate::http::console::reply::Reply;

/// The page, and what its forms post.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    let Ok(path) = RepositoryPath::of_record(&rest.join("/")) else {
        return Ok(nothing(scene));
    };
    match scene.ask.is_post {
        true => acts::posted(scene, &path),
        false => show(scene, &path),
    }
}

/// Where the page of a repository lies.
pub(super) fn address(path: &RepositoryPath) -> String {
    format!("/-/repositories/{path}")
}

fn show(scene: &Scene<'_>, path: &RepositoryPath) -> Result<Reply> {
    let shown = scene.people.vault().shown_repository(path)?;
    let content = html! {
        @if let Some(said) = acts::said(scene) { p.note.good role="status" { (said) } }
        (troubles::draw(scene, &shown))
        (facts::draw(scene, &shown))
        (chart::draw(&shown))
        (lists::snapshots(scene, &shown)?)
        (lists::as_of(scene, path))
        (lists::tombstones(scene, &shown)?)
        (acts::draw(scene, &shown))
    };
    Ok(scene.page(path.as_str(), &content))
}
