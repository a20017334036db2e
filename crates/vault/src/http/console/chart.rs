//! What came to a repository and was deleted from it, day by day, as a drawing and as a table.
//!
//! Drawn from the notes of each hour: what is live when a day begins, and what was asked to be deleted
//! in it. What came is what is live more than a day before, and what was deleted meanwhile; so what
//! was undeleted counts as come.

use maud::{Markup, html};

use crate::http::console::words;
use crate::records::hours::Hour;
use crate::records::tally::Tally;
use crate::rules::clock::DAY_MS;
use crate::vault::Shown;

/// How many days are drawn.
const DAYS: i64 = 30;

/// How many hours one has.
const HOURS: i64 = 24;

/// How wide a day is, in units of the drawing.
const WIDE: i64 = 20;

/// How high the half of a drawing is.
const HIGH: i64 = 60;

/// A day of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    /// Since 1970.
    day: i64,
    /// What was live when it began, as noted first in it.
    live: Option<Tally>,
    /// What came; none where that was not noted.
    came: Option<Tally>,
    /// What was asked to be deleted.
    deleted: Tally,
}

/// The days until now, the oldest first.
fn days(hours: &[Hour], now_hour: i64, live_now: Tally) -> Vec<Day> {
    let today = now_hour.div_euclid(HOURS);
    let of_day = |day: i64| {
        let all = hours.iter();
        all.filter(move |hour| hour.hour.div_euclid(HOURS) == day)
    };
    let begins = |day: i64| of_day(day).find_map(|hour| hour.live);
    let days = (today - DAYS + 1)..=today;
    days.map(|day| {
        let none = Tally::default();
        let deleted = of_day(day).fold(none, |all, hour| all.and(hour.deleted));
        let live = begins(day);
        let ends = match day == today {
            true => Some(live_now),
            false => begins(day + 1),
        };
        let came = live.zip(ends).map(|(live, ends)| {
            let gone_too = ends.and(deleted);
            Tally {
                objects: gone_too.objects.saturating_sub(live.objects),
                bytes: gone_too.bytes.saturating_sub(live.bytes),
            }
        });
        Day {
            day,
            live,
            came,
            deleted,
        }
    })
    .collect()
}

/// The card with drawings and table.
pub(super) fn draw(shown: &Shown) -> Markup {
    let (hours, now) = &shown.hours;
    let days = days(hours, *now, shown.live);
    let bytes = |tally: Tally| tally.bytes;
    let objects = |tally: Tally| tally.objects;
    html! {
        div.card {
            h2 { "Thirty days" }
            div.charts {
                (figure("What is live", &growth(&days)))
                (figure(
                    "Bytes that came (above the line) and were deleted (below)",
                    &change(&days, bytes),
                ))
                (figure(
                    "Objects that came (above the line) and were deleted (below)",
                    &change(&days, objects),
                ))
            }
            details {
                summary { "The same as a table" }
                (table(&days))
            }
        }
    }
}

fn figure(title: &str, drawing: &Markup) -> Markup {
    html! { figure { figcaption { (title) } (drawing) } }
}

/// What was live when each day began, and what is now.
fn growth(days: &[Day]) -> Markup {
    let live = |day: &Day| day.live.map_or(0, |tally| tally.bytes);
    let most = days.iter().map(live).max().unwrap_or_default();
    let told = format!(
        "Bytes live at the beginning of each day: {} at most",
        words::bytes(most)
    );
    html! {
        svg.chart viewBox={ "0 0 " (DAYS * WIDE) " " (HIGH * 2 + 2) } role="img" aria-label=(told) {
            @for (n, day) in (0..).zip(days) {
                @let high = share(live(day), most, HIGH * 2);
                rect.live x=(n * WIDE + 2) y=(HIGH * 2 - high) width=(WIDE - 4) height=(high) {}
            }
            line.base x1="0" x2=(DAYS * WIDE) y1=(HIGH * 2 + 1) y2=(HIGH * 2 + 1) {}
        }
    }
}

