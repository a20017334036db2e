//! Runs the transcripts of `tests/cmd`.
//!
//! A transcript is Markdown; its blocks fenced as `toml` or `sh` are files of the given name, and
//! those fenced as `console` are run. One fenced as `key` is a password, for which a key that costs
//! next to nothing to open is left in the folder of a copy to be: else these runs would do little but
//! open keys. In what a command writes, `[..]` stands for anything within a line and a line `...` for
//! any lines; how many spaces stand between words does not matter; `? 3` after the output is the exit
//! status. Standard error comes after standard output. `$DIR` is the folder of the run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scene::plant_key;

#[test]
fn every_transcript_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!files.is_empty(), "no transcripts");
    let failures: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .iter()
            .map(|file| {
                let text = fs::read_to_string(file).unwrap();
                (file, scope.spawn(move || run(&text)))
            })
            .collect();
        let outcomes = threads
            .into_iter()
            .map(|(file, thread)| (file, thread.join().unwrap()));
        outcomes
            .filter_map(|(file, outcome)| {
                let failure = outcome.err()?;
                Some(format!("{}: {failure}", file.display()))
            })
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn run(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let place = root.display().to_string();
    for block in blocks(text) {
        match block.info.split_once(' ') {
            Some(("key", copy)) => plant_key(&root.join(copy), block.body.trim_end()),
            Some((_, name)) => {
                let path = root.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, block.body.replace("$DIR", &place)).unwrap();
                let mode = fs::Permissions::from_mode(0o644);
                fs::set_permissions(&path, mode).unwrap();
            }
            None if block.info == "console" => {
                for step in steps(&block.body) {
                    let shown = step.run(&root).replace(&place, "$DIR");
                    if !fits(&step.expected, &shown) {
                        return Err(format!(
                            "$ {}\nexpected:\n{}\nfound:\n{shown}",
                            step.command, step.expected
                        ));
                    }
                }
            }
            None => {}
        }
    }
    Ok(())
}

struct Block {
    info: String,
    body: String,
}

struct Step {
    command: String,
    expected: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block {
                    info: info.to_owned(),
                    body: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.body.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

fn steps(body: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                expected: String::new(),
            }),
            (None, Some(step)) => step.expected.push_str(&format!("{line}\n")),
            (None, None) => panic!("output before a command: {line}"),
        }
    }
    steps
}

impl Step {
    fn run(&self, folder: &Path) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_strongroom"));
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("sh")
            .args(["-c", &self.command])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .env("TZ", "UTC")
            .env("STRONGROOM_STATE", folder.join("state"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
        shown.push_str(&String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().unwrap();
        if code != 0 {
            shown.push_str(&format!("? {code}\n"));
        }
        shown
    }
}

/// Whether what was shown is what a transcript says.
pub(crate) fn fits(expected: &str, shown: &str) -> bool {
    let squeezed = |text: &str| {
        let lines = text.trim_end().lines();
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let (expected, shown) = (squeezed(expected), squeezed(shown));
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    let shown: Vec<_> = shown.iter().map(String::as_str).collect();
    lines_fit(&expected, &shown)
}

fn lines_fit(expected: &[&str], shown: &[&str]) -> bool {
    match (expected.split_first(), shown.split_first()) {
        (None, None) => true,
        (Some((&"...", rest)), _) => {
            (0..=shown.len()).any(|skipped| lines_fit(rest, &shown[skipped..]))
        }
        (Some((first, expected)), Some((line, shown))) => {
            line_fits(first, line) && lines_fit(expected, shown)
        }
        _ => false,
    }
}

fn line_fits(expected: &str, shown: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == shown,
        Some((before, after)) => shown.strip_prefix(before).is_some_and(|rest| {
            let places = (0..=rest.len()).filter(|place| rest.is_char_boundary(*place));
            places
                .into_iter()
                .any(|place| line_fits(after, &rest[place..]))
        }),
    }
}
