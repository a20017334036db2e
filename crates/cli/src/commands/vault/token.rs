//! `strongroom vault token`.

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_model::{ByteSize, Period, RepositoryPath};

use crate::commands::vault::admin::{At, Column, Shown, field, spoken};
use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::words::count;

/// The tokens that machines ask a vault with
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Set(Set),
    Revoke(Revoke),
    Hide(Hide),
    Unhide(Unhide),
    ForgetClientKey(ForgetClientKey),
}

/// What a token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Right {
    /// Put files, read, remove its own locks, send receipts; nothing else
    Append,
    /// Read
    Read,
    /// Also ask for deletion, which waits and can be taken back
    Maintain,
    /// Send receipts, and from the guard on events
    Report,
}

/// Make a token, which is shown once
///
/// Examples:
///   strongroom vault token create --at https://127.0.0.1:8000 --fingerprint 5A:0C:… \
///       --admin-token-file /var/lib/strongroom-vault/keys/admin.token \
///       --repository acme/repos --right append --expires 90d
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
struct Create {
    #[command(flatten)]
    at: At,
    /// For this repository, or those in this folder
    #[arg(long, value_name = "PATH")]
    repository: RepositoryPath,
    /// What it may do
    #[arg(long)]
    right: Right,
    /// Until then, as 90d
    #[arg(long, value_name = "PERIOD")]
    expires: Option<Period>,
    /// The most that it may put in a day, as 500GiB
    #[arg(long, value_name = "SIZE")]
    daily_size: Option<ByteSize>,
    /// The most objects that it may put and delete in a day; 1000000 where nothing is said
    #[arg(long, value_name = "NUMBER")]
    daily_objects: Option<u64>,
}

/// List the tokens, without their secrets
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct List {
    #[command(flatten)]
    at: At,
}

/// Set how much a token may do in a day
///
/// What it has used up of the day stays counted, and where that is less than it may from now on, it
/// goes on at once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
#[group(id = "what", required = true, multiple = true, args = ["daily_size", "daily_objects"])]
struct Set {
    #[command(flatten)]
    at: At,
    /// The name, as token list shows it
    name: String,
    /// The most that it may put in a day, as 500GiB
    #[arg(long, value_name = "SIZE")]
    daily_size: Option<ByteSize>,
    /// The most objects that it may put and delete in a day
    #[arg(long, value_name = "NUMBER")]
    daily_objects: Option<u64>,
}

/// End a token; what it has put stays
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Revoke {
    #[command(flatten)]
    at: At,
    /// The name, as token list shows it
    name: String,
}

/// Hide all that a token put since a time, so that nobody sees it; unhide takes it back
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Hide {
    #[command(flatten)]
    at: At,
    /// The name, as token list shows it
    name: String,
    /// Since then, as 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
}

/// Show again what was hidden of a token
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct Unhide {
    #[command(flatten)]
    at: At,
    /// The name, as token list shows it
    name: String,
}

/// Let a token send receipts of another client
///
/// The first receipt that a token sends binds it to the key of the client that signed it. After a
/// machine was set up anew it has another key, and its receipts are refused until this is done.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
struct ForgetClientKey {
    #[command(flatten)]
    at: At,
    /// The name, as token list shows it
    name: String,
}

const COLUMNS: [Column; 8] = [
    ("name", &["name"], Shown::AsItIs),
    ("right", &["right"], Shown::AsItIs),
    ("repository", &["repository", "prefix"], Shown::AsItIs),
    ("last used", &["used"], Shown::AsItIs),
    ("expires", &["expires"], Shown::AsItIs),
    ("objects/day", &["daily_objects"], Shown::AsItIs),
    ("size/day", &["daily_bytes"], Shown::Size),
    ("state", &["state"], Shown::AsItIs),
];

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        match self.command {
            Command::Create(args) => args.run(context),
            Command::List(List { at }) => at.list(
                context,
                "v1/tokens",
                "list its tokens",
                ("token", "tokens"),
                &COLUMNS,
            ),
            Command::Set(args) => args.run(context),
            Command::Revoke(Revoke { at, name }) => {
                let done = format!("{name} does not count any more");
                act(
                    context,
                    &at,
                    &name,
                    "revoke",
                    json!({}),
                    "end a token",
                    &done,
                )
            }
            Command::Hide(Hide { at, name, since }) => {
                let path = path(&name, "hide");
                let body = json!({ "since": since });
                let said = |answer: &Value| match hiding(answer) {
                    None => Err(format!(
                        "Nothing that {name} has put since {since} is there to be hidden, and it has \
                         no locks: nothing is hidden"
                    )),
                    Some((0, 0)) => Ok(format!(
                        "All that {name} put since {since} is hidden already"
                    )),
                    Some((objects, others)) => Ok(format!(
                        "{} that {name} put since {since} are hidden{}",
                        count(objects, "object", "objects"),
                        besides(others, OTHERS_OF_HIDE)
                    )),
                };
                at.act_and_say(context, &path, &body, "hide what a token put", said)
            }
            Command::Unhide(Unhide { at, name }) => {
                let path = path(&name, "unhide");
                let said = |answer: &Value| match hiding(answer) {
                    None => Err(format!("Nothing of {name} was hidden")),
                    Some((objects, others)) => Ok(format!(
                        "{} of {name} are shown again{}",
                        count(objects, "object", "objects"),
                        besides(others, OTHERS_OF_UNHIDE)
                    )),
                };
                let action = "show again what a token put";
                at.act_and_say(context, &path, &json!({}), action, said)
            }
            Command::ForgetClientKey(ForgetClientKey { at, name }) => {
                let done = format!("The next receipt that {name} sends binds it anew");
                let action = "forget the client of a token";
                act(
                    context,
                    &at,
                    &name,
                    "forget-client-key",
                    json!({}),
                    action,
                    &done,
                )
            }
        }
    }
}

