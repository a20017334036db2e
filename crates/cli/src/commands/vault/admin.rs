//! The administration of a vault: who asks, and how lists and yeses are shown.
//!
//! The token comes from a file, never from an argument, which every process of the machine could
//! read. What the vault answers is shown as it is, field by field, so that a newer vault's answers
//! are shown too; `--json` passes its objects on.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use strongroom_model::Fingerprint;
use strongroom_store::{RestOptions, VaultAdmin};
use url::Url;

use crate::context::Context;
use crate::error::Result;
use crate::exit::{Exit, MANUAL};
use crate::password;
use crate::table::{Cell, Table};
use crate::words::{count, period, size};

/// Which vault is administered, and by what right.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The vault, as https://127.0.0.1:8000: it is administered from its own machine
    #[arg(long, value_name = "URL")]
    at: Url,
    /// The file with the token of its administration: keys/admin.token in the vault's folder
    #[arg(long, value_name = "PATH")]
    admin_token_file: PathBuf,
    /// The one certificate that it may show, as `strongroom-vault serve` prints it
    #[arg(long, value_name = "SHA256", value_parser = parse_fingerprint)]
    fingerprint: Option<Fingerprint>,
    /// The authority of its certificate, in PEM: keys/tls.crt in the vault's folder is its own
    #[arg(long, value_name = "PATH", conflicts_with = "fingerprint")]
    ca_file: Option<PathBuf>,
}

/// Tell what somebody should look at, as the vault sees itself
///
/// The exit status is 1 where there is anything.
///
/// Examples:
///   strongroom vault doctor --at https://127.0.0.1:8000 --fingerprint 5A:0C:… \
///       --admin-token-file /var/lib/strongroom-vault/keys/admin.token
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(super) struct Doctor {
    #[command(flatten)]
    at: At,
}

/// A column of a list: its title, the fields that may hold it, and how it is shown.
pub(super) type Column = (&'static str, &'static [&'static str], Shown);

/// How a field is shown to people; `--json` passes it on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// As it is.
    AsItIs,
    /// Bytes, in the unit that people use.
    Size,
    /// Seconds, in the unit that people use.
    Period,
}

impl At {
    /// Prepares to ask; nothing is sent yet.
    pub(super) fn admin(&self, context: &Context) -> Result<VaultAdmin> {
        let file = &self.admin_token_file;
        let token = password::secret_from_file(file, "the token", &context.output)?;
        let options = RestOptions {
            ca_file: self.ca_file.clone(),
            fingerprint: self.fingerprint,
            cancelled: context.cancel.flag(),
            ..RestOptions::new(self.at.clone())
        };
        Ok(VaultAdmin::new(&options, &token)?)
    }

    /// Lists something: a line for each, and with `--json` the vault's own objects.
    pub(super) fn list(
        &self,
        context: &Context,
        path: &str,
        action: &str,
        name: (&'static str, &'static str),
        columns: &[Column],
    ) -> Result<Exit> {
        let (one, several) = name;
        let answer = self.admin(context)?.get(path, action)?;
        let items = items(&answer, several);
        let titles: Vec<&str> = columns.iter().map(|(title, _, _)| *title).collect();
        let mut table = Table::headed(&titles);
        for item in &items {
            context.output.object(&message(one, item))?;
            let cell = |(_, fields, shown): &Column| Cell::from(spoken(item, fields, *shown));
            table.row(columns.iter().map(cell));
        }
        context.output.data(&table.to_string())?;
        context.output.object(&json!({
            "message_type": "summary", several: items.len(),
        }))?;
        Ok(Exit::Done)
    }

    /// Has something done, and says so in our own words.
    pub(super) fn act(
        &self,
        context: &Context,
        path: &str,
        body: &Value,
        action: &str,
        done: &str,
    ) -> Result<Exit> {
        let said = |_: &Value| Ok(done.to_owned());
        self.act_and_say(context, path, body, action, said)
    }

    /// Has something done, and says what came of it: `said` reads the answer, and has an error
    /// where nothing was done, which nobody may take for the deed.
    pub(super) fn act_and_say(
        &self,
        context: &Context,
        path: &str,
        body: &Value,
        action: &str,
        said: impl FnOnce(&Value) -> std::result::Result<String, String>,
    ) -> Result<Exit> {
        let answer = self.admin(context)?.post(path, body, action)?;
        let exit = match said(&answer) {
            Ok(done) => {
                context.output.result(&format!("{done}\n"))?;
                Exit::Done
            }
            Err(nothing) => {
                context.output.warn(&nothing, None);
                Exit::Failed
            }
        };
        context.output.object(&message("summary", &answer))?;
        Ok(exit)
    }
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let action = "say what is wrong with it";
        let answer = self.at.admin(context)?.get("v1/doctor", action)?;
        let findings = items(&answer, "findings");
        let mut table = Table::new();
        for finding in &findings {
            context.output.object(&message("finding", finding))?;
            let cell = |name: &'static str| Cell::from(field(finding, &[name]));
            table.row([cell("about"), cell("problem"), cell("hint")]);
        }
        context.output.data(&table.to_string())?;
        if findings.is_empty() {
            context.output.say("There is nothing to look at");
        }
        context.output.object(&json!({
            "message_type": "summary", "findings": findings.len(),
        }))?;
        Ok(match findings.is_empty() {
            true => Exit::Done,
            false => Exit::Failed,
        })
    }
}

