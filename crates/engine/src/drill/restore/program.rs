//! Another program, run within limits: so much time, so much to say, nothing of our secrets.
//!
//! What can go wrong: it hangs, talks without end, or leaves somebody behind who keeps its output
//! open (so: each has a limit, and it is ended with all that it has started).
//!
//! **Security:** it works on what was restored, which whoever writes in the source has made. It gets
//! of our environment what is named in [`PASSED`] and nothing else, and is looked for in folders
//! with an absolute path alone, never in the one where it runs. What is given secrets ([`find`]) is
//! not run where anybody on this machine could have put it.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::child::{LAST_WORDS_BYTES, LAST_WORDS_WAIT, end_group, keep_end};
use crate::session::Cancel;
use crate::{Error, Result};

/// What of our environment others may know; and all that begins with `LC_`.
const PASSED: [&str; 6] = ["HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ"];

/// How soon an interruption is noticed, and the end of a program that says nothing.
const SLICE: Duration = Duration::from_millis(50);

/// How much is taken of what it says at a time.
const CHUNK_BYTES: usize = 8 << 10;

/// What a program may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may run.
    pub(super) time: Duration,
    /// How much it may say, in bytes.
    pub(super) output_bytes: u64,
}

/// What came of a program.
#[derive(Debug)]
pub(super) struct Ran {
    /// Why it did not end well, in one line; `None` where it did.
    pub(super) fault: Option<String>,
    /// The last that it said.
    pub(super) words: String,
    /// How long it took.
    pub(super) seconds: f64,
}

/// A command that knows of our environment what all may know. It is to have files that pass in
/// `temporary`.
pub(super) fn command(program: &OsStr, folder: &Path, temporary: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", search_path())
        .env("TMPDIR", temporary)
        .current_dir(folder);
    for (name, value) in std::env::vars_os() {
        let is_passed = name
            .to_str()
            .is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"));
        if is_passed {
            command.env(name, value);
        }
    }
    command
}

/// The program of this name, where our `PATH` finds one that nobody else on this machine could have
/// put there.
///
/// # Errors
/// Why none is run, in one line.
pub(super) fn find(name: &str) -> std::result::Result<PathBuf, String> {
    find_in(&std::env::var_os("PATH").unwrap_or_default(), name)
}

fn find_in(path: &OsStr, name: &str) -> std::result::Result<PathBuf, String> {
    let mut refused = None;
    for folder in std::env::split_paths(path) {
        let program = folder.join(name);
        let found = program.metadata();
        if !found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0) {
            continue;
        }
        match why_not(&folder, &program) {
            None => return Ok(program),
            Some(reason) => {
                let shown = program.display();
                refused.get_or_insert(format!("{shown} is not run: {reason}"));
            }
        }
    }
    Err(refused.unwrap_or_else(|| format!("{name} is not installed")))
}

/// Why a program in a folder of `PATH` is not run; `None` where only its owner or root, or who is in
/// a group of theirs, can have put it there. What counts is where it lies behind all links.
fn why_not(folder: &Path, program: &Path) -> Option<String> {
    if !folder.is_absolute() {
        let folder = folder.display();
        return Some(format!(
            "\"{folder}\" in PATH is another folder wherever one stands; name it by its whole path"
        ));
    }
    let real = match program.canonicalize() {
        Ok(real) => real,
        Err(error) => return Some(error.to_string()),
    };
    let is_open = |path: &Path| {
        path.metadata()
            .map_or(true, |found| found.mode() & 0o002 != 0)
    };
    // Who may write in a folder puts another file there, whatever the sticky bit says of this one.
    let mut places = vec![folder, real.as_path()];
    places.extend(real.parent());
    let open = places.into_iter().find(|path| is_open(path))?;
    let open = open.display();
    Some(format!(
        "everybody may write {open}; chmod o-w {open}, or take it out of PATH"
    ))
}

/// The folders of our `PATH` that are the same wherever one stands.
fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    std::env::join_paths(folders).unwrap_or_default()
}

