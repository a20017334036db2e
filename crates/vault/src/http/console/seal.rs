//! Sealing, by a button or by a code.

use hyper::StatusCode;
use maud::html;
use strongroom_access::{Act, Seal};

use crate::http::console::ask::Ask;
use crate::http::console::look::Scene;
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::people::People;
use crate::{Error, Result};

/// The page with the button, and what it posts.
pub(super) fn page(scene: &Scene<'_>) -> Result<Reply> {
    if scene.ask.is_post {
        scene.people.seal(scene.signed_in.who())?;
        return Ok(Reply::see("/-/seal"));
    }
    let content = match scene.known.seal {
        Seal::Open { .. } => html! {
            div.card {
                p { "While the vault is sealed nothing is destroyed, loosened or newly trusted: no "
                    "purge, no new operator or factor, no change of what is kept. Uploads and restores "
                    "go on." }
                p { strong { "Seal first, evict then." } " You close it alone and at once. Opening it "
                    "takes the approval of others, and a day." }
                (scene.form("/-/seal", &html! { button.danger { "Seal the vault now" } }))
            }
        },
        Seal::Sealed { since_ms, leaf } => {
            let unseal = Act::Unseal { leaf };
            let form = html! {
                label for="reason" { "Why?" }
                input id="reason" name="reason" maxlength="500";
                button { "Ask to open the seal" }
            };
            html! {
                div.card {
                    p { "Sealed since " (words::time(since_ms)) " by leaf " (leaf) " of the log." }
                    h2 { "Now" }
                    ol {
                        li { "End the sessions of whoever may be stolen, and revoke tokens: "
                            a href="/-/operators" { "Operators" } }
                        li { "Have him suspended: under the seal that takes approval and no delay." }
                        li { "When it is over, have the seal opened: others agree, and then it takes a "
                            "day in which anybody stops it." }
                    }
                }
                div.card { h2 { "Open it" } (scene.act_form("/-/operations", &unseal, &form)?) }
            }
        }
    };
    Ok(scene.page("The seal", &content))
}

/// `POST /seal` with a code, which seals and can do nothing else.
pub(super) fn by_code(people: &People, ask: &Ask) -> Result<Reply> {
    if !ask.is_post {
        let how = "POST here with code=CODE; whoever is signed in seals on /-/seal";
        return Ok(Reply::line(StatusCode::METHOD_NOT_ALLOWED, how));
    }
    Ok(match people.seal_by_code(ask.field("code")) {
        Ok(()) => Reply::line(StatusCode::OK, "Sealed"),
        Err(Error::NotSignedIn) => Reply::line(
            StatusCode::UNAUTHORIZED,
            "That is no seal code, or it was used before",
        ),
        Err(Error::NotPermitted(refusal)) => {
            Reply::line(StatusCode::CONFLICT, &refusal.to_string())
        }
        Err(error) => return Err(error),
    })
}
