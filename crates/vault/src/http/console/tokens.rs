//! Tokens: which there are, and what is done about them.

use jiff::Timestamp;
use maud::{Markup, html};
use strongroom_access::{Act, Right};
use strongroom_model::Period;

use crate::http::console::asking;
use crate::http::console::look::{Scene, nothing};
use crate::http::console::operations::given;
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::records::tokens::Token;
use crate::rules::clock::DAY_MS;
use crate::vault::Hiding;
use crate::{Error, Result};

/// How many a page shows.
const PAGE: u64 = 24;

/// Where the page lies.
const HERE: &str = "/-/tokens";

/// The page, and what its forms post.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => list(scene),
        (true, [] | [""]) => posted(scene),
        _ => Ok(nothing(scene)),
    }
}

fn posted(scene: &Scene<'_>) -> Result<Reply> {
    let (vault, who) = (scene.people.vault(), scene.signed_in.who());
    let name = scene.ask.field("name");
    match scene.ask.field("deed") {
        "make" => make(scene),
        "revoke" => {
            vault.revoke_token(who, name)?;
            Ok(Reply::see(&format!("{HERE}?said=revoked")))
        }
        "hide" => {
            let since: Timestamp = scene
                .ask
                .field("since")
                .trim()
                .parse()
                .map_err(malformed("time"))?;
            let hidden = vault.hide(who, name, since.as_millisecond())?;
            Ok(told("hidden", hidden))
        }
        "unhide" => Ok(told("shown", vault.unhide(who, name)?)),
        deed => Err(Error::Unknown {
            what: "act",
            name: deed.to_owned(),
        }),
    }
}

fn told(what: &str, hiding: Hiding) -> Reply {
    Reply::see(&format!("{HERE}?said={what}&count={}", hiding.objects))
}

fn malformed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Malformed {
        what,
        reason: error.to_string(),
    }
}

/// Makes a token, or asks for one. Its secret is shown once, to whoever has asked.
fn make(scene: &Scene<'_>) -> Result<Reply> {
    let field = |name| scene.ask.field(name).trim();
    let right: Right = field("right").parse().map_err(malformed("right"))?;
    let expires_in_ms = match field("lasts") {
        "" => None,
        text => {
            let period: Period = text.parse().map_err(malformed("period"))?;
            Some(period.milliseconds())
        }
    };
    let act = Act::MakeToken {
        right,
        prefix: field("prefix").parse().map_err(malformed("repository"))?,
        expires_in_ms,
        in_place_of: None,
    };
    // The set-up guide has a form of its own, and goes on with what is to be typed.
    let back = match field("back") {
        "guide" => "/-/",
        _ => HERE,
    };
    asking::answer(scene, &act, |who| {
        let done = scene.people.act(who, &act)?;
        Ok(given(scene, back, &done))
    })
}

/// What was done by the form that led here.
fn said(scene: &Scene<'_>) -> Option<String> {
    let count: u64 = scene.ask.parameter("count").parse().unwrap_or_default();
    match scene.ask.parameter("said") {
        "revoked" => Some("The token counts no more.".to_owned()),
        "hidden" => Some(format!("{count} objects are out of sight.")),
        "shown" => Some(format!("{count} objects are seen again.")),
        _ => None,
    }
}

fn list(scene: &Scene<'_>) -> Result<Reply> {
    let vault = scene.people.vault();
    let below = scene.ask.parameter("below").parse().unwrap_or(i64::MAX);
    let page = vault.tokens_below(below, PAGE)?;
    let last = page.last().filter(|_| page.len() as u64 == PAGE);
    let content = html! {
        @if let Some(said) = said(scene) { p.note.good role="status" { (said) } }
        p.soft { "A machine shows a token, and does with it what its right says. Give each machine its "
            "own, so that one can be revoked alone." }
        @if page.is_empty() { p.note { "There is no token yet: no machine can back up. Make one below." } }
        div.cards { @for token in &page { (card(scene, token)) } }
        @if let Some(last) = last {
            p { a.button.quiet href={ (HERE) "?below=" (last.id) } { "Older ones" } }
        }
        br;
        (form(scene))
    };
    Ok(scene.page("Tokens", &content))
}

/// How a token stands: a word, and how it looks.
fn state(token: &Token, now_ms: i64) -> (&'static str, &'static str) {
    match (token.revoked_ms, token.counts_at(now_ms)) {
        (Some(_), _) => ("revoked", "is-bad"),
        (None, true) => ("counts", "is-good"),
        (None, false) => ("expired", "is-warn"),
    }
}

fn card(scene: &Scene<'_>, token: &Token) -> Markup {
    let (word, kind) = state(token, scene.now_ms);
    let since = format!("since-{}", token.name);
    let last_day_ms = scene.people.vault().now().recorded_ms - DAY_MS;
    let named = |deed: &str| {
        html! {
            input type="hidden" name="deed" value=(deed);
            input type="hidden" name="name" value=(token.name);
        }
    };
    html! {
        section.card aria-label={ "Token " (token.name) } {
            h2 { code { (token.name) } }
            p { span class={ "tag " (kind) } { (word) } }
            dl {
                dt { "May" } dd { (token.right) " in " (token.prefix) }
                dt { "Used" }
                dd { @match token.used_ms {
                    Some(ms) => (words::ago(scene.now_ms - ms)),
                    None => "never",
                } }
                dt { "Ends" }
                dd { @match token.expires_ms {
                    Some(ms) => (words::time(ms)),
                    None => "never",
                } }
                dt { "Made" } dd { (words::time(token.made_ms)) }
            }
            @if token.revoked_ms.is_none() {
                (scene.form(HERE, &html! {
                    (named("revoke"))
                    button.danger aria-label={ "Revoke " (token.name) } { "Revoke" }
                }))
            }
            details {
                summary aria-label={ "What it has put: " (token.name) } { "What it has put" }
                (scene.form(HERE, &html! {
                    (named("hide"))
                    label for=(since) { "Take out of sight since" }
                    input id=(since) name="since" value=(words::time(last_day_ms)) maxlength="40";
                    button.danger aria-label={ "Hide what " (token.name) " has put" } { "Hide" }
                }))
                (scene.form(HERE, &html! {
                    (named("unhide"))
                    button.quiet aria-label={ "Show again what " (token.name) " has put" } {
                        "Show again"
                    }
                }))
            }
        }
    }
}

/// The form that makes one.
fn form(scene: &Scene<'_>) -> Markup {
    let rights = [
        (Right::Append, "append: a machine that backs up"),
        (Right::Read, "read: a machine that restores"),
        (Right::Maintain, "maintain: whoever prunes"),
        (Right::Report, "report: receipts alone"),
    ];
    let content = html! {
        input type="hidden" name="deed" value="make";
        label for="right" { "What it may do" }
        select id="right" name="right" {
            @for (right, told) in rights { option value=(right.word()) { (told) } }
        }
        label for="prefix" { "In which repository, as acme/repos, or folder of repositories" }
        input id="prefix" name="prefix" required maxlength="129" autocapitalize="none";
        label for="lasts" { "For how long, as 90d or 1h; nothing for no end" }
        input id="lasts" name="lasts" maxlength="12";
        label for="why" { "Why? (where others have to agree)" }
        input id="why" name="reason" maxlength="500";
        button { "Make it" }
    };
    html! {
        div.card {
            h2 { "A new token" }
            p { "A keeper makes " code { "append" } " and " code { "report" } " at once, a restorer "
                code { "read" } " for an hour. Others are asked for. It is shown once." }
            (asking::form(scene, HERE, &content))
        }
    }
}
