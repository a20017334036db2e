//! The ledger: what the vault has done, and the proof that it stands in its log.

use data_encoding::BASE64;
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::http::console::look::{Scene, nothing};
use crate::http::console::reply::Reply;
use crate::wire::InclusionInfo;
use crate::{Error, Result};

/// How many leaves a page shows.
const PAGE: u64 = 25;

/// The pages.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => list(scene),
        (false, [leaf]) => match leaf.parse() {
            Ok(leaf) => proof(scene, leaf),
            Err(_) => Ok(nothing(scene)),
        },
        _ => Ok(nothing(scene)),
    }
}

/// A leaf, as it is shown.
struct Leaf {
    /// Its place in the log.
    place: u64,
    contents: Value,
}

impl Leaf {
    fn read(place: u64, entry: &[u8]) -> Self {
        let contents = serde_json::from_slice(entry);
        Self {
            place,
            contents: contents.unwrap_or(Value::Null),
        }
    }

    fn text(&self, key: &str) -> &str {
        self.contents
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// What happened, in a few words.
    fn words(&self) -> String {
        let mut told = spoken(self.text("act"));
        for key in ["repository", "file", "token"] {
            let text = self.text(key);
            let short = text.split_once('/').filter(|_| key == "file");
            let text = match short {
                Some((kind, id)) => format!("{kind}/{}", id.get(..8).unwrap_or(id)),
                None => text.to_owned(),
            };
            if !text.is_empty() {
                told.push_str(", ");
                told.push_str(&text);
            }
        }
        told
    }

    fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.contents).unwrap_or_default()
    }
}

/// An act of a leaf, as people say it.
fn spoken(act: &str) -> String {
    let plain = act.replace(['-', '_'], " ");
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => "Something".to_owned(),
    }
}

fn list(scene: &Scene<'_>) -> Result<Reply> {
    let below = scene.ask.parameter("below").parse().unwrap_or(u64::MAX);
    let found = scene.beside.published().newest(below, PAGE)?;
    let Some(found) = found else {
        let content =
            html! { p.note { "Nothing is published so far: look again in a few seconds." } };
        return Ok(scene.page("Log", &content));
    };
    let leaves = found.leaves.iter();
    let leaves: Vec<Leaf> = leaves
        .map(|(place, entry)| Leaf::read(*place, entry))
        .collect();
    let waiting = scene.beside.publisher().unpublished()?;
    let first = leaves
        .last()
        .map(|leaf| leaf.place)
        .filter(|first| *first > 0);
    let content = html! {
        p.soft { "Whatever the vault does is a leaf of its log, which can be added to and not changed "
            "without being seen. A new one is published within seconds." }
        @if waiting > 0 { p.note { (waiting) " leaves are not published yet." } }
        div.card {
            h2 { "Newest leaves" }
            div.scroll tabindex="0" role="region" aria-label="Leaves" {
                table {
                    thead { tr { th { "No." } th { "At" } th { "What" } th { "Proof" } } }
                    tbody { @for leaf in &leaves { (row(leaf)) } }
                }
            }
            @if let Some(first) = first {
                a.button.quiet href={ "/-/log?below=" (first) } { "Older leaves" }
            }
        }
        (checkpoint(scene, found.size, &found.checkpoint))
    };
    Ok(scene.page("Log", &content))
}

fn row(leaf: &Leaf) -> Markup {
    html! {
        tr {
            td { (leaf.place) }
            td { (leaf.text("at")) }
            td {
                (leaf.words())
                details {
                    summary aria-label={ "Contents of leaf " (leaf.place) } { "Contents" }
                    pre { (leaf.pretty()) }
                }
            }
            td { a href={ "/-/log/" (leaf.place) } aria-label={ "proof of leaf " (leaf.place) } { "proof" } }
        }
    }
}

fn checkpoint(scene: &Scene<'_>, size: u64, note: &str) -> Markup {
    let key = scene.beside.publisher().key();
    html! {
        div.card {
            h2 { "Checkpoint" }
            dl {
                dt { "Log" } dd { (scene.people.vault().origin()) }
                dt { "Leaves" } dd { (size) }
                dt { "Key" } dd { code { (key) } }
            }
            p { "Keep the key where the vault is not: whoever audits must have it from somebody he "
                "believes more than the vault." }
            pre { (note) }
            p { "Audit all of it, by its files alone:" }
            pre { "strongroom log verify /var/lib/strongroom-vault/log --key " (key) }
        }
    }
}

fn proof(scene: &Scene<'_>, place: u64) -> Result<Reply> {
    let proved = scene.beside.published().inclusion(place)?;
    let leaf = Leaf::read(place, &proved.entry);
    let told = InclusionInfo {
        checkpoint: proved.checkpoint,
        entry: BASE64.encode(&proved.entry),
        proof: proved.proof.iter().map(ToString::to_string).collect(),
    };
    let exactly = serde_json::to_string_pretty(&json!(told)).map_err(|_| Error::Unfinished)?;
    let content = html! {
        div.card {
            h2 { (leaf.words()) }
            pre { (leaf.pretty()) }
        }
        div.card {
            h2 { "Proof" }
            p { "By these " (told.proof.len()) " hashes the leaf leads to the root of the checkpoint "
                "(RFC 6962). Machines get the same at " code { "/v1/log/inclusion?leaf=" (place) } "." }
            @if !told.proof.is_empty() {
                ol { @for hash in &told.proof { li { code { (hash) } } } }
            }
            details { summary { "As JSON" } pre { (exactly) } }
        }
        div.card { h2 { "Checkpoint" } pre { (told.checkpoint) } }
        p { a.button.quiet href="/-/log" { "To the log" } }
    };
    Ok(scene.page(&format!("Leaf {place}"), &content))
}