/// Runs a command to its end, or to that of its limits.
///
/// # Errors
/// [`Error::Interrupted`]; everything else is told by what is returned.
pub(super) fn run(command: &mut Command, limits: Limits, cancel: &Cancel) -> Result<Ran> {
    let began = Instant::now();
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that all it has started can be ended with it.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let fault = format!("it cannot be started: {error}");
            return Ok(Ran::ended(began, Some(fault), &[]));
        }
    };
    let (said, heard) = sync_channel(8);
    if let Some(out) = child.stdout.take() {
        listen(out, said.clone());
    }
    if let Some(err) = child.stderr.take() {
        listen(err, said.clone());
    }
    let mut words = Vec::new();
    let (mut total, mut left) = (0_u64, 2_u8);
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match heard.recv_timeout(SLICE) {
            Ok(Some(chunk)) => {
                total = total.saturating_add(chunk.len() as u64);
                keep_end(&mut words, &chunk);
            }
            Ok(None) => left = left.saturating_sub(1),
            // `said` is still here, so that nobody is missed but who is silent.
            Err(_) => {}
        }
        if cancel.is_cancelled() {
            end(&mut child);
            return Err(Error::Interrupted);
        }
        if let Some((status, at)) = ended {
            // Somebody it left behind may keep the other end open: that is not waited for.
            if left == 0 || at.elapsed() > LAST_WORDS_WAIT {
                let fault = (!status.success()).then(|| format!("it ended with {status}"));
                return Ok(Ran::ended(began, fault, &words));
            }
            continue;
        }
        let fault = if total > limits.output_bytes {
            Some("it says too much, and was ended".to_owned())
        } else if began.elapsed() > limits.time {
            let seconds = limits.time.as_secs();
            Some(format!("it was not done after {seconds} s, and was ended"))
        } else {
            None
        };
        if fault.is_some() {
            end(&mut child);
            return Ok(Ran::ended(began, fault, &words));
        }
        let status = child.try_wait();
        let status = status.map_err(Error::local("wait for a program"))?;
        ended = status.map(|status| (status, Instant::now()));
        if ended.is_some() {
            // Whoever it has left behind goes with it.
            end_group(&child);
        }
    }
}

impl Ran {
    fn ended(began: Instant, fault: Option<String>, words: &[u8]) -> Self {
        let seconds = began.elapsed().as_secs_f64();
        // A line of which the beginning is lost may begin with a part of a secret.
        let words = match words.len() < LAST_WORDS_BYTES {
            true => words,
            false => {
                let whole = words.iter().position(|byte| *byte == b'\n');
                whole.and_then(|end| words.get(end..)).unwrap_or_default()
            }
        };
        let words = String::from_utf8_lossy(words).trim().to_owned();
        Self {
            fault,
            words,
            seconds,
        }
    }

    /// Why it did not end well, with what it said last, in one line.
    pub(super) fn reason(&self) -> Option<String> {
        let fault = self.fault.as_ref()?;
        let lines: Vec<&str> = self.words.lines().map(str::trim).collect();
        let last = lines.iter().rev().find(|line| !line.is_empty());
        Some(match last {
            Some(last) => format!("{fault}: {last}"),
            None => fault.clone(),
        })
    }
}

/// Sends what a stream brings, and `None` at its end.
fn listen(mut stream: impl Read + Send + 'static, said: SyncSender<Option<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let chunk = buffer.get(..read).unwrap_or_default().to_vec();
            if said.send(Some(chunk)).is_err() {
                return;
            }
        }
        // Whoever does not listen any more does not want to know.
        let _ = said.send(None);
    });
}

