//! The dump of a real PostgreSQL as a source, and what the check of a drill finds of one that was cut
//! short before it was backed up: a pipe ends well though the program before it has died.
//!
//! `pg_restore --list` reads the table of contents, which comes first; what is behind it is read by
//! whoever restores all of it to nowhere.

use std::fs;
use std::process::Command;

use serde_json::Value;
use strongroom_testkit::PostgresServer;

use crate::drill_restore::path_with;
use crate::scene::{Ended, Scene};
use crate::vault::objects;

/// Some 800 kB of rows that hardly compress.
const ORDERS: &str = "create table orders (id int primary key, item text not null); \
    insert into orders select id, md5(id::text) from generate_series(1, 20000) as id";

/// Looks at what a dump says that it holds.
const LIST: [&str; 3] = ["pg_restore", "--list", "shop.dump"];

/// Reads all of it.
const READ: [&str; 3] = ["pg_restore", "--file=/dev/null", "shop.dump"];

/// A database, and a scene in which its dump is backed up.
struct Shop {
    server: PostgresServer,
    scene: Scene,
}

impl Shop {
    fn open() -> Self {
        let shop = Self {
            server: PostgresServer::start(),
            scene: Scene::new(),
        };
        let mut psql = Command::new(PostgresServer::program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--command", ORDERS, "--dbname", &shop.server.url()]);
        Ended::from(psql.output().unwrap()).assert_code(0, &"psql");
        shop
    }

    /// What is typed to dump the database.
    fn dump(&self) -> [String; 4] {
        let url = self.server.url();
        ["pg_dump", "--format=custom", "--dbname", &url].map(str::to_owned)
    }

    /// The same in a shell, of which so many bytes come through.
    fn dump_cut_short(&self, bytes: u64) -> [String; 3] {
        let text = format!("{} | head -c {bytes}", self.dump().join(" "));
        ["sh", "-c", &text].map(str::to_owned)
    }

    /// Backs up what a command prints, and rehearses its restore with a check; returns what came of
    /// it, and how the drill ended.
    #[track_caller]
    fn rehearse(&self, command: &[String], check: &[&str], code: i32) -> (Value, Ended) {
        self.scene.configure_local("");
        let path = self.scene.path("strongroom.toml");
        let text = fs::read_to_string(&path).unwrap();
        let folder = format!("name = \"main\"\npath = {:?}\n", self.scene.source());
        assert!(text.contains(&folder), "{text}");
        let source = format!(
            "name = \"shop-db\"\nas = \"shop.dump\"\ncommand = {command:?}\ncheck = {check:?}\n"
        );
        fs::write(&path, text.replace(&folder, &source)).unwrap();
        self.run(0, &["--quiet", "backup"]);
        let drill = ["--json", "drill", "restore", "--copy", "two"];
        let ended = self.run(code, &drill);
        let [drill]: [Value; 1] = objects(&ended, "drill").try_into().unwrap();
        assert_eq!(drill["source"], "shop-db", "{drill}");
        // What was saved came back, whatever it is worth.
        assert_eq!(drill["error_count"], 0, "{drill}");
        (drill, ended)
    }

    /// Runs the program, which finds those of PostgreSQL.
    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> Ended {
        let program = PostgresServer::program("pg_dump");
        let mut command = self.scene.command(arguments);
        command.env("PATH", path_with(program.parent().unwrap()));
        let ended = Ended::from(command.output().unwrap());
        ended.assert_code(code, &arguments);
        ended
    }

    /// Whether what was rehearsed of the copy passed, as status has it.
    #[track_caller]
    fn has_passed(&self) -> Value {
        let card = self.scene.run(&["--json", "status"]).summary();
        let mut rows = card["copies"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == "two").unwrap();
        row["restore_drill"]["passed"].clone()
    }
}

#[test]
fn a_dump_that_was_cut_short_before_its_backup_is_found_by_the_check_of_a_drill() {
    let shop = Shop::open();
    shop.scene.init();
    let whole = shop.dump();
    let mut bytes = 0;
    for check in [LIST, READ] {
        let (drill, _) = shop.rehearse(&whole, &check, 0);
        assert_eq!(drill["good"], true, "{drill}");
        assert_eq!(drill["check"]["outcome"], "passed", "{drill}");
        assert_eq!(shop.has_passed(), true);
        bytes = drill["restored"]["bytes"].as_u64().unwrap();
        assert!(bytes > 100_000, "{drill}");
    }

    // In the table of contents, and far behind it.
    let (early, late) = (shop.dump_cut_short(300), shop.dump_cut_short(bytes / 2));
    for (dump, check) in [(&early, LIST), (&early, READ), (&late, READ)] {
        let (drill, ended) = shop.rehearse(dump, &check, 1);
        assert_eq!(drill["good"], false, "{drill}");
        assert_eq!(drill["check"]["outcome"], "failed", "{drill}");
        let reason = drill["check"]["reason"].as_str().unwrap();
        let typed = check.join(" ");
        let begin = format!("{typed}: it ended with exit status: 1: pg_restore: error: ");
        assert!(reason.starts_with(&begin), "{reason}");
        assert!(reason.contains("end of file"), "{reason}");
        // People read the same.
        ended.assert_says(&["warning: two: shop-db: ", reason]);
        assert_eq!(shop.has_passed(), false);
    }

    // The list is whole where only rows are missing, as docs/configuration.md says.
    let (drill, _) = shop.rehearse(&late, &LIST, 0);
    assert_eq!(drill["check"]["outcome"], "passed", "{drill}");
}
