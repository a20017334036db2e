//! What drills have left behind, as the footer of a table tells it.

use jiff::Timestamp;
use strongroom_model::attack::{NotedRemnant, RemnantKind};

use crate::output::visible;
use crate::words::count;

/// The most things of a kind that are named one by one.
const MOST_NAMED: usize = 8;

/// One line for each thing, with its name and since when, and what becomes of it; canaries together.
pub(super) fn told(copy: &str, remnants: &[NotedRemnant]) -> String {
    let of = |kind: RemnantKind| remnants.iter().filter(move |one| one.remnant.kind == kind);
    let mut lines = Vec::new();
    for (kind, what, next) in [
        (
            RemnantKind::ProbeBucket,
            "the probe bucket",
            "the next drill tries again to remove it",
        ),
        (
            RemnantKind::ProbeRepository,
            "the probe repository",
            "the next drill uses it again; whoever rules the vault can remove it",
        ),
        (
            RemnantKind::Token,
            "the token",
            "the next drill tries again to end it; whoever rules the vault should, at once: \
             strongroom-vault token revoke",
        ),
    ] {
        for one in of(kind).take(MOST_NAMED) {
            let (name, since) = (&one.remnant.name, day(one.since));
            lines.push(format!("{what} {name}, since {since}; {next}"));
        }
        let more = of(kind).count().saturating_sub(MOST_NAMED);
        if more > 0 {
            lines.push(format!("{what}, and {more} more of them"));
        }
    }
    let canaries: Vec<&NotedRemnant> = of(RemnantKind::Canary).collect();
    if let Some(first) = canaries.first() {
        let since = canaries.iter().map(|one| one.since).min();
        let since = day(since.unwrap_or(first.since));
        let files = count(canaries.len() as u64, "canary", "canaries");
        let name = &first.remnant.name;
        let named = match canaries.len() {
            1 => name.clone(),
            _ => format!("{name} and others"),
        };
        lines.push(format!(
            "{files}, since {since}: {named}; the next drill tries again to remove what no lock \
             holds any more"
        ));
    }
    let told = lines.iter();
    told.map(|line| visible(&format!("Remnants on {copy}: {line}")) + "\n")
        .collect()
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use strongroom_model::attack::Remnant;

    use super::*;

    fn left(kind: RemnantKind, name: &str) -> NotedRemnant {
        NotedRemnant {
            remnant: Remnant::new(kind, name),
            since: "2026-11-23T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn each_thing_is_named_with_its_day_and_canaries_together() {
        assert_eq!(told("offsite", &[]), "");
        let all = [
            left(RemnantKind::ProbeBucket, "acme-probe-0123456789abcdef"),
            left(RemnantKind::Token, "b3ae661f7984"),
            left(RemnantKind::Canary, "acme/strongroom/drill/1"),
            left(RemnantKind::Canary, "acme/strongroom/drill/2\u{1b}[2J"),
        ];
        let told = told("offsite", &all);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        let begins = "Remnants on offsite: the probe bucket acme-probe-0123456789abcdef, since \
                      2026-11-23; ";
        assert!(lines[0].starts_with(begins), "{told}");
        assert!(lines[1].contains("token b3ae661f7984, since"), "{told}");
        let canaries = "Remnants on offsite: 2 canaries, since 2026-11-23: \
                        acme/strongroom/drill/1 and others; ";
        assert!(lines[2].starts_with(canaries), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }

    #[test]
    fn of_very_many_a_few_are_named() {
        let all: Vec<NotedRemnant> = (0..20)
            .map(|number| left(RemnantKind::ProbeBucket, &format!("acme-probe-{number}")))
            .collect();
        let told = told("offsite", &all);
        assert_eq!(told.lines().count(), MOST_NAMED + 1, "{told}");
        assert!(told.contains("and 12 more of them"), "{told}");
    }
}
