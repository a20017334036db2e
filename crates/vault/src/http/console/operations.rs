//! What was asked for: exact contents, who has agreed, how long it waits; and asking.

use maud::{Markup, html};
use serde_json::json;
use strongroom_access::operation::State;
use strongroom_access::{Act, Role};

use crate::http::console::look::{Scene, countdown, nothing};
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::people::{Done, Listed, Performed, Who, shows_something};
use crate::{Error, Result};

/// How many a page shows.
const PAGE: u64 = 25;

/// The pages of operations, and what they post.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => list(scene),
        (true, [] | [""]) => ask(scene),
        (true, ["passkey"]) => {
            let act = act_of(scene)?;
            let (handle, options) = scene.people.ask_to_show(scene.me(), &act)?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (is_post, [number, rest @ ..]) => match number.parse() {
            Ok(number) => one(scene, is_post, number, rest),
            Err(_) => Ok(nothing(scene)),
        },
    }
}

/// The act that a form is about.
fn act_of(scene: &Scene<'_>) -> Result<Act> {
    serde_json::from_str(scene.ask.field("act")).map_err(|error| Error::Malformed {
        what: "act",
        reason: error.to_string(),
    })
}

/// Asks for an operation, with a passkey where the form has shown one.
fn ask(scene: &Scene<'_>) -> Result<Reply> {
    let (act, field) = (act_of(scene)?, |name| scene.ask.field(name));
    let who = shown(scene, &act)?;
    let number = scene.people.ask(who, &act, field("reason"))?;
    Ok(Reply::see(&format!("/-/operations/{number}")))
}

/// Who acts: with a passkey, where the form has shown one for this act.
pub(super) fn shown(scene: &Scene<'_>, act: &Act) -> Result<Who> {
    match scene.ask.field("handle") {
        "" => Ok(scene.signed_in.who()),
        handle => scene
            .people
            .shown(scene.me(), act, handle, scene.ask.field("answer")),
    }
}

fn list(scene: &Scene<'_>) -> Result<Reply> {
    let below = scene.ask.parameter("below").parse().unwrap_or(u64::MAX);
    let open = scene.people.open_operations()?;
    let page = scene.people.operations(below, PAGE)?;
    let last = page.last().map(|listed| listed.kept.number);
    let is_more = page.len() as u64 == PAGE && last != Some(1);
    let content = html! {
        p.soft { "Whatever lowers protection, or trusts somebody newly, is asked for; others agree, and "
            "then it waits, so that anybody can still stop it." }
        div.card {
            h2 { "Open" }
            @if open.is_empty() { p { "Nothing waits for anybody." } }
            @else { (table(scene, &open)) }
        }
        div.card {
            h2 { "All" }
            @if page.is_empty() { p { "Nothing was asked for so far." } }
            @else { (table(scene, &page)) }
            @if let Some(last) = last.filter(|_| is_more) {
                a.button.quiet href={ "/-/operations?below=" (last) } { "Older ones" }
            }
        }
    };
    Ok(scene.page("Approvals", &content))
}

fn table(scene: &Scene<'_>, all: &[Listed]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Operations" {
            table {
                thead { tr { th { "No." } th { "What" } th { "Asked by" } th { "Stands" } } }
                tbody {
                    @for listed in all {
                        @let operation = &listed.kept.operation;
                        tr {
                            td { a href={ "/-/operations/" (listed.kept.number) } { (listed.kept.number) } }
                            td { (words::act(scene, &operation.act)) }
                            td { (scene.name(operation.asker)) }
                            td { (tag(listed)) }
                        }
                    }
                }
            }
        }
    }
}

fn tag(listed: &Listed) -> Markup {
    let (word, kind) = words::state(listed.state);
    html! { span class={ "tag " (kind) } { (word) } }
}

