//! What is done to a repository, or asked for.

use jiff::Timestamp;
use maud::{Markup, html};
use strongroom_access::{Act, Keeping};
use strongroom_model::{ByteSize, FileName, FileType, Id, Period, RepositoryPath};

use crate::http::console::asking;
use crate::http::console::look::Scene;
use crate::http::console::reply::Reply;
use crate::http::console::repository::address;
use crate::rules::purge::Tombstones;
use crate::vault::{Longer, Shown};
use crate::{Error, Result};

/// What a form of the page asks for.
pub(super) fn posted(scene: &Scene<'_>, path: &RepositoryPath) -> Result<Reply> {
    let (vault, who) = (scene.people.vault(), scene.signed_in.who());
    let repository = path.clone();
    match scene.ask.field("deed") {
        "keep" => keep(scene, path),
        "comply" => asking::asked(scene, &Act::Comply { repository }),
        "release" => release(scene, path),
        "quota" => {
            vault.set_quota(who, path, quota(scene)?)?;
            Ok(done(path, "quota"))
        }
        "admit" => {
            let key: Id = scene.ask.field("key").parse().map_err(malformed("key"))?;
            let key = FileName::new(FileType::Keys, key);
            let is_admitted = vault.admit_key(who, path, key)?;
            Ok(done(path, if is_admitted { "admitted" } else { "nothing" }))
        }
        "undelete" => {
            let since: Timestamp = scene
                .ask
                .field("since")
                .trim()
                .parse()
                .map_err(malformed("time"))?;
            let count = vault.undelete(who, path, None, Some(since.as_millisecond()), None)?;
            Ok(done(path, &format!("undeleted&count={count}")))
        }
        "undelete-one" => {
            let is_undeleted = vault.undelete_one(who, path, file(scene.ask.field("file"))?)?;
            Ok(done(
                path,
                if is_undeleted {
                    "undeleted&count=1"
                } else {
                    "nothing"
                },
            ))
        }
        _ => Err(Error::Unknown {
            what: "act",
            name: scene.ask.field("deed").to_owned(),
        }),
    }
}

fn done(path: &RepositoryPath, said: &str) -> Reply {
    Reply::see(&format!("{}?said={said}", address(path)))
}

/// What was done by the form that led here.
pub(super) fn said(scene: &Scene<'_>) -> Option<String> {
    let said = match scene.ask.parameter("said") {
        "kept" => "It is kept for longer from now on: nobody else had to agree.",
        "quota" => "The quota is set.",
        "admitted" => "The key is let in.",
        "nothing" => "There was nothing to do any more.",
        "undeleted" => {
            let count: u64 = scene.ask.parameter("count").parse().unwrap_or_default();
            return Some(format!("{count} deletions were taken back."));
        }
        _ => return None,
    };
    Some(said.to_owned())
}

fn malformed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Malformed {
        what,
        reason: error.to_string(),
    }
}

/// A file by its name.
fn file(text: &str) -> Result<FileName> {
    let name = text.split_once('/').and_then(|(folder, id)| {
        let mut kinds = FileType::STORED.into_iter();
        let kind = kinds.find(|kind| kind.folder() == folder)?;
        Some(FileName::new(kind, id.parse().ok()?))
    });
    name.ok_or_else(|| Error::Malformed {
        what: "file",
        reason: "it is written as data/ and its id".to_owned(),
    })
}

fn quota(scene: &Scene<'_>) -> Result<Option<u64>> {
    match scene.ask.field("quota").trim() {
        "" => Ok(None),
        text => {
            let size: ByteSize = text.parse().map_err(malformed("quota"))?;
            Ok(Some(size.bytes()))
        }
    }
}

/// A period of a form; what holds, where nothing is written.
fn period(scene: &Scene<'_>, name: &str, holds_ms: i64) -> Result<i64> {
    match scene.ask.field(name).trim() {
        "" => Ok(holds_ms),
        text => {
            let period: Period = text.parse().map_err(malformed("period"))?;
            Ok(period.milliseconds())
        }
    }
}

/// Has things kept for longer, or asks for what others have to agree to.
fn keep(scene: &Scene<'_>, path: &RepositoryPath) -> Result<Reply> {
    let vault = scene.people.vault();
    let held = vault.held(path)?;
    let from = held.keeping;
    let to = Keeping {
        retention_ms: period(scene, "retention", from.retention_ms)?,
        grace_ms: period(scene, "grace", from.grace_ms)?,
    };
    if to == from {
        return Ok(done(path, "nothing"));
    }
    let act = Act::Keep {
        repository: path.clone(),
        from,
        to,
        agreed: held.agreed,
        is_compliant: held.is_compliant,
    };
    asking::answer(scene, &act, |who| {
        let longer = Longer {
            retention_ms: Some(to.retention_ms),
            grace_ms: Some(to.grace_ms),
        };
        vault.keep_longer(who, path, longer)?;
        Ok(done(path, "kept"))
    })
}

/// Asks for the release of a hold, of exactly what was shown.
fn release(scene: &Scene<'_>, path: &RepositoryPath) -> Result<Reply> {
    let agreed = Tombstones {
        count: scene
            .ask
            .field("tombstones")
            .parse()
            .map_err(malformed("number"))?,
        newest: scene.ask.field("newest").parse().ok(),
    };
    let act = Act::AgreeToPurge {
        repository: path.clone(),
        tombstones: agreed.count,
        newest: agreed.newest,
    };
    asking::asked(scene, &act)
}

/// The forms.
pub(super) fn draw(scene: &Scene<'_>, shown: &Shown) -> Markup {
    if scene.known.seal.is_closed() {
        return html! { p.note { "Under the seal nothing but undeleting is done here." } };
    }
    let held = &shown.held;
    let repository = &shown.overview.repository;
    let here = address(&repository.path);
    let written = |ms: i64| Period::of_milliseconds(ms).to_string();
    let keep = html! {
        input type="hidden" name="deed" value="keep";
        label for="retention" { "After arrival, as 90d or 12h" }
        input id="retention" name="retention" value=(written(held.keeping.retention_ms)) maxlength="12";
        label for="grace" { "After deletion" }
        input id="grace" name="grace" value=(written(held.keeping.grace_ms)) maxlength="12";
        label for="why-keep" { "Why?" }
        input id="why-keep" name="reason" maxlength="500";
        button { "Keep for so long" }
    };
    let comply = html! {
        input type="hidden" name="deed" value="comply";
        label for="why-comply" { "Why?" }
        input id="why-comply" name="reason" maxlength="500";
        button.quiet { "Ask to make it compliant" }
    };
    let quota = html! {
        input type="hidden" name="deed" value="quota";
        label for="quota" { "The most it may hold, as 500GiB; nothing for no bound" }
        input id="quota" name="quota" maxlength="20"
            value=[repository.quota_bytes.map(|bytes| ByteSize::from_bytes(bytes).to_string())];
        button.quiet { "Set the quota" }
    };
    html! {
        div.card {
            h2 { "How long things are kept" }
            p { "A keeper keeps them longer at once, up to twice of what was agreed to and a year at "
                "most. Anything else is asked for: others agree, and then it waits." }
            (asking::form(scene, &here, &keep))
        }
        @if !held.is_compliant {
            div.card {
                h2 { "Compliant" }
                p { "What a compliant repository keeps is never lowered again, whoever agrees; and "
                    "that is never undone." }
                (asking::form(scene, &here, &comply))
            }
        }
        div.card { h2 { "Quota" } (scene.form(&here, &quota)) }
    }
}
