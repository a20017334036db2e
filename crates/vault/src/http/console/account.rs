//! One's own factors and sessions.

use maud::{Markup, PreEscaped, html};
use qrcode::QrCode;
use qrcode::render::svg;

use crate::Result;
use crate::http::console::look::{Scene, nothing};
use crate::http::console::reply::Reply;
use crate::http::console::words;

/// The page, and what it posts.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => show(scene),
        (true, ["sign-out"]) => {
            let number = scene.signed_in.session.number;
            scene.people.sign_out(scene.me(), number)?;
            Ok(Reply::see("/-/sign-in").without_session())
        }
        (true, ["end"]) => {
            if let Ok(number) = scene.ask.field("session").parse() {
                scene.people.sign_out(scene.me(), number)?;
            }
            Ok(Reply::see("/-/you"))
        }
        (true, ["end-all"]) => {
            scene
                .people
                .end_sessions(scene.signed_in.who(), scene.me())?;
            Ok(Reply::see("/-/sign-in").without_session())
        }
        _ => Ok(nothing(scene)),
    }
}

fn show(scene: &Scene<'_>) -> Result<Reply> {
    let factors = scene.people.factors(scene.me())?;
    let left = scene.people.codes_left(scene.me())?;
    let sessions = scene.people.sessions(scene.me())?;
    let content = html! {
        div.card {
            h2 { "Your factors" }
            div.scroll tabindex="0" role="region" aria-label="Your factors" {
                table {
                    thead { tr { th { "What" } th { "Kind" } th { "Enrolled" } th { "Last shown" } } }
                    tbody {
                        @for factor in &factors {
                            tr {
                                td { (factor.label) }
                                td { (factor.kind.word()) }
                                td { (words::time(factor.added_ms)) }
                                td { @match factor.used_ms {
                                    Some(used_ms) => (words::time(used_ms)),
                                    None => "never",
                                } }
                            }
                        }
                    }
                }
            }
            p class=[(left < 3).then_some("note warn")] {
                (left) " recovery codes are left."
            }
        }
        div.card {
            h2 { "Where you are signed in" }
            @for kept in &sessions {
                @let is_this = kept.number == scene.signed_in.session.number;
                div.note {
                    strong { (kept.address) }
                    @if let Some(host) = &kept.host { " at " (host) }
                    @if is_this { " (here)" }
                    " since " (words::time(kept.session.began_ms))
                    br; span.soft { (kept.program) }
                    @if !is_this {
                        (scene.form("/-/you/end", &html! {
                            input type="hidden" name="session" value=(kept.number);
                            button.quiet aria-label={ "End the one from " (kept.address) } { "End" }
                        }))
                    }
                }
            }
            (scene.form("/-/you/sign-out", &html! { button { "Sign out" } }))
            (scene.form("/-/you/end-all", &html! { button.danger { "Sign out everywhere" } }))
        }
    };
    Ok(scene.page("You", &content))
}

/// A picture of a text, which telephones read.
pub(super) fn qr(text: &str) -> Option<Markup> {
    let code = QrCode::new(text.as_bytes()).ok()?;
    let picture = code.render::<svg::Color<'_>>().quiet_zone(false).build();
    let at = picture.find("<svg")?;
    let picture = picture.get(at..)?.to_owned();
    Some(
        html! { span role="img" aria-label="The same as a code to scan" { (PreEscaped(picture)) } },
    )
}
