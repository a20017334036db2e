//! How every page looks: what stands above it, what is wrong, and its forms.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, html};
use strongroom_access::setup::Recovery;
use strongroom_access::{Act, OperatorId, Role, Seal, Setup};

use crate::http::console::ask::Ask;
use crate::http::console::beside::Beside;
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::people::{Known, People, SignedIn};
use crate::{Error, Result};

/// What a page is drawn from.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) people: &'a People,
    pub(super) beside: &'a Beside,
    pub(super) ask: &'a Ask,
    pub(super) signed_in: &'a SignedIn,
    pub(super) known: Known,
    pub(super) now_ms: i64,
    /// How many operations wait for somebody.
    open: usize,
    /// How many critical notices nobody has acknowledged.
    pub(super) unseen: u64,
    token: String,
}

/// The pages that stand above each page.
const PAGES: [(&str, &str); 7] = [
    ("/-/", "Overview"),
    ("/-/alerts", "Alerts"),
    ("/-/operations", "Approvals"),
    ("/-/tokens", "Tokens"),
    ("/-/operators", "Operators"),
    ("/-/log", "Log"),
    ("/-/you", "You"),
];

impl<'a> Scene<'a> {
    pub(super) fn read(
        (people, beside): (&'a People, &'a Beside),
        ask: &'a Ask,
        signed_in: &'a SignedIn,
    ) -> Result<Self> {
        Ok(Self {
            people,
            beside,
            ask,
            signed_in,
            known: people.known()?,
            now_ms: people.vault().now().vault_ms,
            open: people.open_operations()?.len(),
            unseen: people.vault().unseen_notices()?,
            token: ask.form_token(signed_in),
        })
    }

    /// Who looks.
    pub(super) const fn me(&self) -> OperatorId {
        self.signed_in.operator.id
    }

    /// Whether whoever looks has a role.
    pub(super) fn is(&self, role: Role) -> bool {
        self.signed_in.operator.is(role)
    }

    /// What somebody is called.
    pub(super) fn name(&self, of: OperatorId) -> String {
        let operator = self.known.operator(of);
        operator.map_or_else(
            || format!("operator {of}"),
            |known| known.name.as_str().to_owned(),
        )
    }

    /// A page.
    pub(super) fn page(&self, title: &str, content: &Markup) -> Reply {
        Reply::page(StatusCode::OK, self.draw(title, content))
    }

    /// The same, which says that something did not go as it was meant.
    pub(super) fn page_with(&self, status: StatusCode, title: &str, content: &Markup) -> Reply {
        Reply::page(status, self.draw(title, content))
    }

    fn draw(&self, title: &str, content: &Markup) -> Markup {
        let at = PAGES
            .iter()
            .rev()
            .find(|(path, _)| self.ask.path.starts_with(path));
        let bar = html! {
            nav aria-label="Pages" {
                @for (path, name) in PAGES {
                    a href=(path) aria-current=[at.filter(|(at, _)| *at == path).map(|_| "page")] {
                        (name)
                        @if path == "/-/operations" && self.open > 0 { " (" (self.open) ")" }
                        @if path == "/-/alerts" && self.unseen > 0 { " (" (self.unseen) ")" }
                    }
                }
            }
            span.soft { (self.signed_in.operator.name.as_str()) }
            @if self.known.seal.is_closed() {
                a.button.quiet href="/-/seal" { "Sealed" }
            } @else {
                a.button.quiet href="/-/seal" { "Seal …" }
            }
        };
        let notes = self.notes();
        document(title, &bar, &html! { (notes) h1 { (title) } (content) })
    }

    /// What everybody has to know, whatever page it is.
    fn notes(&self) -> Markup {
        let world = self.known.world();
        let setup = self.known.regime.setup.at(self.now_ms);
        html! {
            @if let Seal::Sealed { since_ms, .. } = self.known.seal {
                p.note.bad {
                    strong { "The vault is sealed" } " since " (words::time(since_ms)) ". "
                    "Nothing is destroyed, loosened or newly trusted; uploads and restores go on. "
                    a href="/-/seal" { "What now" }
                }
            }
            @if let Setup::UnderWay { since_ms, .. } = setup {
                @let left_ms = since_ms + strongroom_access::setup::LASTS_MS - self.now_ms;
                p.note.warn {
                    "Set-up ends in " (countdown(left_ms)) ". Until then the first operator invites "
                    "alone, and nothing can be lowered. "
                    a href="/-/operators" { "Invite somebody" }
                }
            }
            @if let Some(Recovery::Announced { at_ms }) = self.known.regime.recovery {
                @let left_ms = at_ms + strongroom_access::setup::RECOVERY_WAITS_MS - self.now_ms;
                div.note.bad {
                    strong { "All operators are to be recovered" } " in " (countdown(left_ms))
                    ", by somebody who has the vault's own host and the code on paper. "
                    (self.form("/-/operators/stop-recovery", &html! {
                        button.danger { "Stop the recovery" }
                    }))
                }
            }
            @if world.is_one_person() && setup == Setup::Established {
                p.note.warn {
                    strong { "One person" } " rules this vault: nobody approves, and whatever lowers "
                    "protection takes 14 days. " a href="/-/operators" { "Add a security operator" }
                }
            }
            @if self.people.vault().is_clock_doubted() {
                div.note.warn {
                    "The clock is doubted, and nothing is purged: look at the machine's clock first. "
                    @if let Ok(form) = self.act_form("/-/operations", &Act::ConfirmClock { leaf: 0 },
                        &html! { button.quiet { "Ask to have it believed" } }) { (form) }
                }
            }
        }
    }

