//! A real S3 server: Ceph on one node with its gateway, on loopback, for as long as a test runs.
//!
//! One monitor, one store in memory and one gateway, each a child of the test. It starts in about
//! 2 s, since the monitor passes on at once what changes: by itself it waits for a second, and the
//! gateway makes its pools one after the other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::programs::program;

/// How long each step of the start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(180);

/// What the gateway calls itself, in a domain that nobody ever has.
const NAME: &str = "buckets.test";

/// How often the gateway is asked whether it is there.
const STEP: Duration = Duration::from_millis(100);

/// A running cluster, which ends when this is dropped.
#[derive(Debug)]
pub struct Ceph {
    daemons: Vec<Child>,
    endpoint: String,
    folder: TempDir,
}

/// An account of the gateway.
#[derive(Debug, Clone)]
pub struct CephAccount {
    /// The name that requests are signed with.
    pub access_key: String,
    /// The secret that requests are signed with.
    pub secret_key: String,
}

impl CephAccount {
    /// Types a command of Amazon's program into a shell, as whoever rules this account's buckets;
    /// `production` is the name of the account that is to work in them.
    ///
    /// # Panics
    /// Where that fails.
    pub fn type_in(&self, command: &str, production: &str) {
        program("aws");
        let production = format!("arn:aws:iam:::user/{production}");
        run(Command::new("sh")
            .args(["-c", command])
            .env("PRODUCTION", production)
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_PAGER", ""));
    }
}

impl Ceph {
    /// Starts a cluster, and waits until its gateway answers.
    ///
    /// # Panics
    /// Panics where a program is missing or does not start: such a test has not been run.
    pub fn start() -> Self {
        let (monitor_port, gateway_port) = (free_port(), free_port());
        let mut ceph = Self {
            daemons: Vec::new(),
            endpoint: format!("http://127.0.0.1:{gateway_port}"),
            folder: TempDir::new().expect("a folder of its own"),
        };
        for folder in ["mon", "osd", "rgw", "run"] {
            fs::create_dir(ceph.path(folder)).expect("a folder in it");
        }
        let cluster = uuid();
        let settings = settings(ceph.folder.path(), &cluster, monitor_port, gateway_port);
        fs::write(ceph.path("ceph.conf"), settings).expect("its settings are written");
        ceph.start_monitor(&cluster, monitor_port);
        ceph.start_store();
        ceph.spawn("radosgw", &["-n", "client.rgw.a"]);
        ceph.wait_for_gateway(gateway_port);
        ceph
    }

    /// Where the gateway answers; buckets stand in the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same by a name of its own, before which buckets may stand; nothing resolves it.
    pub fn named_endpoint(&self) -> String {
        self.endpoint.replace("127.0.0.1", NAME)
    }

    /// Makes an account that has nothing in common with others.
    ///
    /// # Panics
    /// Where that fails.
    pub fn new_account(&self, name: &str) -> CephAccount {
        let display = format!("--display-name={name}");
        self.make_key(name, name, &["user", "create", &display])
    }

    /// Makes another key for the account of that name.
    ///
    /// # Panics
    /// Where that fails.
    pub fn new_key(&self, name: &str) -> CephAccount {
        let label = format!("{name}-other");
        self.make_key(name, &label, &["key", "create", "--key-type=s3"])
    }

    /// Makes a key for a user by a command; `label` is what tells it from others.
    fn make_key(&self, user: &str, label: &str, command: &[&str]) -> CephAccount {
        let account = CephAccount {
            access_key: format!("{label}-key"),
            secret_key: format!("{label}-secret"),
        };
        let given = [
            format!("--uid={user}"),
            format!("--access-key={}", account.access_key),
            format!("--secret-key={}", account.secret_key),
        ];
        let given = given.iter().map(String::as_str);
        let arguments: Vec<&str> = command.iter().copied().chain(given).collect();
        self.run("radosgw-admin", &arguments);
        account
    }

    /// Lets the account of that name have no more than so many bytes.
    ///
    /// # Panics
    /// Where that fails.
    pub fn set_quota(&self, name: &str, bytes: u64) {
        let user = format!("--uid={name}");
        let size = format!("--max-size={bytes}");
        let of_user = "--quota-scope=user";
        self.run("radosgw-admin", &["quota", "set", of_user, &user, &size]);
        self.run("radosgw-admin", &["quota", "enable", of_user, &user]);
    }

