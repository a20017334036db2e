//! What people are told: the notices of acts that are the vault's own, and what operators do with
//! notices.

use strongroom_model::{FileName, RepositoryPath};

use crate::database::Transaction;
use crate::records::leaves::{self, Act, Moment};
use crate::records::notices::{self, Failing, Notice, NoticeRow, tell};
use crate::rules::clock::SECOND_MS;
use crate::rules::notices::{Kind, Level};
use crate::vault::Vault;
use crate::{Error, Result};

/// The most notices of one page.
const MOST_OF_PAGE: u64 = 100;

impl Vault {
    /// Some notices, the newest first: those before the number `before`, where it is given; 100 at
    /// most.
    ///
    /// # Errors
    /// Those of the database.
    pub fn notices(&self, before: Option<i64>) -> Result<Vec<NoticeRow>> {
        self.read(|transaction| notices::page(transaction, before, MOST_OF_PAGE))
    }

    /// Notes that an operator has seen a notice, which is then not sent again; `None` where it is done
    /// on the vault's own host. Tells whether nobody had said so before.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is no such notice; those of the database.
    pub fn acknowledge_notice(&self, id: i64, operator: Option<i64>) -> Result<bool> {
        let now = self.now();
        self.commit(move |transaction| {
            let is_news = acknowledge(transaction, now, id, operator)?;
            is_news.ok_or_else(|| Error::Unknown {
                what: "notice",
                name: id.to_string(),
            })
        })
    }

    /// The same for all critical notices that nobody has acknowledged; returns how many it was.
    ///
    /// # Errors
    /// Those of the database.
    pub fn acknowledge_all_notices(&self, operator: Option<i64>) -> Result<u64> {
        let now = self.now();
        self.commit(move |transaction| {
            let mut count = 0;
            for id in notices::unseen(transaction)? {
                acknowledge(transaction, now, id, operator)?;
                count += 1;
            }
            Ok(count)
        })
    }

    /// The channels to which sending fails.
    ///
    /// # Errors
    /// Those of the database.
    pub fn failing_channels(&self) -> Result<Vec<Failing>> {
        self.read(notices::failing)
    }
}

fn acknowledge(
    transaction: &mut dyn Transaction,
    now: Moment,
    id: i64,
    operator: Option<i64>,
) -> Result<Option<bool>> {
    let is_news = notices::acknowledge(transaction, id, now.vault_ms, operator)?;
    if is_news == Some(true) {
        let act = Act::NoticeAcknowledged {
            notice: id,
            operator,
        };
        leaves::append(transaction, now, &act)?;
    }
    Ok(is_news)
}

/// Tells that purging waits in a repository.
pub(super) fn purge_held(
    transaction: &mut dyn Transaction,
    moment: Moment,
    repository: &RepositoryPath,
    tombstones: u64,
) -> Result<()> {
    let notice = Notice {
        kind: Kind::PurgeHeld,
        level: Level::Critical,
        subject: format!("Very much was asked to be deleted in {repository}"),
        body: format!(
            "{tombstones} deletions were asked for within a day, or what nothing opens without was \
             deleted. Nothing is purged until somebody has looked: strongroom-vault doctor"
        ),
    };
    tell(transaction, moment, &notice)
}

/// Tells that the wall clock, or the time off, was not believed.
pub(super) fn clock_jump(
    transaction: &mut dyn Transaction,
    moment: Moment,
    by_ms: i64,
) -> Result<()> {
    let notice = Notice {
        kind: Kind::ClockJump,
        level: Level::Ordinary,
        subject: format!("The vault's clock has jumped by {} s", by_ms / SECOND_MS),
        body: "Nothing is purged until somebody has looked at it. Put the machine's clock right; \
               then: strongroom-vault clock confirm"
            .to_owned(),
    };
    tell(transaction, moment, &notice)
}

/// Tells that the log is not what was written, or that a witness says so.
///
/// # Errors
/// Those of the database.
pub(crate) fn log_wrong(
    transaction: &mut dyn Transaction,
    moment: Moment,
    what: &str,
) -> Result<()> {
    let notice = Notice {
        kind: Kind::LogWrong,
        level: Level::Critical,
        subject: "The log of the vault is not what was written".to_owned(),
        body: format!("{what}\n\nLook which file it is: strongroom-vault log verify"),
    };
    tell(transaction, moment, &notice)
}

/// Tells that a log that is cosigned here was rewritten.
pub(super) fn witness_alarm(
    transaction: &mut dyn Transaction,
    moment: Moment,
    log: &str,
    what: &str,
) -> Result<()> {
    let notice = Notice {
        kind: Kind::WitnessAlarm,
        level: Level::Critical,
        subject: format!("The log {log} was rewritten"),
        body: format!(
            "{log}, which this vault cosigns, is not what it was: {what}. Tell those who run it. \
             See: strongroom-vault witness show"
        ),
    };
    tell(transaction, moment, &notice)
}

/// Tells of the first rotten object of a repository.
pub(super) fn rotten(
    transaction: &mut dyn Transaction,
    moment: Moment,
    repository: &RepositoryPath,
    name: FileName,
) -> Result<()> {
    let notice = Notice {
        kind: Kind::Rotten,
        level: Level::Ordinary,
        subject: format!("A stored object of {repository} has rotted"),
        body: format!(
            "{name} is not what it was. Whoever has it puts it again, and it is healed: strongroom \
             sync. Further ones are named by: strongroom-vault doctor"
        ),
    };
    tell(transaction, moment, &notice)
}