    /// A form that posts, with the token of the session.
    pub(super) fn form(&self, action: &str, content: &Markup) -> Markup {
        html! {
            form method="post" action=(action) {
                input type="hidden" name="token" value=(self.token);
                (content)
            }
        }
    }

    /// A form whose button shows a passkey: `asks` is where the script learns what to sign.
    pub(super) fn passkey_form(&self, action: &str, asks: &str, content: &Markup) -> Markup {
        html! {
            form method="post" action=(action) data-passkey=(asks) {
                input type="hidden" name="token" value=(self.token);
                (signed(content))
            }
        }
    }

    /// The form of an act for which a passkey is shown.
    pub(super) fn act_form(&self, action: &str, act: &Act, content: &Markup) -> Result<Markup> {
        let act = serde_json::to_string(act).map_err(|_| Error::Unfinished)?;
        let content = html! {
            input type="hidden" name="act" value=(act);
            (content)
        };
        Ok(self.passkey_form(action, &format!("{action}/passkey"), &content))
    }
}

/// What a form has whose button shows a passkey.
pub(super) fn signed(content: &Markup) -> Markup {
    html! {
        input type="hidden" name="handle";
        input type="hidden" name="answer";
        (content)
        p role="status" {}
        noscript { p.note.warn { "A passkey takes the script of this page." } }
    }
}

/// How long something goes on, counted down.
pub(super) fn countdown(left_ms: i64) -> Markup {
    html! { span data-seconds=(left_ms.max(0) / 1000) { (words::period(left_ms)) } }
}

/// A whole document.
pub(super) fn document(title: &str, bar: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Strongroom" }
                link rel="icon" href="/-/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/-/style.css";
                script src="/-/script.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header { div.bar { strong { "Strongroom" } (bar) } }
                main id="main" tabindex="-1" { (content) }
            }
        }
    }
}

/// A page for whoever is not signed in.
pub(super) fn outside(status: StatusCode, title: &str, content: &Markup) -> Reply {
    let content = html! { div.narrow { h1 { (title) } (content) } };
    Reply::page(status, document(title, &html! {}, &content))
}

/// There is no such page.
pub(super) fn nothing(scene: &Scene<'_>) -> Reply {
    let content = html! { p { "There is no such page. " a href="/-/" { "To the overview" } } };
    scene.page_with(StatusCode::NOT_FOUND, "Nothing here", &content)
}

/// What went wrong, and what to do.
pub(super) fn failed(error: &Error) -> Reply {
    let (status, next) = match error {
        Error::NotSignedIn => (
            StatusCode::UNAUTHORIZED,
            Some(html! { a.button href="/-/sign-in" { "Sign in" } }),
        ),
        Error::Guessed { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
        Error::NotSigned | Error::Malformed { .. } => (StatusCode::BAD_REQUEST, None),
        Error::NotPermitted(_) | Error::Refused { .. } | Error::OtherTombstones { .. } => {
            (StatusCode::FORBIDDEN, None)
        }
        Error::Unknown { .. } => (StatusCode::NOT_FOUND, None),
        Error::Crowded { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
        _ => {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "A page was not drawn");
            (StatusCode::SERVICE_UNAVAILABLE, None)
        }
    };
    let told = match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            "Something is wrong here; the log of the vault says what".to_owned()
        }
        _ => error.to_string(),
    };
    let content = html! {
        p.note.bad { (told) "." }
        @if let Some(hint) = error.hint() { p { (hint) } }
        @match next {
            Some(next) => (next),
            None => p { a href="/-/" { "To the overview" } },
        }
    };
    let reply = outside(status, "That was not done", &content);
    match error {
        Error::Guessed { pause } => reply.after(pause.as_secs().max(1)),
        Error::Crowded { .. } => reply.after(1),
        _ => reply,
    }
}
