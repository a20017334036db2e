//! What people read: times, periods, acts.

use strongroom_access::operation::{End, State};
use strongroom_access::{Act, Keeping, Roles};

use crate::http::console::look::Scene;

/// A time, to the second.
pub(super) fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms - ms.rem_euclid(1000));
    time.map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

/// A period in its largest unit, and the one below where something is left.
pub(super) fn period(ms: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = ms.max(0) / 1000;
    let mut parts = Vec::new();
    for (size, word) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
        // What is left below the unit next to the largest is not told.
        if parts.len() == 2 || (count == 0 && parts.len() == 1) {
            break;
        }
    }
    match parts.is_empty() {
        true => "now".to_owned(),
        false => parts.join(" "),
    }
}

/// How long ago something was.
pub(super) fn ago(ms: i64) -> String {
    match ms < 1000 {
        true => "just now".to_owned(),
        false => format!("{} ago", period(ms)),
    }
}

/// So many of something.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let word = UNITS.get(unit).copied().unwrap_or("B");
    match unit {
        0 => format!("{bytes} {word}"),
        _ => format!("{size:.1} {word}"),
    }
}

/// What an act is, in a line.
pub(super) fn act(scene: &Scene<'_>, act: &Act) -> String {
    let who = |id: &strongroom_access::OperatorId| scene.name(*id);
    match act {
        Act::Unseal { .. } => "Open the seal".to_owned(),
        Act::Keep {
            repository,
            from,
            to,
            ..
        } => format!(
            "{} {repository}: {} instead of {}",
            match to.retention_ms < from.retention_ms || to.grace_ms < from.grace_ms {
                true => "Lower what is kept in",
                false => "Keep longer in",
            },
            keeping(*to),
            keeping(*from)
        ),
        Act::Comply { repository } => format!("Never lower what {repository} keeps"),
        Act::AgreeToPurge {
            repository,
            tombstones,
            ..
        } => format!("Release the hold of {repository}: {tombstones} deletions"),
        Act::ConfirmClock { .. } => "Believe the clock again".to_owned(),
        Act::CatchUp { by_ms } => format!("Have vault time catch up {}", period(*by_ms)),
        Act::PurgeEarly { token, .. } => format!("Purge early what the token {token} has put"),
        Act::RemoveRepository { repository } => format!("Remove the repository {repository}"),
        Act::MakeToken {
            right,
            prefix,
            expires_in_ms,
            ..
        } => format!(
            "Make a token: {right} in {prefix}, {}",
            expires_in_ms.map_or_else(
                || "without end".to_owned(),
                |ms| format!("for {}", period(ms))
            )
        ),
        Act::AddOperator { name, roles } => format!("Add {} as {}", name.as_str(), spoken(*roles)),
        Act::SetRoles { operator, roles } => {
            format!("{} shall be {}", who(operator), spoken(*roles))
        }
        Act::RecoverOperator { operator } => format!("Let {} enrol anew", who(operator)),
        Act::RemoveFactor { operator, factor } => {
            format!("Remove factor {factor} of {}", who(operator))
        }
        Act::Suspend { operator } => format!("Suspend {}", who(operator)),
        Act::Reinstate { operator } => format!("Reinstate {}", who(operator)),
        Act::RemoveOperator { operator } => format!("Remove {}", who(operator)),
        Act::SetRule { rule } => format!("{} others have to agree", rule.yeses()),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// For how long things are kept.
pub(super) fn keeping(keeping: Keeping) -> String {
    format!(
        "{} after arrival, {} after deletion",
        period(keeping.retention_ms),
        period(keeping.grace_ms)
    )
}

/// Roles in words.
pub(super) fn spoken(roles: Roles) -> String {
    let text = roles.to_string();
    match text.is_empty() {
        true => "nothing".to_owned(),
        false => text,
    }
}

/// Where an operation stands: a word, and how it looks.
pub(super) const fn state(state: State) -> (&'static str, &'static str) {
    match state {
        State::Asked => ("needs approval", "is-warn"),
        State::Waiting { .. } => ("approved, waits", "is-warn"),
        State::Done => ("done", "is-good"),
        State::Ended(End::Lapsed) => ("lapsed", ""),
        State::Ended(End::Withdrawn) => ("withdrawn", ""),
        State::Ended(End::Stopped(_)) => ("stopped", "is-bad"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_and_sizes_are_told_as_people_say_them() {
        for (ms, text) in [
            (0, "now"),
            (-5, "now"),
            (59_000, "59 s"),
            (3_600_000, "1 h"),
            (3_661_000, "1 h 1 min"),
            (3_605_000, "1 h"),
            (72 * 3_600_000, "3 d"),
            (90_061_000, "1 d 1 h"),
        ] {
            assert_eq!(period(ms), text, "{ms}");
        }
        assert_eq!(
            (ago(999), ago(59_000)),
            ("just now".to_owned(), "59 s ago".to_owned())
        );
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_610_612_736, "1.5 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