/// The items of a list, which stands alone or under its name.
pub(super) fn items(answer: &Value, name: &str) -> Vec<Value> {
    let list = match answer {
        Value::Array(list) => Some(list),
        other => other.get(name).and_then(Value::as_array),
    };
    list.cloned().unwrap_or_default()
}

/// The one of several whose field is this; nothing where it is not there.
pub(super) fn one_of(answer: &Value, several: &str, (field, is): (&str, &str)) -> Value {
    let mut items = items(answer, several).into_iter();
    let found = items.find(|item| item.get(field).and_then(Value::as_str) == Some(is));
    found.unwrap_or_default()
}

/// How many objects an act was about, as the vault answers; `None` where it does not say, or none.
pub(super) fn objects(answer: &Value) -> Option<String> {
    let objects = answer.get("objects").and_then(Value::as_u64);
    let objects = objects.filter(|objects| *objects > 0)?;
    Some(count(objects, "object", "objects"))
}

/// A field as people read it.
pub(super) fn spoken(item: &Value, names: &[&str], shown: Shown) -> String {
    let number = names.iter().find_map(|name| item.get(name)?.as_u64());
    match (shown, number) {
        (Shown::Size, Some(bytes)) => size(bytes),
        (Shown::Period, Some(seconds)) => period(seconds),
        _ => field(item, names),
    }
}

/// The first of these fields that is there, as text.
pub(super) fn field(item: &Value, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| item.get(name));
    found.map_or_else(|| "-".to_owned(), text)
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name} {}", text(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
    }
}

/// An object of the vault's, as one of ours.
pub(super) fn message(kind: &str, item: &Value) -> Value {
    let mut fields = Map::new();
    fields.insert("message_type".to_owned(), kind.into());
    if let Value::Object(item) = item {
        fields.extend(item.clone());
    }
    Value::Object(fields)
}

fn parse_fingerprint(text: &str) -> std::result::Result<Fingerprint, String> {
    text.parse()
        .map_err(|error: strongroom_model::Error| error.hint().unwrap_or_else(|| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_alone_and_under_their_name() {
        let (one, other) = (json!({"name": "a"}), json!({"name": "b"}));
        let both = vec![one.clone(), other.clone()];
        assert_eq!(items(&json!([one, other]), "tokens"), both);
        assert_eq!(items(&json!({"tokens": both}), "tokens"), both);
        assert!(items(&json!({"other": []}), "tokens").is_empty());
        assert!(items(&Value::Null, "tokens").is_empty());
    }

    #[test]
    fn values_of_every_kind_are_readable() {
        let item = json!({
            "name": "a", "used": null, "bytes": 7, "held": true, "keys": ["x", "y"],
            "by": {"who": "z"},
        });
        for (names, expected) in [
            (&["name"][..], "a"),
            (&["used"], "-"),
            (&["missing"], "-"),
            (&["missing", "bytes"], "7"),
            (&["held"], "yes"),
            (&["keys"], "x, y"),
            (&["by"], "who z"),
        ] {
            assert_eq!(field(&item, names), expected, "{names:?}");
        }
    }

    #[test]
    fn sizes_and_periods_are_shown_in_units() {
        let item = json!({"bytes": 41_000_000_000_u64, "kept": 2_592_000, "quota": null});
        assert_eq!(spoken(&item, &["bytes"], Shown::Size), "41 GB");
        assert_eq!(spoken(&item, &["kept"], Shown::Period), "30 d");
        assert_eq!(spoken(&item, &["quota"], Shown::Size), "-");
        assert_eq!(spoken(&item, &["bytes"], Shown::AsItIs), "41000000000");
    }

    #[test]
    fn nothing_is_never_told_as_something() {
        assert_eq!(
            objects(&json!({"objects": 2})).as_deref(),
            Some("2 objects")
        );
        for nothing in [json!({"objects": 0}), json!({}), Value::Null] {
            assert_eq!(objects(&nothing), None);
        }
    }

    #[test]
    fn an_object_of_the_vault_keeps_its_fields_and_gets_a_type() {
        let told = message("token", &json!({"name": "a"}));
        assert_eq!(told, json!({"message_type": "token", "name": "a"}));
        assert_eq!(
            message("summary", &Value::Null),
            json!({"message_type": "summary"})
        );
    }
}
