//! `strongroom blast-radius`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use strongroom_model::blast::{Outcome, svg};
use strongroom_model::scorecard::Standing;
use strongroom_model::{Blast, Name};

use crate::commands::status::{Judged, judge};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::{BAD, DOUBTFUL, GOOD, visible};
use crate::table::{Cell, Table};

/// Who destroys what: which credentials together kill which copies
///
/// For each set of domains, what is left where somebody holds all of them. Domains are compared by
/// what they are and not by their names: by places, by the credentials in use (by what tells them
/// apart, never by a secret), by the accounts of buckets and those in which vaults run
/// or keep their objects, and by hosts.
/// Those that are one count as one, and the reason is told. Where a bucket encrypts by a key of an
/// account (KMS), whoever rules that key destroys the copy.
///
/// "destroyed" is certain, "unproven" means that no drill within drill_every has shown otherwise,
/// and "survives" that the copy is out of their reach, or that one has: by the credentials of this
/// machine, and of no other one.
///
/// The exit status is 3 where one domain alone destroys every copy, or may: the plan is not met
/// then, whatever else holds.
///
/// Examples:
///   strongroom blast-radius
///   strongroom blast-radius --svg /srv/www/blast.svg
///   strongroom --json blast-radius | jq .may_destroy_all
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Write a picture of it to this file as well
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let Judged { status, .. } = judge(context)?;
        let output = &context.output;
        for problem in &status.problems {
            output.warn(&visible(problem), None);
        }
        let blast = &status.scorecard.blast;
        let (outcomes, is_all) = blast.outcomes();
        output.data(&render(blast, &outcomes, is_all))?;
        if let Some(path) = &self.svg {
            let written = write(path, &svg(blast));
            written.map_err(Error::local(format!("write {}", path.display())))?;
            output.say(&visible(&format!("The picture is in {}", path.display())));
        }
        let standing = blast.standing();
        output.object(&Summary {
            message_type: "summary",
            met: standing,
            blast,
            outcomes: &outcomes,
            all_sets: is_all,
            mend: blast.mend(),
        })?;
        Ok(Exit::of(standing == Standing::Met))
    }
}

/// A line for each set of domains, a column for each copy, and why domains count as one.
fn render(blast: &Blast, outcomes: &[Outcome], is_all: bool) -> String {
    let copies: Vec<&Name> = blast.copies.iter().map(|copy| &copy.copy).collect();
    let titles: Vec<&str> = ["who holds"]
        .into_iter()
        .chain(copies.iter().map(|copy| copy.as_str()))
        .collect();
    let mut table = Table::headed(&titles);
    for outcome in outcomes {
        let held: Vec<&str> = outcome.held.iter().map(Name::as_str).collect();
        let cells = copies.iter().map(|copy| {
            if outcome.destroyed.contains(*copy) {
                Cell::styled("destroyed", BAD)
            } else if outcome.doubtful.contains(*copy) {
                Cell::styled("unproven", DOUBTFUL)
            } else {
                Cell::styled("survives", GOOD)
            }
        });
        table.row([Cell::from(held.join(" + "))].into_iter().chain(cells));
    }
    let mut text = table.to_string();
    if !is_all {
        text.push_str("Larger sets of domains are left out.\n");
    }
    text.push('\n');
    for domain in &blast.domains {
        for alias in &domain.also {
            let (name, into, reason) = (&alias.name, &domain.name, visible(&alias.reason));
            text.push_str(&format!("{name} counts as {into}: {reason}\n"));
        }
    }
    for copy in &blast.copies {
        if let Some(key) = &copy.key {
            let held: Vec<&str> = key.held_by.iter().map(Name::as_str).collect();
            text.push_str(&format!(
                "{} is encrypted by {}, whose end is its own: whoever holds {}\n",
                copy.copy,
                visible(&key.name),
                held.join(" or "),
            ));
        }
    }
    text.push_str(&format!("{}\n", blast.spoken()));
    if let Some(proven_for) = blast.proven_for() {
        text.push_str(&format!("{proven_for}\n"));
    }
    if let Some(mend) = blast.mend() {
        text.push_str(&format!("To mend it: {mend}\n"));
    }
    if blast.standing() == Standing::Unproven {
        text.push_str("To find out: strongroom drill attack\n");
    }
    text
}

/// Writes a file so that whoever looks sees the old one or the new one, whole.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut passing = name.to_os_string();
    passing.push(format!(".{}.strongroom-new", std::process::id()));
    let passing = path.with_file_name(passing);
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o644);
    let mut file = options.open(&passing)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&passing, path));
    if written.is_err() {
        // We made it. That it may stay is told by the error of why.
        let _ = fs::remove_file(&passing);
    }
    written
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    /// Whether no single domain destroys every copy; `null` where one may.
    met: Standing,
    #[serde(flatten)]
    blast: &'a Blast,
    outcomes: &'a [Outcome],
    /// Whether these are all sets of domains there are.
    all_sets: bool,
    mend: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strongroom_model::blast::{Exposure, Production, Withstands};

    use super::*;

    /// What is told of one copy elsewhere.
    fn told(withstands: Withstands) -> String {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let production = Production {
            domain: name("production"),
            accounts: Vec::new(),
        };
        let exposure = Exposure {
            copy: name("there"),
            domain: name("storage-team"),
            is_here: false,
            one_place: BTreeSet::new(),
            credential: None,
            accounts: Vec::new(),
            vault_runs_in: None,
            objects_in: Vec::new(),
            objects_at: None,
            host: None,
            provider: None,
            key: None,
            key_domain: None,
            withstands,
        };
        let blast = Blast::of(&production, &[exposure]);
        let (outcomes, is_all) = blast.outcomes();
        render(&blast, &outcomes, is_all)
    }

    #[test]
    fn a_proof_is_said_to_be_one_by_the_credentials_of_this_machine() {
        for withstands in [Withstands::Production, Withstands::Everyone] {
            let told = told(withstands);
            assert!(
                told.contains("by the credentials of this machine"),
                "{told}"
            );
        }
        let told = told(Withstands::NotShown);
        assert!(!told.contains("of this machine"), "{told}");
    }

    #[test]
    fn a_picture_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blast.svg");
        write(&path, "<svg/>").unwrap();
        write(&path, "<svg></svg>").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "<svg></svg>");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("missing/blast.svg"), "").is_err());
        // What somebody else has under the name in passing is not ours to remove.
        let passing = format!("blast.svg.{}.strongroom-new", std::process::id());
        let foreign = folder.path().join(passing);
        fs::write(&foreign, "foreign").unwrap();
        assert!(write(&path, "<svg/>").is_err());
        assert_eq!(fs::read_to_string(&foreign).unwrap(), "foreign");
        assert!(write(Path::new("/"), "").is_err());
        assert!(write(folder.path(), "").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