fn one(scene: &Scene<'_>, is_post: bool, number: u64, rest: &[&str]) -> Result<Reply> {
    let here = format!("/-/operations/{number}");
    match (is_post, rest) {
        (false, []) => show(scene, number, &here),
        (true, ["yes", "passkey"]) => {
            let (handle, options) = scene.people.ask_for_yes(scene.me(), number)?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (true, ["yes"]) => {
            let field = |name| scene.ask.field(name);
            scene
                .people
                .say_yes(scene.me(), number, field("handle"), field("answer"))?;
            Ok(Reply::see(&here))
        }
        (true, ["stop"]) => {
            scene.people.stop(scene.signed_in.who(), number)?;
            Ok(Reply::see(&here))
        }
        (true, ["do", "passkey"]) => {
            let act = scene.people.operation(number)?.kept.operation.act;
            let (handle, options) = scene.people.ask_to_show(scene.me(), &act)?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (true, ["do"]) => match perform(scene, number)? {
            Performed::Done(done) => Ok(given(scene, &here, &done)),
            Performed::Not(refusal) => Err(refusal.into()),
        },
        _ => Ok(nothing(scene)),
    }
}

/// Does what is due, with a passkey where the form has shown one for it.
fn perform(scene: &Scene<'_>, number: u64) -> Result<Performed> {
    let act = scene.people.operation(number)?.kept.operation.act;
    let who = shown(scene, &act)?;
    scene.people.perform(number, Some(who))
}

fn show(scene: &Scene<'_>, number: u64, here: &str) -> Result<Reply> {
    let listed = scene.people.operation(number)?;
    let operation = &listed.kept.operation;
    let me = scene.me();
    let is_open = matches!(listed.state, State::Asked | State::Waiting { .. });
    let is_about_me = operation.act.about() == Some(me);
    let may_agree = is_open
        && scene.is(Role::Security)
        && operation.asker != me
        && !is_about_me
        && !operation.yeses.contains_key(&me);
    let may_stop = match listed.state {
        State::Waiting { .. } => !is_about_me || operation.asker == me,
        State::Asked => operation.asker == me,
        State::Done | State::Ended(_) => false,
    };
    let left_ms = listed.due_ms.map(|due_ms| due_ms - scene.now_ms);
    let contents = serde_json::to_string_pretty(&operation.act).unwrap_or_default();
    let needs = listed.needs;
    let content = html! {
        div.card {
            p { (tag(&listed)) }
            dl {
                dt { "Asked by" } dd { (scene.name(operation.asker)) " at " (words::time(operation.asked_ms)) }
                @if !listed.kept.reason.is_empty() { dt { "Because" } dd { (listed.kept.reason) } }
                dt { "Agreed" }
                dd {
                    (listed.yeses)
                    @if let Some(needs) = needs { " of " (needs) }
                    @for (who, said_ms) in &operation.yeses {
                        br; (scene.name(*who)) " at " (words::time(*said_ms))
                    }
                }
                @if let (State::Waiting { .. }, Some(left_ms)) = (listed.state, left_ms) {
                    dt { "Done in" } dd { (countdown(left_ms)) }
                }
                @if let State::Ended(strongroom_access::operation::End::Stopped(by)) = listed.state {
                    dt { "Stopped by" } dd { (scene.name(by)) }
                }
            }
        }
        div.card {
            h2 { "Exact contents" }
            pre { (contents) }
            p.soft { "A yes is to this and nothing else: " code { (operation.id.to_string()) } }
        }
        @if may_agree {
            div.card {
                h2 { "Agree" }
                p { "Your passkey signs the number above." }
                (scene.passkey_form(
                    &format!("{here}/yes"),
                    &format!("{here}/yes/passkey"),
                    &html! { button { "Approve" } },
                ))
            }
        }
        @if is_open && !may_agree && needs.is_some_and(|needs| listed.yeses < needs) {
            p.note { "It waits for the yes of "
                @if operation.asker == me { "others: nobody approves his own request." }
                @else { "somebody who has the role security, and whom it is not about." }
            }
        }
        @if may_stop {
            (scene.form(&format!("{here}/stop"), &html! {
                button.danger { @if operation.asker == me { "Withdraw" } @else { "Stop it" } }
            }))
        }
        @if left_ms.is_some_and(|left_ms| left_ms <= 0) && is_open {
            @let content = html! { button { "Do it now" } };
            @if shows_something(&operation.act) {
                @if operation.asker == me {
                    (scene.passkey_form(&format!("{here}/do"), &format!("{here}/do/passkey"), &content))
                } @else {
                    p.note { "Whoever asked for it does it, since something is shown to him then." }
                }
            } @else { (scene.form(&format!("{here}/do"), &content)) }
        }
    };
    Ok(scene.page(&words::act(scene, &operation.act), &content))
}

/// What came of an act, shown once where there is something to show.
pub(super) fn given(scene: &Scene<'_>, back: &str, done: &Done) -> Reply {
    let content = match done {
        Done::Done => return Reply::see(back),
        Done::Token(token) => html! {
            p.note.good { "The token " (token.name) " is made. It is shown now and never again." }
            pre { (token.reveal()) }
            p { a.button.quiet href=(back) { "I have kept it" } }
        },
        Done::Link(link) => html! {
            p.note.good { "This link lets one person in, within three days. It is shown now and never "
                "again: hand it over by a way that nobody reads." }
            pre { (scene.people.origin().unwrap_or_default()) "/-/join/" (link.reveal()) }
            p { a.button.quiet href=(back) { "I have handed it over" } }
        },
    };
    scene.page("Shown once", &content)
}
