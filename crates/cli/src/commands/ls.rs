//! `strongroom ls`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_engine::read_set::ReadSet;
use strongroom_engine::snapshots::{Walk, walk};
use strongroom_model::Id;
use strongroom_repo::Node;
use strongroom_repo::node::NodeKind;

use crate::commands::snapshots::{load, resolve};
use crate::commands::tell_damage;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::{Exit, MANUAL};
use crate::output::{Output, visible};
use crate::words;

/// List the paths of a snapshot
///
/// Lists everything below PATH, or all. Reads from any copy that can give it.
///
/// SNAPSHOT is latest, latest:SOURCE, an id, or at least two of its first digits. Where a newer one
/// is known here than any copy shows, latest is refused.
///
/// Examples:
///   strongroom ls latest
///   strongroom ls -l latest:repos /srv/git
///   strongroom ls 3f1c --flat /
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub(crate) struct Args {
    /// Which snapshot
    snapshot: String,
    /// Where to begin
    #[arg(default_value = "/")]
    path: OsString,
    /// With mode, owner, size and time
    #[arg(long, short)]
    long: bool,
    /// Only what is in PATH itself
    #[arg(long)]
    flat: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit> {
        let opened = context.open()?;
        let snapshots = load(context, &opened.session)?;
        let snapshot = resolve(&opened, &snapshots, &self.snapshot, "strongroom ls ID")?;
        let set = ReadSet::load(&opened.session, snapshot.id, &context.cancel)?;
        let output = &context.output;
        let how_far = if self.flat {
            Walk::Folder
        } else {
            Walk::Everything
        };
        let mut count = 0;
        // What cannot be told ends the walk, and is the reason rather than the walk's end.
        let mut untold = None;
        let walked = walk(
            &set,
            snapshot,
            self.path.as_bytes(),
            how_far,
            &mut |path, node| {
                count += 1;
                tell(output, path, node, self.long).map_err(|error| {
                    untold = Some(error);
                    strongroom_engine::Error::Interrupted
                })
            },
        );
        if let Some(error) = untold {
            return Err(error);
        }
        let problems = walked?;
        for problem in &problems {
            output.warn(&visible(problem), Some("strongroom verify"));
        }
        tell_damage(output, &opened, &set);
        output.object(&Summary {
            message_type: "summary",
            snapshot: snapshot.id,
            nodes: count,
            problems: &problems,
        })?;
        Ok(Exit::of(problems.is_empty()))
    }
}

fn tell(output: &Output, path: &[u8], node: &Node, long: bool) -> Result<()> {
    if output.json {
        return output.object(&Message::of(path, node)?);
    }
    let mut line = Vec::new();
    if long {
        let owner = |name: &Option<std::sync::Arc<str>>, number: u32| {
            name.as_ref()
                .map_or_else(|| number.to_string(), |name| visible(name))
        };
        let time = time(node).map_or_else(|| "-".to_owned(), words::local_time);
        line.extend_from_slice(
            format!(
                "{}  {:<8}  {:<8}  {:>12}  {time:<19}  ",
                mode(node),
                owner(&node.user, node.uid),
                owner(&node.group, node.gid),
                node.size,
            )
            .as_bytes(),
        );
    }
    line.extend(output.path(path));
    if long && node.kind == NodeKind::Symlink {
        line.extend_from_slice(b" -> ");
        line.extend(output.path(node.link_target()));
    }
    line.push(b'\n');
    output.write(&line)
}

/// The time of the last change, where it is one that clocks can show.
fn time(node: &Node) -> Option<Timestamp> {
    let mut text = Vec::new();
    node.mtime.write(&mut text);
    let text = String::from_utf8(text).ok()?;
    text.trim_matches('"').parse().ok()
}

/// Kind and permissions as `ls -l` writes them.
fn mode(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Dev => 'b',
        NodeKind::CharDev => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
        NodeKind::Irregular | NodeKind::Other => '?',
    };
    let bits = node.mode.permissions();
    let mut text = String::from(kind);
    let classes = [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')];
    for (shift, special, letter) in classes {
        let class = bits >> shift;
        text.push(if class & 4 != 0 { 'r' } else { '-' });
        text.push(if class & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & special != 0, class & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    path: String,
    #[serde(rename = "type")]
    kind: &'a str,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    user: Option<&'a str>,
    group: Option<&'a str>,
    mtime: String,
    link_target: Option<String>,
}

impl<'a> Message<'a> {
    fn of(path: &[u8], node: &'a Node) -> Result<Self> {
        let mut mtime = Vec::new();
        node.mtime.write(&mut mtime);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mtime = String::from_utf8(mtime)
            .map_err(|error| Error::Output(std::io::Error::other(error)))?;
        Ok(Self {
            message_type: "node",
            path: text(path),
            kind: node.kind_text(),
            size: node.size,
            mode: node.mode.permissions(),
            uid: node.uid,
            gid: node.gid,
            user: node.user.as_deref(),
            group: node.group.as_deref(),
            mtime: mtime.trim_matches('"').to_owned(),
            link_target: (node.kind == NodeKind::Symlink).then(|| text(node.link_target())),
        })
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    snapshot: Id,
    nodes: u64,
    problems: &'a [String],
}