    fn start_monitor(&mut self, cluster: &str, port: u16) {
        let (keys, map) = (self.path("keyring"), self.path("monmap"));
        let keys = keys.to_str().expect("a plain path");
        let map = map.to_str().expect("a plain path");
        let address = format!("[v1:127.0.0.1:{port}]");
        let new_key = ["--create-keyring", keys, "--gen-key", "-n", "mon."];
        run(Command::new(program("ceph-authtool"))
            .args(new_key)
            .args(["--cap", "mon", "allow *"]));
        run(Command::new(program("monmaptool"))
            .args(["--create", "--addv", "a", &address])
            .args(["--fsid", cluster, map]));
        let make = ["-i", "a", "--mkfs", "--monmap", map, "--keyring", keys];
        self.run("ceph-mon", &make);
        self.spawn("ceph-mon", &["-i", "a"]);
    }

    fn start_store(&mut self) {
        let id = uuid();
        self.ask(&["osd", "new", &id, "0"]);
        self.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &id]);
        let place = ["host=here", "root=default"];
        self.ask(&[&["osd", "crush", "add", "osd.0", "1.0"], &place[..]].concat());
        self.spawn("ceph-osd", &["-i", "0"]);
    }

    /// Waits until the gateway answers without a fault.
    fn wait_for_gateway(&mut self, port: u16) {
        let start = Instant::now();
        let mut starts_left = STORE_STARTS;
        while !answers(port) {
            for number in 0..self.daemons.len() {
                let ended = self.daemons.get_mut(number).and_then(|daemon| {
                    let ended = daemon.try_wait();
                    ended.expect("it is our own child")
                });
                if ended.is_some() && number == STORE && starts_left > 0 {
                    starts_left -= 1;
                    let again = self.begin("ceph-osd", &["-i", "0"]);
                    self.daemons.splice(number..=number, [again]);
                    continue;
                }
                assert!(ended.is_none(), "{ended:?}: {}", said(self.folder.path()));
            }
            assert!(
                start.elapsed() < START_LIMIT,
                "Ceph's gateway does not answer: {}",
                said(self.folder.path())
            );
            thread::park_timeout(STEP);
        }
    }

    /// Asks the monitor, which refuses everybody until it has found out what it understands.
    fn ask(&self, arguments: &[&str]) {
        let start = Instant::now();
        loop {
            let output = self.command("ceph").args(arguments).output();
            let output = output.expect("it can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return;
            }
            assert!(
                said.contains("problem getting command descriptions")
                    && start.elapsed() < START_LIMIT,
                "ceph {arguments:?}: {output:?}"
            );
            thread::park_timeout(STEP);
        }
    }

    /// Runs one of its programs to the end.
    fn run(&self, name: &str, arguments: &[&str]) {
        run(self.command(name).args(arguments));
    }

    /// Starts a daemon that stays a child of this process.
    fn spawn(&mut self, name: &str, arguments: &[&str]) {
        let daemon = self.begin(name, arguments);
        self.daemons.push(daemon);
    }

    fn begin(&self, name: &str, arguments: &[&str]) -> Child {
        let log = File::create(self.path(&format!("run/{name}.out"))).expect("a file for its log");
        let daemon = self
            .command(name)
            .arg("-f")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        daemon.expect("it can be started")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.arg("-c").arg(self.path("ceph.conf"));
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
        }
        for daemon in &mut self.daemons {
            let _ = daemon.wait();
        }
    }
}

/// Which of the daemons the store is, in the order in which they start.
const STORE: usize = 1;

/// How often the store is started again: on a busy machine it may speak to the monitor before it has
/// heard of which cluster that is, is refused for it ("wrong fsid"), and gives up.
const STORE_STARTS: usize = 5;

/// The whole configuration: nothing of the machine's own is read, and nothing is replicated.
fn settings(folder: &Path, cluster: &str, monitor_port: u16, gateway_port: u16) -> String {
    let folder = folder.display();
    format!(
        "[global]
fsid = {cluster}
mon_initial_members = a
mon_host = [v1:127.0.0.1:{monitor_port}]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
ms_bind_ipv6 = false
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 500
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
run_dir = {folder}/run
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
log_file = {folder}/run/$name.log
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw_enable_apis = s3
rgw_dns_name = {NAME}
"
    )
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Whether the gateway lists nobody's buckets to nobody.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let heard = stream
        .set_read_timeout(Some(START_LIMIT))
        .and_then(|()| stream.write_all(request))
        .and_then(|()| stream.read_to_string(&mut answer));
    heard.is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// What its daemons said last.
fn said(folder: &Path) -> String {
    let logs = fs::read_dir(folder.join("run")).expect("its folder of logs");
    let paths = logs.map(|entry| entry.expect("its log").path());
    let texts = paths.filter_map(|path| fs::read_to_string(path).ok());
    let lines = texts.flat_map(|text| {
        let last: Vec<_> = text.lines().rev().take(10).map(str::to_owned).collect();
        last.into_iter().rev()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A port of loopback that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn uuid() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("a random UUID");
    uuid.trim().to_owned()
}
