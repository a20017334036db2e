//! A real nginx or Caddy on a free port of loopback, for as long as a test runs: a vault is reached
//! through one of them where it has no certificate of its own.
//!
//! It runs as this user, keeps all its files in a temporary folder, and is no service of the machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::programs::proxy_program;
use crate::starting::start;

/// How long it may take to listen on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to end what it is about.
const END_LIMIT: Duration = Duration::from_secs(3);

/// The variables that name the programs.
const NGINX: &str = "STRONGROOM_TEST_NGINX";
const CADDY: &str = "STRONGROOM_TEST_CADDY";

/// How often it is looked whether it listens.
const STEP: Duration = Duration::from_millis(10);

/// How often another port is tried: somebody may take a free one before the proxy does.
const ATTEMPTS: usize = 5;

/// A running proxy, which ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    port: u16,
    folder: TempDir,
}

/// Which proxy it is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Nginx,
    Caddy,
}

impl Proxy {
    /// Starts nginx with what stands in its block `http`, as `server { listen 127.0.0.1:PORT; … }`,
    /// and waits until it listens. `PORT` is replaced by a free port, which it has to listen on.
    ///
    /// # Panics
    /// Where nginx is missing or does not start: such a test has not been run.
    pub fn nginx(configuration: &str) -> Self {
        Self::nginx_with(configuration, |_| {})
    }

    /// The same; `FOLDER` is replaced too, by a folder in which the caller has prepared files, as a
    /// certificate.
    ///
    /// # Panics
    /// As [`Proxy::nginx`].
    pub fn nginx_with(configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::serve(Kind::Nginx, configuration, prepare)
    }

    /// Starts Caddy with sites of a Caddyfile, as `http://127.0.0.1:PORT { … }`, and waits until it
    /// listens; as [`Proxy::nginx`].
    ///
    /// # Panics
    /// Where Caddy is missing or does not start: such a test has not been run.
    pub fn caddy(configuration: &str) -> Self {
        Self::caddy_with(configuration, |_| {})
    }

    /// The same with files that the caller has prepared; as [`Proxy::nginx_with`]. What Caddy makes
    /// itself is in `caddy` there: with `tls internal`, its authority is
    /// `caddy/pki/authorities/local/root.crt`.
    ///
    /// # Panics
    /// As [`Proxy::caddy`].
    pub fn caddy_with(configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::serve(Kind::Caddy, configuration, prepare)
    }

    /// The port of loopback that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn serve(kind: Kind, configuration: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("strongroom-proxy-")
            .tempdir()
            .expect("a folder of its own");
        prepare(folder.path());
        for _ in 0..ATTEMPTS {
            if let Some((child, port)) = kind.start(configuration, folder.path()) {
                return Self {
                    child,
                    port,
                    folder,
                };
            }
        }
        panic!("{kind:?} found {ATTEMPTS} ports taken");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Kind {
    /// Starts it on some port, and waits until it listens; none where somebody else took that.
    fn start(self, configuration: &str, folder: &Path) -> Option<(Child, u16)> {
        let (port, file) = (free_port(), folder.join("configuration"));
        let text = self.around(configuration);
        let text = text.replace("PORT", &port.to_string());
        let text = text.replace("FOLDER", &folder.display().to_string());
        fs::write(&file, text).expect("its configuration is written");
        let (mut child, lines) = start(self.command(folder, &file));
        let began = Instant::now();
        loop {
            let ended = child.try_wait().expect("it is our own child");
            if ended.is_none() && TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some((child, port));
            }
            if ended.is_some() || began.elapsed() > START_LIMIT {
                end(&mut child);
                let said: Vec<String> = lines.iter().collect();
                let said = said.join("\n");
                let is_taken = said.to_lowercase().contains("address already in use");
                assert!(is_taken, "{self:?} does not listen on {port}: {said}");
                return None;
            }
            thread::park_timeout(STEP);
        }
    }

    /// The whole configuration around what the caller wants.
    fn around(self, configuration: &str) -> String {
        match self {
            Self::Nginx => {
                let user = match geteuid().is_root() {
                    true => "user root root;",
                    false => "",
                };
                format!(
                    "{user}
worker_processes 1;
daemon off;
pid FOLDER/pid;
error_log stderr;
events {{}}
http {{
access_log off;
client_body_temp_path FOLDER/client_body;
proxy_temp_path FOLDER/proxy;
fastcgi_temp_path FOLDER/fastcgi;
scgi_temp_path FOLDER/scgi;
uwsgi_temp_path FOLDER/uwsgi;
{configuration}
}}
"
                )
            }
            Self::Caddy => format!(
                "{{
admin off
auto_https disable_redirects
skip_install_trust
storage file_system FOLDER/caddy
}}
{configuration}
"
            ),
        }
    }

    /// The program in the foreground, which ends with us.
    fn command(self, folder: &Path, file: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        match self {
            Self::Nginx => command
                .arg(proxy_program("nginx", "usr/sbin/nginx", NGINX))
                .args(["-e", "stderr", "-p"])
                .arg(folder)
                .arg("-c"),
            Self::Caddy => command
                .arg(proxy_program("caddy", "usr/bin/caddy", CADDY))
                .args(["run", "--adapter", "caddyfile", "--config"]),
        };
        command
            .arg(file)
            .current_dir(folder)
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder)
            .env("XDG_DATA_HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// Asks it to end, as nginx needs to take its workers along, and sees to it that it does.
fn end(child: &mut Child) {
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let began = Instant::now();
    while child.try_wait().is_ok_and(|ended| ended.is_none()) && began.elapsed() < END_LIMIT {
        thread::park_timeout(STEP);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A port of loopback that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
