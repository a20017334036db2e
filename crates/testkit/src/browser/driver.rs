//! chromedriver and the chromium below it: started, spoken to, and ended with all that they
//! started.
//!
//! chromedriver dies with the test, however that dies, and chromium is led through a pipe, whose end
//! it does not outlive. So neither is left behind by a test that is killed.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::programs::program;
use crate::starting::{start, wait_for};

/// How long one command may take: chromedriver gives up a page that does not load, and a chromium
/// that does not start, after less.
const COMMAND_LIMIT: Duration = Duration::from_secs(100);

/// How long chromium may take to go by itself, and what is left of it to be gone after a SIGKILL.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked whether it is gone.
const STEP: Duration = Duration::from_millis(5);

/// What a started chromedriver says before the number of its port.
const STARTED: &str = "started successfully on port ";

/// Which names lead where: our own to loopback and all others nowhere, so that no page reaches out.
const NAMES: &str = "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, \
                     EXCLUDE *.localhost, EXCLUDE 127.0.0.1";

/// What chromium is always told.
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en-US",
    "--accept-lang=en-US",
];

/// A chromedriver with one session, which is one chromium with a profile of its own.
#[derive(Debug)]
pub(super) struct Driver {
    child: Mutex<Child>,
    agent: Agent,
    /// Where chromedriver listens, without a slash at its end.
    address: String,
    session: String,
    /// Its home, its profile and its temporary files.
    folder: TempDir,
    group: i32,
}

/// What chromedriver says of a command that it could not carry out.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The code of the error, as `no such element`.
    pub(super) error: String,
    /// What a person shall know of it.
    pub(super) message: String,
}

impl Display for Refused {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error, self.message)
    }
}

impl Driver {
    /// Starts both, and waits until they answer; `arguments` are more of them for chromium.
    pub(super) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("strongroom-browser-")
            .tempdir()
            .expect("a folder of its own");
        for name in ["home", "temporary", "profile"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        let (mut child, lines) = start(command(folder.path()));
        let port = wait_for(&mut child, &lines, "chromedriver", |line| {
            let (_, port) = line.split_once(STARTED)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(COMMAND_LIMIT));
        let mut driver = Self {
            group: Pid::from_child(&child).as_raw_nonzero().get(),
            child: Mutex::new(child),
            agent: config.build().into(),
            address: format!("http://127.0.0.1:{port}"),
            session: String::new(),
            folder,
        };
        match driver.new_session(arguments) {
            Ok(session) => driver.session = session,
            Err(refused) => {
                driver.end();
                panic!("chromium did not start: {refused}");
            }
        }
        driver
    }

    fn new_session(&self, arguments: &[&str]) -> Result<String, Refused> {
        let mut all: Vec<String> = ARGUMENTS.iter().map(|&one| one.to_owned()).collect();
        all.extend(arguments.iter().map(|&one| one.to_owned()));
        let profile = self.folder.path().join("profile");
        all.push(format!("--user-data-dir={}", profile.display()));
        all.push(format!("--host-resolver-rules={NAMES}"));
        if geteuid().is_root() {
            all.push("--no-sandbox".to_owned());
        }
        let options = json!({"binary": program("chromium"), "args": all});
        let wanted = json!({
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"implicit": 0, "pageLoad": 30_000, "script": 30_000},
            "unhandledPromptBehavior": "ignore",
        });
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let session = self.ask(Method::POST, "/session", Some(&body))?;
        Ok(as_text(session.get("sessionId")))
    }

    /// Asks for something below the session, as `/url`.
    pub(super) fn get(&self, path: &str) -> Result<Value, Refused> {
        self.ask(
            Method::GET,
            &format!("/session/{}{path}", self.session),
            None,
        )
    }