/// What came each day above a line, and what was deleted below it.
fn change(days: &[Day], of: impl Fn(Tally) -> u64) -> Markup {
    let came = |day: &Day| day.came.map_or(0, &of);
    let (most, least) = (
        days.iter().map(came).max().unwrap_or_default(),
        days.iter()
            .map(|day| of(day.deleted))
            .max()
            .unwrap_or_default(),
    );
    let top = most.max(least);
    let told = format!("At most {most} came in a day, and at most {least} were deleted");
    html! {
        svg.chart viewBox={ "0 0 " (DAYS * WIDE) " " (HIGH * 2) } role="img" aria-label=(told) {
            @for (n, day) in (0..).zip(days) {
                @let up = share(came(day), top, HIGH - 1);
                @let down = share(of(day.deleted), top, HIGH - 1);
                rect.came x=(n * WIDE + 2) y=(HIGH - up) width=(WIDE - 4) height=(up) {}
                rect.gone x=(n * WIDE + 2) y=(HIGH) width=(WIDE - 4) height=(down) {}
            }
            line.base x1="0" x2=(DAYS * WIDE) y1=(HIGH) y2=(HIGH) {}
        }
    }
}

/// How high something is drawn: whatever there is can be seen.
fn share(value: u64, most: u64, high: i64) -> i64 {
    if value == 0 || most == 0 {
        return 0;
    }
    let high = u128::from(high.unsigned_abs());
    let drawn = u128::from(value) * high / u128::from(most);
    i64::try_from(drawn.clamp(1, high)).unwrap_or_default()
}

fn table(days: &[Day]) -> Markup {
    let told = |tally: Option<Tally>| match tally {
        Some(tally) => format!("{}, {}", tally.objects, words::bytes(tally.bytes)),
        None => "not noted".to_owned(),
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Thirty days" {
            table {
                thead { tr { th { "Day" } th { "Live at its beginning" } th { "Came" } th { "Deleted" } } }
                tbody {
                    @for day in days.iter().rev() {
                        tr {
                            td { (date(day.day)) }
                            td { (told(day.live)) }
                            td { (told(day.came)) }
                            td { (told(Some(day.deleted))) }
                        }
                    }
                }
            }
        }
    }
}

fn date(day: i64) -> String {
    let time = words::time(day.saturating_mul(DAY_MS));
    time.get(..10).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tally(objects: u64) -> Tally {
        Tally {
            objects,
            bytes: objects * 10,
        }
    }

    fn hour(hour: i64, live: Option<u64>, deleted: u64) -> Hour {
        Hour {
            hour,
            live: live.map(tally),
            deleted: tally(deleted),
        }
    }

    #[test]
    fn what_came_is_told_from_what_is_live_and_what_was_deleted() {
        let now = 100 * HOURS + 5;
        let hours = [
            hour(98 * HOURS, Some(10), 0),
            hour(98 * HOURS + 3, Some(12), 2),
            hour(99 * HOURS + 1, Some(15), 0),
            hour(99 * HOURS + 9, None, 4),
            hour(100 * HOURS, Some(11), 1),
        ];
        let days = days(&hours, now, tally(20));
        assert_eq!(days.len(), 30);
        let told: Vec<_> = days[27..]
            .iter()
            .map(|day| (day.day, day.came.unwrap().objects, day.deleted.objects))
            .collect();
        assert_eq!(told, [(98, 7, 2), (99, 0, 4), (100, 10, 1)]);
        assert_eq!((days[26].came, days[26].live), (None, None));
        assert_eq!(date(0), "1970-01-01");
    }

    #[test]
    fn whatever_there_is_can_be_seen() {
        assert_eq!(share(0, 100, 60), 0);
        assert_eq!(share(1, u64::MAX, 60), 1);
        assert_eq!(share(u64::MAX, u64::MAX, 60), 60);
        assert_eq!(share(0, 0, 60), 0);
    }
}
