//! Alerts: what is wrong now, as `doctor` tells it, and what people were told, the newest first.

use maud::{Markup, html};
use strongroom_model::RepositoryPath;

use crate::http::console::look::{Scene, nothing};
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::records::notices::NoticeRow;
use crate::rules::notices::Level;
use crate::vault::Finding;
use crate::{Error, Result};

/// How many notices a page shows.
const PAGE: usize = 25;

/// How many findings a page shows.
const FINDINGS: usize = 50;

/// Where the page lies.
const HERE: &str = "/-/alerts";

/// The page, and what its forms post.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => list(scene),
        (true, ["seen"]) => {
            let text = scene.ask.field("notice");
            let id = text.parse().map_err(|_| Error::Unknown {
                what: "notice",
                name: text.to_owned(),
            })?;
            let me = scene.me();
            scene.people.vault().acknowledge_notice(id, Some(me.0))?;
            Ok(Reply::see(HERE))
        }
        (true, ["all-seen"]) => {
            let me = scene.me();
            scene.people.vault().acknowledge_all_notices(Some(me.0))?;
            Ok(Reply::see(HERE))
        }
        _ => Ok(nothing(scene)),
    }
}

fn list(scene: &Scene<'_>) -> Result<Reply> {
    let vault = scene.people.vault();
    let before: Option<i64> = scene.ask.parameter("before").parse().ok();
    let mut notices = vault.notices(before)?;
    let is_more = notices.len() > PAGE;
    notices.truncate(PAGE);
    let last = notices.last().filter(|_| is_more);
    let content = html! {
        @if before.is_none() { (wrong(scene)?) }
        div.card {
            h2 { "What people were told" }
            @if notices.is_empty() { p { "Nothing so far." } }
            @if scene.unseen > 1 {
                (scene.form("/-/alerts/all-seen", &html! {
                    button.quiet { "I have seen all " (scene.unseen) " that are critical" }
                }))
            }
            @for notice in &notices { (told(scene, notice)) }
            @if let Some(last) = last {
                a.button.quiet href={ (HERE) "?before=" (last.id) } { "Older ones" }
            }
        }
    };
    Ok(scene.page("Alerts", &content))
}

/// What is wrong now, and the next step.
fn wrong(scene: &Scene<'_>) -> Result<Markup> {
    let (findings, ago_ms) = scene.beside.findings(scene.people.vault())?;
    let left = findings.len().saturating_sub(FINDINGS);
    // What is broken first.
    let (broken, others): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.is_broken);
    let all = broken.into_iter().chain(others);
    Ok(html! {
        div.card {
            h2 { "What is wrong now" }
            @if findings.is_empty() { p.note.good { "Nothing." } }
            @for found in all.take(FINDINGS) { (finding(found)) }
            @if left > 0 { p { (left) " more: " code { "strongroom-vault doctor" } } }
            p.soft { "Looked at " (words::ago(ago_ms)) "." }
        }
    })
}

fn finding(found: &Finding) -> Markup {
    let path = RepositoryPath::of_record(&found.about).ok();
    let path = path.filter(|path| path.as_str().contains('/'));
    html! {
        div class={ "note " @if found.is_broken { "bad" } @else { "warn" } } {
            p {
                strong {
                    @if found.is_broken { "Broken" } @else { "To be seen to" }
                    ": "
                    @match &path {
                        Some(path) => a href={ "/-/repositories/" (path.as_str()) } { (found.about) },
                        None => (found.about),
                    }
                }
                ". " (found.problem) "."
            }
            @if let Some(hint) = &found.hint { p { (hint) } }
        }
    }
}

fn told(scene: &Scene<'_>, row: &NoticeRow) -> Markup {
    let is_critical = row.notice.level == Level::Critical;
    let is_open = is_critical && row.acknowledged_ms.is_none();
    html! {
        div class={ "note " @if is_open { "bad" } } {
            p {
                strong { (row.notice.subject) }
                @if row.repeated > 0 { " (" (row.repeated) " times more)" }
                br;
                span.soft { (words::time(row.made_at_ms)) @if is_critical { ", critical" } }
            }
            details {
                summary aria-label={ "All of it: notice " (row.id) } { "All of it" }
                pre { (row.notice.body) }
            }
            @if let Some(seen_ms) = row.acknowledged_ms {
                p.soft {
                    "Seen "
                    @if let Some(by) = row.acknowledged_by {
                        "by " (scene.name(strongroom_access::OperatorId(by))) " "
                    }
                    "at " (words::time(seen_ms))
                }
            } @else if is_critical {
                (scene.form("/-/alerts/seen", &html! {
                    input type="hidden" name="notice" value=(row.id);
                    button aria-label={ "I have seen it: notice " (row.id) } { "I have seen it" }
                }))
            }
        }
    }
}
