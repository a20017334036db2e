//! Looking a vault over: is everything as it should be, and what is the next step where it is not?
//!
//! Nothing is changed, and the vault may be served meanwhile. What takes long is done for a sample,
//! unless all is asked for.

mod bodies;
mod certificate;
mod files;
mod log;
mod state;

pub use certificate::own_certificate;

use serde::Serialize;
use strongroom_model::Id;

use crate::config::{DatabaseConfig, VaultConfig};
use crate::database::{Database, Sqlite};
use crate::{Error, Result, chain, opening};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// It works, and should not stay so.
    Warn,
    /// Something is broken, or about to be.
    Fail,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do next, where anything is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What is looked over, and how closely.
#[derive(Clone, Copy, Debug)]
pub struct Examination<'e> {
    /// The vault.
    pub config: &'e VaultConfig,
    /// The wall clock, in seconds since 1970.
    pub now_s: i64,
    /// Where a sample begins, chosen at random.
    pub start: Id,
    /// Whether everything is looked at: every body, every count, every entry of the log.
    pub is_thorough: bool,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Line {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            found: found.into(),
            next: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warn,
            found: found.into(),
            next: Some(next.into()),
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(check, found, next)
        }
    }

    /// An error that ended a check.
    fn broken(check: &'static str, error: &Error) -> Self {
        let next = error.hint();
        let next = next.unwrap_or_else(|| "mend it, and look again".to_owned());
        Self::fail(check, chain(error), next)
    }
}

impl Examination<'_> {
    /// Does all checks; what stands behind a broken one is not looked at.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.files();
        lines.extend(self.serving());
        let is_sound = match self.database(&mut lines) {
            Ok(is_sound) => is_sound,
            Err(error) => {
                lines.push(Line::broken("database", &error));
                false
            }
        };
        if !is_sound {
            return lines;
        }
        let (vault, storage) = match opening::open_as_it_is(self.config) {
            Ok(opened) => opened,
            Err(error) => {
                lines.push(Line::broken("vault", &error));
                return lines;
            }
        };
        for (check, found) in [
            ("state", self.state(&vault)),
            ("log", self.log(&vault, &*storage.log)),
            ("bodies", self.bodies(&vault)),
        ] {
            match found {
                Ok(found) => lines.extend(found),
                Err(error) => lines.push(Line::broken(check, &error)),
            }
        }
        lines
    }

    fn serving(&self) -> Option<Line> {
        match opening::lock(self.config) {
            Ok(Some(_)) => Some(Line::ok("serving", "nobody serves this vault just now")),
            Ok(None) => Some(Line::ok(
                "serving",
                "several processes may serve this vault",
            )),
            Err(Error::Refused { .. }) => Some(Line::ok("serving", "the vault is being served")),
            Err(error) => Some(Line::broken("serving", &error)),
        }
    }

    /// Whether the database can be opened and worked with.
    fn database(&self, lines: &mut Vec<Line>) -> Result<bool> {
        let next = "a new vault gets it when it is served for the first time; an old one needs it \
                    back from its backup";
        if let DatabaseConfig::File(path) = &self.config.database {
            if !path.exists() {
                let found = format!("{} is not there", path.display());
                lines.push(Line::fail("database", found, next));
                return Ok(false);
            }
            let found = text(&Sqlite::open(path)?, "PRAGMA quick_check(1)")?;
            if found != "ok" {
                lines.push(Line::fail(
                    "database",
                    format!("{} is damaged: {found}", path.display()),
                    "stop the vault, and put the database back from its backup",
                ));
                return Ok(false);
            }
        }
        let database = opening::connect(self.config)?;
        let version = opening::schema_version(self.config, &*database)?;
        if version == 0 {
            lines.push(Line::fail("database", "it is empty", next));
            return Ok(false);
        }
        let known = opening::known_schema();
        lines.push(match version.cmp(&known) {
            std::cmp::Ordering::Equal => Line::ok("database", "sound, and its schema is current"),
            std::cmp::Ordering::Less => Line::fail(
                "database",
                format!("sound, with schema {version}; this program has {known}"),
                "restart the vault, which brings it up to date: systemctl restart strongroom-vault",
            ),
            std::cmp::Ordering::Greater => Line::fail(
                "database",
                format!("its schema {version} is newer than this program, which has {known}"),
                "install the newest strongroom-vault",
            ),
        });
        Ok(version == known)
    }
}

/// The first column of the first row.
fn text(database: &dyn Database, statement: &str) -> Result<String> {
    let found = database.look(|transaction| transaction.first(statement, &[], |row| row.text(0)));
    found.map(Option::unwrap_or_default)
}