/// Ends a program with all that it has started.
fn end(child: &mut Child) {
    if !end_group(child) {
        tracing::warn!("A program could not be ended");
    }
    // Its status does not matter any more, but it must not stay a zombie.
    let _: std::io::Result<_> = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        time: Duration::from_secs(120),
        output_bytes: 1 << 20,
    };

    fn shell(text: &str, limits: Limits) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(OsStr::new("sh"), folder.path(), folder.path());
        command.args(["-c", text]);
        run(&mut command, limits, &Cancel::default()).unwrap()
    }

    #[test]
    fn how_a_program_ends_is_told_with_its_last_words() {
        let well = shell("echo fine", LIMITS);
        assert_eq!((well.reason(), well.words.as_str()), (None, "fine"));
        let badly = shell("echo out; echo because >&2; exit 3", LIMITS);
        let reason = badly.reason().unwrap();
        assert!(
            reason.starts_with("it ended with exit status: 3: "),
            "{reason}"
        );
        let (name, root) = (OsStr::new("no-such-program"), Path::new("/"));
        let mut missing = command(name, root, root);
        let ran = run(&mut missing, LIMITS, &Cancel::default()).unwrap();
        assert!(ran.reason().unwrap().starts_with("it cannot be started"));
    }

    #[test]
    fn whatever_takes_too_long_or_says_too_much_is_ended_with_all_it_has_started() {
        let time = Duration::ZERO;
        let late = shell("sleep 600 & sleep 600", Limits { time, ..LIMITS });
        assert!(late.reason().unwrap().contains("was not done after 0 s"));
        let long = shell("head -c 9000 /dev/zero | tr '\\0' x; exit 1", LIMITS);
        assert_eq!(long.reason().unwrap(), "it ended with exit status: 1");
        let loud = shell("yes", LIMITS);
        let reason = loud.reason().unwrap();
        assert!(
            reason.starts_with("it says too much, and was ended"),
            "{reason}"
        );
        assert!(loud.words.len() <= LAST_WORDS_BYTES);
    }

    #[test]
    fn nobody_whom_it_leaves_behind_lives_on() {
        let left = shell("sleep 600 >/dev/null 2>&1 & echo $!", LIMITS);
        let folder = PathBuf::from(format!("/proc/{}", left.words.trim()));
        let is_alive = || {
            let status = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
            !status.is_empty() && !status.contains(") Z ")
        };
        let began = Instant::now();
        while is_alive() && began.elapsed() < Duration::from_secs(20) {
            std::thread::park_timeout(SLICE);
        }
        assert!(!is_alive(), "{left:?}");
    }

    #[test]
    fn an_interruption_ends_it() {
        let cancel = Cancel::default();
        cancel.cancel();
        let mut command = command(OsStr::new("sleep"), Path::new("/"), Path::new("/"));
        let ran = run(command.arg("600"), LIMITS, &cancel);
        assert!(matches!(ran, Err(Error::Interrupted)));
    }

    #[test]
    fn it_knows_of_our_environment_what_all_may_know() {
        let seen = shell("env | sed 's/=.*//' | sort | tr '\\n' ' '", LIMITS);
        for name in seen.words.split_whitespace() {
            let is_ours = matches!(name, "PATH" | "TMPDIR") || PASSED.contains(&name);
            let is_of_shell = matches!(name, "_" | "SHLVL" | "PWD" | "OLDPWD");
            assert!(is_ours || is_of_shell || name.starts_with("LC_"), "{name}");
        }
        // Cargo gives every test variables of its own, and none of them is passed on.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(seen.words.contains("PATH") && seen.words.contains("TMPDIR"));
    }

    #[test]
    fn programs_are_found_by_their_names() {
        assert!(find("sh").unwrap().is_absolute());
        let missing = find("no-such-program").unwrap_err();
        assert_eq!(missing, "no-such-program is not installed");
    }

    #[test]
    fn what_anybody_could_have_put_there_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let [open, safe] = ["open", "safe"].map(|name| folder.path().join(name));
        let (open, safe) = (open.as_path(), safe.as_path());
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for place in [open, safe] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("tool"), "").unwrap();
            set(&place.join("tool"), 0o755);
            set(place, 0o755);
        }
        let found = |places: &[&Path]| find_in(&std::env::join_paths(places).unwrap(), "tool");
        assert_eq!(found(&[open, safe]), Ok(open.join("tool")));
        for mode in [0o777, 0o1777] {
            set(open, mode);
            assert_eq!(found(&[open, safe]), Ok(safe.join("tool")));
            let reason = found(&[open]).unwrap_err();
            let shown = open.display();
            assert!(
                reason.starts_with(&format!("{shown}/tool is not run")),
                "{reason}"
            );
            assert!(reason.contains(&format!("chmod o-w {shown}")), "{reason}");
        }
        // A link leads to where anybody may write.
        let link = folder.path().join("link");
        std::fs::create_dir(&link).unwrap();
        std::os::unix::fs::symlink(open.join("tool"), link.join("tool")).unwrap();
        assert!(
            found(&[link.as_path()])
                .unwrap_err()
                .contains("everybody may write")
        );
        // The program itself.
        set(&safe.join("tool"), 0o757);
        assert!(found(&[safe]).unwrap_err().contains("everybody may write"));
        let relative = why_not(Path::new("bin"), Path::new("bin/tool")).unwrap();
        assert!(relative.starts_with("\"bin\" in PATH"), "{relative}");
    }
}