impl Create {
    fn run(self, context: &Context) -> Result<Exit> {
        let right = self.right.to_possible_value();
        let body = json!({
            "repository": self.repository,
            "right": right.as_ref().map(|right| right.get_name()),
            "expires": self.expires.map(|period| period.to_string()),
            "daily_bytes": self.daily_size.map(ByteSize::bytes),
            "daily_objects": self.daily_objects,
        });
        let admin = self.at.admin(context)?;
        let answer = admin.post("v1/tokens", &without_nulls(body), "make a token")?;
        // The token alone, so that a script can take it.
        context
            .output
            .data(&format!("{}\n", field(&answer, &["token"])))?;
        context.output.say(&format!(
            "This is the only time that it is shown. Its name is {}",
            field(&answer, &["name"])
        ));
        context.output.object(&json!({
            "message_type": "summary",
            "name": answer.get("name"),
            "token": answer.get("token"),
        }))?;
        Ok(Exit::Done)
    }
}

impl Set {
    fn run(self, context: &Context) -> Result<Exit> {
        let body = without_nulls(json!({
            "daily_bytes": self.daily_size.map(ByteSize::bytes),
            "daily_objects": self.daily_objects,
        }));
        let name = &self.name;
        let action = "set what a token may do in a day";
        let said = |day: &Value| {
            Ok(format!(
                "A day of {name}: objects {}, size {}",
                spoken(day, &["daily_objects"], Shown::AsItIs),
                match day.get("daily_bytes").is_some_and(Value::is_u64) {
                    true => spoken(day, &["daily_bytes"], Shown::Size),
                    false => "unbounded".to_owned(),
                }
            ))
        };
        let path = path(name, "day");
        self.at.act_and_say(context, &path, &body, action, said)
    }
}

fn act(
    context: &Context,
    at: &At,
    name: &str,
    what: &str,
    body: Value,
    action: &str,
    done: &str,
) -> Result<Exit> {
    at.act(context, &path(name, what), &body, action, done)
}

/// What `hide` changes besides.
const OTHERS_OF_HIDE: &str = "locks were dropped, what others have put as well is theirs alone, what \
                              was deleted stays deleted, receipts take no place of older ones, an \
                              unhide was taken back";

/// What `unhide` changes besides.
const OTHERS_OF_UNHIDE: &str = "undelete brings back again what was deleted, receipts may take the \
                                place of older ones, a hide was taken back";

/// How many objects were hidden or shown again, and what else was changed; `None` where there was
/// nothing to act on. Older vaults tell the objects alone.
fn hiding(answer: &Value) -> Option<(u64, u64)> {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    let objects = number("objects").unwrap_or_default();
    let found = answer.get("found").and_then(Value::as_bool);
    let others = number("others").unwrap_or_default();
    found.unwrap_or(objects > 0).then_some((objects, others))
}

fn besides(others: u64, which: &str) -> String {
    match others {
        0 => String::new(),
        _ => format!("; {others} others were dealt with: {which}"),
    }
}

/// Where something is done with a token.
fn path(name: &str, what: &str) -> String {
    let name = percent_encoded(name);
    format!("v1/tokens/{name}/{what}")
}

/// A name as a part of a path.
pub(super) fn percent_encoded(name: &str) -> String {
    let mut url = url::Url::parse("http://h/").ok();
    if let Some(url) = &mut url
        && let Ok(mut segments) = url.path_segments_mut()
    {
        segments.clear().push(name);
    }
    let path = url.map(|url| url.path().trim_start_matches('/').to_owned());
    path.unwrap_or_default()
}

/// What was not given is not sent.
pub(super) fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_part_of_a_path() {
        assert_eq!(percent_encoded("3f1c2a9e"), "3f1c2a9e");
        assert_eq!(percent_encoded("a/../b?c#d"), "a%2F..%2Fb%3Fc%23d");
    }

    #[test]
    fn only_what_found_nothing_is_told_as_nothing() {
        let of = |objects: u64, others: u64, found: bool| {
            hiding(&json!({"objects": objects, "others": others, "found": found}))
        };
        assert_eq!(of(0, 16, true), Some((0, 16)));
        assert_eq!(of(0, 0, true), Some((0, 0)));
        assert_eq!(of(0, 0, false), None);
        // As older vaults answer.
        assert_eq!(hiding(&json!({"objects": 3})), Some((3, 0)));
        assert_eq!(hiding(&json!({"objects": 0})), None);
    }

    #[test]
    fn what_was_not_given_is_not_sent() {
        let body = without_nulls(json!({"a": null, "b": 1, "c": ""}));
        assert_eq!(body, json!({"b": 1, "c": ""}));
    }
}
