//! Coming by a link: a name, two factors, and what is shown once.

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::json;
use strongroom_access::Operator;
use strongroom_model::Secret;

use crate::http::console::ask::Ask;
use crate::http::console::look::{outside, signed};
use crate::http::console::reply::Reply;
use crate::people::{Enrolling, Joined, Joining, NewFactor, People};
use crate::{Error, Result};

/// A page of whoever comes by a link.
pub(super) fn page(people: &People, ask: &Ask, link: &str, rest: &[&str]) -> Result<Reply> {
    let here = format!("/-/join/{link}");
    let by_link = Enrolling::Link(link);
    match (ask.is_post, rest) {
        (false, []) => match people.joining(link) {
            Ok(Joining::Name) => Ok(name(&here)),
            Ok(Joining::Enrol(operator)) => Ok(factors(&here, &operator, people, ask)),
            Err(Error::NotSignedIn | Error::NotPermitted(_)) => Ok(gone()),
            Err(error) => Err(error),
        },
        (true, ["name"]) => {
            let name = ask.field("name").trim().to_lowercase();
            let name = name
                .parse()
                .map_err(|error: strongroom_model::Error| Error::Malformed {
                    what: "name",
                    reason: error.to_string(),
                })?;
            people.claim(link, &name)?;
            Ok(Reply::see(&here))
        }
        (true, ["passkey", "options"]) => {
            let (handle, options) = people.ask_for_passkey(by_link)?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (true, ["passkey"]) => {
            let new = NewFactor::Passkey(ask.field("answer"));
            let joined = people.enrol(by_link, ask.field("handle"), &new, label(ask))?;
            Ok(after(&here, joined))
        }
        (false, ["password"]) => {
            let (handle, secret, address) = people.prepare_password(by_link)?;
            Ok(password(&here, handle.reveal(), &secret, &address))
        }
        (true, ["password"]) => {
            let given = Secret::new(ask.field("password"));
            let code = ask.field("code").replace(' ', "");
            let new = NewFactor::Password(&given, &code);
            match people.enrol(by_link, ask.field("handle"), &new, "password and codes") {
                Ok(joined) => Ok(after(&here, joined)),
                Err(Error::NotSignedIn) => Err(Error::Malformed {
                    what: "code",
                    reason: "it is not the one that your application shows now; begin again with \
                             this step"
                        .to_owned(),
                }),
                Err(error) => Err(error),
            }
        }
        _ => Ok(gone()),
    }
}

fn label(ask: &Ask) -> &str {
    match ask.field("label").trim() {
        "" => "passkey",
        label => label,
    }
}

fn gone() -> Reply {
    let content = html! {
        p.note.bad { "This link was used, has lapsed, or was never given." }
        p { "Ask whoever gave it to you for another one. The first operator gets his on the vault's own "
            "machine: " code { "strongroom-vault operators link" } }
        p { a href="/-/sign-in" { "Sign in" } }
    };
    outside(StatusCode::NOT_FOUND, "No such link", &content)
}

fn name(here: &str) -> Reply {
    let content = html! {
        p { "You are the first operator of this vault. For three days you invite the others alone; "
            "from then on whatever lowers protection takes the approval of others." }
        form.card method="post" action={ (here) "/name" } {
            label for="name" { "How do you want to be called?" }
            input id="name" name="name" required autocomplete="username" autocapitalize="none"
                pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" aria-describedby="rule";
            p.soft id="rule" { "Letters, digits, and . _ - between them. It is never changed." }
            button { "Go on" }
        }
    };
    outside(StatusCode::OK, "Welcome", &content)
}

/// What somebody still has to enrol.
fn factors(here: &str, operator: &Operator, people: &People, ask: &Ask) -> Reply {
    let (passkeys, has_password) = (operator.factors.passkeys, operator.factors.has_password);
    let is_elsewhere = people
        .origin()
        .is_none_or(|origin| !origin.ends_with(&format!("//{}", ask.host)));
    let content = html! {
        p { "Hello, " strong { (operator.name.as_str()) } ". You need two factors: two passkeys, or a "
            "passkey and a password with codes. One can be lost, and you are still yourself." }
        @if is_elsewhere {
            p.note.warn {
                "Passkeys work under one address: open this page at "
                @match people.origin() {
                    Some(origin) => a href={ (origin) (here) } { (origin) },
                    None => "the one that public_url in vault.toml has to name",
                }
            }
        }
        ol {
            li { (done(passkeys > 0)) " A passkey: it signs in, approves, and opens a seal" }
            li { (done(has_password || passkeys > 1)) " A second passkey, or a password with codes" }
        }
        form.card method="post" action={ (here) "/passkey" }
            data-passkey={ (here) "/passkey/options" } {
            h2 { @if passkeys > 0 { "Another passkey" } @else { "A passkey" } }
            (signed(&html! {
                label for="label" { "What do you call it?" }
                input id="label" name="label" maxlength="64" placeholder="the key on my ring";
                button { "Enrol a passkey" }
            }))
        }
        @if !has_password {
            div.card {
                h2 { "A password, with codes from an application" }
                p { "It signs in and seals; it approves nothing." }
                a.button.quiet href={ (here) "/password" } { "Set a password" }
            }
        }
    };
    outside(StatusCode::OK, "Your factors", &content)
}

fn done(is_done: bool) -> Markup {
    html! {
        @if is_done { span.tag.is-good { "done" } } @else { span.tag { "to do" } }
    }
}

fn password(here: &str, handle: &str, secret: &Secret, address: &Secret) -> Reply {
    let content = html! {
        form.card method="post" action={ (here) "/password" } {
            input type="hidden" name="handle" value=(handle);
            h2 { "1. Your application for codes" }
            @if let Some(picture) = super::account::qr(address.expose()) { div.qr { (picture) } }
            p { "Scan it, or type: " code { (secret.expose()) } }
            label for="code" { "The code that it shows now" }
            input id="code" name="code" required inputmode="numeric" autocomplete="one-time-code"
                pattern="[0-9 ]{6,7}";
            h2 { "2. A password" }
            label for="password" { "At least 12 characters" }
            input id="password" name="password" type="password" required minlength="12"
                autocomplete="new-password";
            button { "Enrol both" }
        }
    };
    outside(StatusCode::OK, "A password with codes", &content)
}

/// What comes after a factor was enrolled.
fn after(here: &str, joined: Option<Joined>) -> Reply {
    match joined {
        None => Reply::see(here),
        Some(joined) => {
            let content = html! {
                p.note.good { "You are an operator of this vault now." }
                div.card {
                    h2 { "Recovery codes" }
                    p { "Each replaces one lost factor, once. They are shown now and never again: print "
                        "them, or write them down." }
                    ol.codes { @for code in &joined.codes { li { (code.reveal()) } } }
                }
                @if let Some(paper) = &joined.paper {
                    div.card {
                        h2 { "The code for paper" }
                        p { "If all operators are gone, this code brings a new first link on the "
                            "vault's own machine, after seven days in which everybody hears of it. "
                            "Put it where neither production nor the vault is." }
                        pre { (paper.reveal()) }
                    }
                }
                a.button href="/-/sign-in" { "I have kept them: sign in" }
            };
            outside(StatusCode::OK, "Keep these", &content)
        }
    }
}
