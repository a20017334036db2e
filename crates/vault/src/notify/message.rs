//! What is sent: a notice, or several of them in one.

use crate::records::leaves::timestamp;
use crate::records::notices::NoticeRow;
use crate::rules::notices::{Kind, Level};

/// How many notices a message of several names.
const NAMED: usize = 50;

/// What is sent over a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The number of the notice; of several, the highest. 0 of a test.
    pub id: i64,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub level: Level,
    /// On one line.
    pub subject: String,
    /// In a few lines.
    pub body: String,
    /// When it was told, in RFC 3339.
    pub at: String,
    /// Which vault tells it, by its host.
    pub vault: String,
}

impl Message {
    /// The message of one notice.
    pub fn of(row: &NoticeRow, vault: &str) -> Self {
        let mut body = row.notice.body.clone();
        if row.repeated > 0 {
            let more = format!("\n\nThe same was told {} more times.", row.repeated);
            body.push_str(&more);
        }
        if row.notice.level == Level::Critical {
            let found = row.id;
            let next = format!(
                "\n\nThis is sent again until somebody has seen it: strongroom-vault notify \
                 acknowledge {found}"
            );
            body.push_str(&next);
        }
        Self {
            id: row.id,
            kind: row.notice.kind,
            level: row.notice.level,
            subject: row.notice.subject.clone(),
            body,
            at: at(row.made_at_ms),
            vault: vault.to_owned(),
        }
    }

    /// One message of several notices, which are named in their order.
    pub fn of_several(rows: &[&NoticeRow], vault: &str) -> Self {
        let is_critical = |row: &&&NoticeRow| row.notice.level == Level::Critical;
        let critical = rows.iter().filter(is_critical).count();
        let subject = match critical {
            0 => format!("{} notices", rows.len()),
            critical => format!("{} notices, of which {critical} critical", rows.len()),
        };
        let mut body = String::new();
        for row in rows.iter().take(NAMED) {
            let (level, subject) = (row.notice.level.word(), &row.notice.subject);
            let line = format!("{} {} {level}: {subject}\n", row.id, at(row.made_at_ms));
            body.push_str(&line);
        }
        let more = rows.len().saturating_sub(NAMED);
        if more > 0 {
            body.push_str(&format!("and {more} more\n"));
        }
        body.push_str("\nAll of them: strongroom-vault notify list");
        if critical > 0 {
            body.push_str("\nThose that are critical: strongroom-vault notify acknowledge --all");
        }
        let newest = rows.iter().map(|row| (row.id, row.made_at_ms)).max();
        let (id, made_at_ms) = newest.unwrap_or_default();
        Self {
            id,
            kind: Kind::Several,
            level: match critical {
                0 => Level::Ordinary,
                _ => Level::Critical,
            },
            subject,
            body,
            at: at(made_at_ms),
            vault: vault.to_owned(),
        }
    }

    /// A test of a channel.
    pub fn test(channel: &str, vault: &str, now_s: i64) -> Self {
        Self {
            id: 0,
            kind: Kind::Test,
            level: Level::Ordinary,
            subject: "A test of this channel".to_owned(),
            body: format!("The channel {channel} works: nothing has to be done."),
            at: at(now_s.saturating_mul(1_000)),
            vault: vault.to_owned(),
        }
    }

    /// Its first line, with whose it is.
    pub(super) fn title(&self) -> String {
        let (vault, subject) = (&self.vault, &self.subject);
        match self.level {
            Level::Ordinary => format!("[{vault}] {subject}"),
            Level::Critical => format!("[{vault}] CRITICAL: {subject}"),
        }
    }
}

fn at(ms: i64) -> String {
    timestamp(ms).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::records::notices::Notice;

    pub(in crate::notify) fn message() -> Message {
        Message {
            id: 7,
            kind: Kind::PurgeHeld,
            level: Level::Critical,
            subject: "Purging waits <b> & \"so\"".to_owned(),
            body: "first line\n.\nthird — line".to_owned(),
            at: "2026-11-30T10:00:00Z".to_owned(),
            vault: "vault.example.net".to_owned(),
        }
    }

    fn row(id: i64, level: Level) -> NoticeRow {
        NoticeRow {
            id,
            notice: Notice {
                kind: Kind::Rotten,
                level,
                subject: format!("subject {id}"),
                body: "body".to_owned(),
            },
            made_ms: 0,
            made_at_ms: 1_800_000_000_000 + id,
            repeated: 0,
            acknowledged_ms: None,
            acknowledged_by: None,
        }
    }

    #[test]
    fn a_critical_one_says_how_it_is_acknowledged_and_how_often_it_was_told() {
        let ordinary = Message::of(&row(3, Level::Ordinary), "v");
        assert_eq!(ordinary.body, "body");
        assert_eq!(ordinary.title(), "[v] subject 3");
        let repeated = NoticeRow {
            repeated: 4,
            ..row(3, Level::Critical)
        };
        let critical = Message::of(&repeated, "v");
        assert!(critical.body.contains("notify acknowledge 3"));
        assert!(critical.body.contains("4 more times"));
        assert_eq!(critical.title(), "[v] CRITICAL: subject 3");
    }

    #[test]
    fn very_many_are_one_message_that_is_critical_where_one_is() {
        let mut rows: Vec<_> = (1..=1_000).map(|id| row(id, Level::Ordinary)).collect();
        let several = |rows: &[NoticeRow]| {
            let rows: Vec<_> = rows.iter().collect();
            Message::of_several(&rows, "v")
        };
        let told = several(&rows);
        assert_eq!((told.id, told.level), (1_000, Level::Ordinary));
        assert_eq!(told.subject, "1000 notices");
        assert!(
            told.body.contains("subject 50\nand 950 more"),
            "{}",
            told.body
        );
        assert!(!told.body.contains("acknowledge"));
        rows.insert(0, row(2_000, Level::Critical));
        let told = several(&rows);
        assert_eq!(told.level, Level::Critical);
        assert_eq!(told.subject, "1001 notices, of which 1 critical");
        assert!(told.body.contains("acknowledge --all"));
    }
}
