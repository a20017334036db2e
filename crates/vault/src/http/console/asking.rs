//! Acts that one does at once, or asks for: a form says what, and the vault which of both it is.

use maud::Markup;
use serde_json::json;
use strongroom_access::{Act, Refusal};

use crate::http::console::look::Scene;
use crate::http::console::operations::shown;
use crate::http::console::reply::Reply;
use crate::people::Who;
use crate::{Error, Result};

/// A form of an act that is made of its fields. Where nobody else could approve it, its button shows
/// a passkey, of which the script learns from [`answer`].
pub(super) fn form(scene: &Scene<'_>, action: &str, content: &Markup) -> Markup {
    match scene.known.world().is_one_person() {
        true => scene.passkey_form(action, &format!("{action}?passkey=1"), content),
        false => scene.form(action, content),
    }
}

/// Answers such a form: what the script has to have signed, or what is done at once, or the operation
/// that was asked for.
pub(super) fn answer(
    scene: &Scene<'_>,
    act: &Act,
    at_once: impl FnOnce(Who) -> Result<Reply>,
) -> Result<Reply> {
    if scene.ask.parameter("passkey") == "1" {
        let (handle, options) = scene.people.ask_to_show(scene.me(), act)?;
        let asked = json!({ "handle": handle.reveal(), "options": options });
        return Ok(Reply::json(&asked));
    }
    let who = shown(scene, act)?;
    match at_once(who) {
        Err(Error::NotPermitted(Refusal::NeedsApproval)) => {
            let number = scene.people.ask(who, act, scene.ask.field("reason"))?;
            Ok(Reply::see(&format!("/-/operations/{number}")))
        }
        done => done,
    }
}

/// The same for what is never done at once.
pub(super) fn asked(scene: &Scene<'_>, act: &Act) -> Result<Reply> {
    answer(scene, act, |_| Err(Refusal::NeedsApproval.into()))
}
