//! Signing in.

use hyper::StatusCode;
use maud::html;
use serde_json::json;
use strongroom_model::Secret;

use crate::http::console::ask::Ask;
use crate::http::console::go;
use crate::http::console::look::{countdown, outside, signed};
use crate::http::console::reply::Reply;
use crate::people::People;
use crate::{Error, Result};

/// The page, and what it posts.
pub(super) fn page(people: &People, ask: &Ask, rest: &[&str]) -> Result<Reply> {
    match (ask.is_post, rest) {
        (false, []) => Ok(draw(ask, StatusCode::OK, None)),
        (true, ["options"]) => {
            let (handle, options) = people.ask_who()?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (true, ["passkey"]) => {
            let (handle, answer) = (ask.field("handle"), ask.field("answer"));
            match people.sign_in(handle, answer, &ask.browser) {
                Ok(cookies) => Ok(Reply::see(go::next(ask)).with_session(&cookies)),
                Err(Error::NotSignedIn) => Ok(draw(
                    ask,
                    StatusCode::UNAUTHORIZED,
                    Some(
                        "This passkey belongs to nobody who has rights here, or the answer came too \
                          late. Try again.",
                    ),
                )),
                Err(error) => Err(error),
            }
        }
        (true, ["password"]) => {
            let password = Secret::new(ask.field("password"));
            let code = ask.field("code").replace(' ', "");
            let name = ask.field("name").trim().to_lowercase();
            let signed_in = people.sign_in_by_password(&name, &password, &code, &ask.browser);
            match signed_in {
                Ok(cookies) => Ok(Reply::see(go::next(ask)).with_session(&cookies)),
                Err(Error::NotSignedIn) => Ok(draw(
                    ask,
                    StatusCode::UNAUTHORIZED,
                    Some(
                        "Name, password or code is not right, or the code was used before: wait \
                          for the next one.",
                    ),
                )),
                Err(Error::Guessed { pause }) => {
                    let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
                    let content = html! {
                        p.note.bad { "Too many guesses were wrong. Passwords are looked at again in "
                            (countdown(pause_ms)) "; a passkey signs in at once." }
                        p { a.button href="/-/sign-in" { "Back" } }
                    };
                    let status = StatusCode::TOO_MANY_REQUESTS;
                    Ok(outside(status, "Wait a little", &content).after(pause.as_secs().max(1)))
                }
                Err(error) => Err(error),
            }
        }
        _ => Ok(Reply::see("/-/sign-in")),
    }
}

fn draw(ask: &Ask, status: StatusCode, wrong: Option<&str>) -> Reply {
    let next = go::next(ask);
    let content = html! {
        @if let Some(wrong) = wrong { p.note.bad role="alert" { (wrong) } }
        form.card method="post" action="/-/sign-in/passkey" data-passkey="/-/sign-in/options" {
            input type="hidden" name="next" value=(next);
            (signed(&html! {
                h2 { "With a passkey" }
                button { "Sign in with a passkey" }
            }))
        }
        form.card method="post" action="/-/sign-in/password" {
            input type="hidden" name="next" value=(next);
            h2 { "With a password and a code" }
            label for="name" { "Name" }
            input id="name" name="name" required autocomplete="username" autocapitalize="none";
            label for="password" { "Password" }
            input id="password" name="password" type="password" required
                autocomplete="current-password";
            label for="code" { "Code" }
            input id="code" name="code" required inputmode="numeric" autocomplete="one-time-code";
            button.quiet { "Sign in" }
        }
        p.soft { "Nobody was here yet? On the vault's machine: "
            code { "strongroom-vault operators link" } }
    };
    outside(status, "Sign in", &content)
}