    /// Has something done below the session.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let path = format!("/session/{}{path}", self.session);
        self.ask(Method::POST, &path, Some(body))
    }

    /// Removes something below the session.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Refused> {
        let path = format!("/session/{}{path}", self.session);
        self.ask(Method::DELETE, &path, None)
    }

    /// Says something to chromium in its own protocol for developers' tools.
    pub(super) fn devtools(&self, command: &str, params: &Value) -> Result<Value, Refused> {
        let body = json!({"cmd": command, "params": params});
        self.post("/goog/cdp/execute", &body)
    }

    /// What an expression comes to, which may be a promise; in the page's world where `world` is
    /// none.
    pub(super) fn evaluate(
        &self,
        expression: &str,
        world: Option<&Value>,
    ) -> Result<Value, Refused> {
        let mut params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
        });
        if let Some(world) = world {
            params["contextId"] = world.clone();
        }
        let answer = self.devtools("Runtime.evaluate", &params)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            let described = thrown.pointer("/exception/description");
            return Err(Refused {
                error: "javascript error".to_owned(),
                message: as_text(described.or(thrown.get("text"))),
            });
        }
        Ok(answer.pointer("/result/value").cloned().unwrap_or_default())
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let unreachable = |error: &dyn Display| Refused {
            error: "no answer from chromedriver".to_owned(),
            message: error.to_string(),
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("Content-Type", "application/json; charset=utf-8")
            .body(body.map(Value::to_string).unwrap_or_default())
            .expect("a sound request");
        let answer = self.agent.run(request);
        let mut answer = answer.map_err(|error| unreachable(&error))?;
        // A picture of a long page is large.
        let text = answer.body_mut().with_config().limit(256 << 20);
        let text = text.read_to_string().map_err(|error| unreachable(&error))?;
        let mut told: Value = serde_json::from_str(&text).map_err(|_| unreachable(&text))?;
        let value = told.get_mut("value").map(Value::take).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(value);
        }
        let message = as_text(value.get("message"));
        Err(Refused {
            error: as_text(value.get("error")),
            // What follows is of chromedriver's own code.
            message: message.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// The numbers of all processes that belong to it and have not ended.
    pub(super) fn processes(&self) -> Vec<i32> {
        let home = format!("HOME={}", self.home().display());
        let entries = fs::read_dir("/proc").expect("every Linux has it");
        let numbers = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.parse::<i32>().ok()
        });
        numbers
            .filter(|&number| is_one_of(number, self.group, home.as_bytes()))
            .collect()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Ends it and all that belongs to it; once it has ended, does nothing.
    pub(super) fn end(&self) {
        let mut child = self.child.lock();
        if child.try_wait().ok().flatten().is_some() {
            return;
        }
        if !self.session.is_empty() {
            // Chromium goes by itself, and takes with it what it has started.
            let _ = self.delete("");
        }
        let _ = child.kill();
        let _ = child.wait();
        let start = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || start.elapsed() > END_LIMIT {
                return;
            }
            for number in left {
                if let Some(process) = Pid::from_raw(number) {
                    let _ = kill_process(process, Signal::KILL);
                }
            }
            thread::park_timeout(STEP);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end();
    }
}

/// A JSON text, or what there is instead of it.
pub(super) fn as_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// chromedriver with nothing of our environment but where programs are.
fn command(folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(program("chromedriver"))
        .args(["--port=0"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.join("home"))
        .env("TMPDIR", folder.join("temporary"))
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Whether a process runs that is of this group, or has this in its environment: what watches for
/// crashes of chromium leaves the group.
fn is_one_of(number: i32, group: i32, variable: &[u8]) -> bool {
    let folder = PathBuf::from(format!("/proc/{number}"));
    let Ok(stat) = fs::read_to_string(folder.join("stat")) else {
        return false;
    };
    // Its name stands in parentheses, and may hold anything; its state, its parent and its group
    // follow.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let fields: Vec<&str> = rest.split_whitespace().take(3).collect();
    let [state, _, its_group] = fields[..] else {
        return false;
    };
    if matches!(state, "Z" | "X") {
        return false;
    }
    let environment = || fs::read(folder.join("environ")).unwrap_or_default();
    its_group.parse() == Ok(group)
        || environment()
            .split(|&byte| byte == 0)
            .any(|one| one == variable)
}
