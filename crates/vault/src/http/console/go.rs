//! On the way to a protected host: who is there is asked here, and sent back with a code.
//!
//! The browser comes from another site, so that it does not bring the cookie of the vault along, which
//! is `SameSite=Strict`; and a form must lead nowhere else. So the first page only goes on to the second
//! one, from where the browser brings it.

use hyper::StatusCode;
use maud::html;
use strongroom_access::forward::{Host, Verdict};
use url::{Url, form_urlencoded};

use data_encoding::BASE64URL_NOPAD;

use crate::http::console::ask::Ask;
use crate::http::console::look::{failed, outside, signed};
use crate::http::console::reply::Reply;
use crate::http::console::{ROOT, signed_in};
use crate::people::{People, SignedIn, Way};
use crate::{Error, Result};

/// The longest address that somebody is sent on to.
const LONGEST: usize = 6000;

/// Where somebody wants to go.
struct To {
    host: Host,
    /// Path and query.
    uri: String,
    target: String,
    browser: [u8; 32],
    /// The same, as a query.
    query: String,
}

/// Where somebody goes on who has signed in: to a protected host, where he came from one.
pub(super) fn next(ask: &Ask) -> &str {
    let asked = [ask.field("next"), ask.parameter("next")];
    let is_good = |next: &&str| {
        next.starts_with("/-/go?")
            && next.bytes().all(|b| b.is_ascii_graphic())
            && next.len() <= LONGEST
    };
    asked.into_iter().find(is_good).unwrap_or(ROOT)
}

/// The pages, and what they post.
pub(super) fn page(people: &People, ask: &Ask, rest: &[&str]) -> Result<Reply> {
    let Some(to) = To::read(people, ask) else {
        let content = html! {
            p.note.bad { "No rule of this vault names the host that you come from, or the way here is \
                          not whole." }
        };
        return Ok(outside(StatusCode::FORBIDDEN, "Nowhere to go", &content));
    };
    match (ask.is_post, rest) {
        (false, []) => Ok(to.pause()),
        (false, ["on"]) => to.go_on(people, ask),
        (true, ["shown"]) => {
            let Some(signed_in) = signed_in(people, ask)? else {
                return Ok(failed(&Error::NotSignedIn));
            };
            ask.check_form(&signed_in)?;
            people.show_anew(&signed_in, ask.field("handle"), ask.field("answer"))?;
            Ok(Reply::see(&to.begin()))
        }
        _ => Ok(Reply::see(&to.begin())),
    }
}

impl To {
    /// Reads it; none where it is no protected host, or is not whole.
    fn read(people: &People, ask: &Ask) -> Option<Self> {
        let get = |name| match ask.is_post {
            true => ask.field(name),
            false => ask.parameter(name),
        };
        let (to, browser) = (get("to"), get("browser"));
        let url = Url::parse(to).ok().filter(|_| to.len() <= LONGEST)?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        let host: Host = host.parse().ok()?;
        let origin = host.origin(url.scheme())?;
        if !people.rules().iter().any(|rule| rule.host == host) {
            return None;
        }
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let digest = BASE64URL_NOPAD.decode(browser.as_bytes()).ok()?;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("to", to)
            .append_pair("browser", browser)
            .finish();
        Some(Self {
            target: format!("{origin}{uri}"),
            host,
            uri,
            browser: digest.try_into().ok()?,
            query,
        })
    }

    fn begin(&self) -> String {
        format!("/-/go?{}", self.query)
    }

    fn pause(&self) -> Reply {
        let on = format!("/-/go/on?{}", self.query);
        let content = html! {
            p { "On the way to " strong { (self.host) } "." }
            p { a.button href=(on) { "Go on" } }
        };
        outside(StatusCode::OK, "One moment", &content).refreshing(&on)
    }

    fn go_on(&self, people: &People, ask: &Ask) -> Result<Reply> {
        let signed_in = signed_in(people, ask)?;
        let cookie = ask.session.as_deref().unwrap_or_default();
        let Some(signed_in) = signed_in else {
            return Ok(self.sign_in());
        };
        let host = self.host.as_str();
        match people.may_go(&signed_in, host, &self.uri)? {
            Verdict::Allow => {
                let way = Way {
                    host,
                    target: &self.target,
                    browser: &self.browser,
                };
                let code = people.code_for_host(cookie, way)?;
                let scheme = self.target.split("://").next().unwrap_or_default();
                let origin = self.host.origin(scheme).unwrap_or_default();
                let code = code.reveal();
                Ok(Reply::see(&format!(
                    "{origin}/.strongroom/callback?code={code}"
                )))
            }
            Verdict::SignIn => Ok(self.sign_in()),
            Verdict::StepUp => Ok(self.step_up(ask, &signed_in)),
            Verdict::Forbidden | Verdict::UnknownHost => {
                let content = html! {
                    p.note.bad { "No rule lets " (signed_in.operator.name.as_str()) " in to that page \
                                  of " (self.host) "." }
                };
                Ok(outside(StatusCode::FORBIDDEN, "Not for you", &content))
            }
            Verdict::Ambiguous(why) => {
                let content = html! {
                    p.note.bad { "That path can be read in more than one way: " (why) "." }
                };
                Ok(outside(StatusCode::FORBIDDEN, "Not a clear path", &content))
            }
        }
    }

    fn sign_in(&self) -> Reply {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("next", &self.begin())
            .finish();
        Reply::see(&format!("/-/sign-in?{query}"))
    }

    fn step_up(&self, ask: &Ask, signed_in: &SignedIn) -> Reply {
        let content = html! {
            p { strong { (self.host) } " wants to see your passkey again." }
            form.card method="post" action="/-/go/shown" data-passkey="/-/sign-in/options" {
                input type="hidden" name="token" value=(ask.form_token(signed_in));
                input type="hidden" name="to" value=(self.target);
                input type="hidden" name="browser" value=(BASE64URL_NOPAD.encode(&self.browser));
                (signed(&html! { button { "Show your passkey" } }))
            }
        };
        outside(StatusCode::OK, "Once more", &content)
    }
}
