//! What PostgreSQL alone does: it can be lost, and found again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_model::Secret;
use strongroom_testkit::PostgresServer;
use strongroom_vault::Error;
use strongroom_vault::database::{Database, Postgres, Transaction, Value, migrate};

use crate::database::proxy::Proxy;
use crate::database::{SCHEMA, Scene, ids, number, put};

const ADD: &str = "UPDATE note SET number = number + 1 WHERE id = 1";

fn open(url: impl Into<String>) -> Postgres {
    let database = Postgres::open(&Secret::new(url), None).unwrap();
    migrate(&database, &SCHEMA).unwrap();
    database
}

fn counter(database: &dyn Database) -> i64 {
    let found = database.look(|transaction| number(transaction, 1));
    found.unwrap().unwrap()
}

/// Ends the connection that asks for it.
fn end_own_connection(transaction: &mut dyn Transaction) -> strongroom_vault::Result<()> {
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    transaction.query(end, &[], &mut |_| Ok(()))
}

#[test]
fn work_is_done_again_where_the_connection_is_lost() {
    let server = PostgresServer::start();
    let database = open(server.url());
    let mut times = 0;
    database
        .write(&mut |transaction| {
            times += 1;
            put(transaction, 1, times)?;
            if times < 3 {
                // Swallowed: the transaction is lost whatever the work thinks.
                let _ = end_own_connection(transaction);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(counter(&database), 3);
    let mut reads = 0;
    database
        .read(&mut |transaction| {
            reads += 1;
            if reads == 1 {
                return end_own_connection(transaction);
            }
            assert_eq!(number(transaction, 1)?, Some(3));
            Ok(())
        })
        .unwrap();
    assert_eq!(reads, 2);
}

#[test]
fn nested_work_does_not_hide_that_the_connection_was_lost() {
    let server = PostgresServer::start();
    let database = open(server.url());
    let mut times = 0;
    database
        .write(&mut |transaction| {
            times += 1;
            put(transaction, times, 0)?;
            let _ = transaction.nested(&mut |transaction| match times {
                1 => end_own_connection(transaction),
                _ => Ok(()),
            });
            Ok(())
        })
        .unwrap();
    assert_eq!(ids(&database), [2]);
}

#[test]
fn work_is_done_again_after_a_conflict_even_in_nested_work() {
    let server = PostgresServer::start();
    let database = open(server.url());
    let mut times = 0;
    database
        .write(&mut |transaction| {
            times += 1;
            put(transaction, times, 0)?;
            let conflict = "DO $$ BEGIN RAISE 'conflict' USING ERRCODE = '40001'; END $$";
            let outcome = transaction.nested(&mut |transaction| match times {
                1 => transaction.define(conflict),
                _ => Ok(()),
            });
            assert_eq!(outcome.is_ok(), times == 2);
            Ok(())
        })
        .unwrap();
    assert_eq!(ids(&database), [2]);
}

#[test]
fn a_connection_that_is_always_lost_is_given_up() {
    let server = PostgresServer::start();
    let database = open(server.url());
    let mut times = 0;
    let error = database
        .write(&mut |transaction| {
            times += 1;
            end_own_connection(transaction)
        })
        .unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert_eq!(times, 5);
}

#[test]
fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let server = PostgresServer::start();
    let proxy = Proxy::start(&server);
    let database = open(proxy.url());
    database
        .write(&mut |transaction| put(transaction, 1, 0))
        .unwrap();
    for expected in 1..=5 {
        proxy.swallow_answers_to_commits(1);
        let mut times = 0;
        database
            .write(&mut |transaction| {
                times += 1;
                transaction.execute(ADD, &[]).map(drop)
            })
            .unwrap();
        assert_eq!(times, 1);
        assert_eq!(counter(&database), expected);
    }
}

#[test]
fn a_commit_that_was_lost_is_not_taken_for_another_of_the_same_number() {
    // Nothing reaches the disk by itself, so that the numbers of transactions are given again.
    let settings = [
        ("wal_writer_delay", "10s"),
        ("autovacuum", "off"),
        ("bgwriter_lru_maxpages", "0"),
    ];
    let mut server = PostgresServer::start_with(&settings, |_| {});
    let proxy = Proxy::start(&server);
    let database = open(proxy.url());
    let number = |transaction: &mut dyn Transaction| {
        let statement = "SELECT CAST(pg_current_xact_id() AS TEXT)";
        let number = transaction.first(statement, &[], |row| row.text(0))?;
        Ok::<_, Error>(number.unwrap())
    };
    proxy.keep_next_commit();
    let (mut lost, mut others) = (None, None);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut numbers = Vec::new();
            let outcome = database.write(&mut |transaction| {
                numbers.push(number(transaction)?);
                put(transaction, 1, 0)
            });
            (outcome, numbers)
        });
        proxy.wait_for_kept_commit();
        server.crash();
        server.start_again();
        let other = Postgres::open(&Secret::new(server.url()), None).unwrap();
        other
            .write(&mut |transaction| {
                others = Some(number(transaction)?);
                put(transaction, 2, 0)
            })
            .unwrap();
        proxy.break_kept();
        let (outcome, numbers) = writing.join().unwrap();
        outcome.unwrap();
        assert_eq!(numbers.len(), 2, "it was done again");
        lost = numbers.into_iter().next();
    });
    assert_eq!(ids(&database), [1, 2]);
    assert_eq!(lost, others, "the number was given again");
}

#[test]
fn a_commit_that_the_server_undid_is_done_again() {
    let server = PostgresServer::start();
    let database = open(server.url());
    // The first commit kills its own connection before it is done.
    database
        .write(&mut |transaction| {
            put(transaction, 1, 0)?;
            transaction.define(
                "CREATE SEQUENCE tries;
                 CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     IF nextval('tries') = 1 THEN
                         PERFORM pg_terminate_backend(pg_backend_pid());
                     END IF;
                     RETURN NULL;
                 END $$;
                 CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON note
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die_once();",
            )
        })
        .unwrap();
    let mut times = 0;
    database
        .write(&mut |transaction| {
            times += 1;
            transaction.execute(ADD, &[]).map(drop)
        })
        .unwrap();
    assert_eq!(times, 2);
    assert_eq!(counter(&database), 1);
}

#[test]
fn a_server_that_is_away_is_told_at_once_and_found_again() {
    let mut server = PostgresServer::start();
    let database = open(server.url());
    let put_one = |id| database.write(&mut |transaction| put(transaction, id, 0));
    put_one(1).unwrap();
    assert_eq!(ids(&database), [1]);
    server.crash();
    for _ in 0..50 {
        let error = put_one(2).unwrap_err().to_string();
        assert!(error.contains("reach PostgreSQL"), "{error}");
        database.read(&mut |_| Ok(())).unwrap_err();
    }
    server.start_again();
    // It is asked again after a pause, so that this ends; the test runner's limit is the judge.
    while put_one(2).is_err() {
        thread::yield_now();
    }
    assert_eq!(ids(&database), [1, 2]);
}

#[test]
fn a_server_that_stands_still_is_told_in_time_then_at_once_and_found_again() {
    let server = PostgresServer::start();
    let proxy = Proxy::start(&server);
    let patience = Duration::from_secs(2);
    let database = Postgres::open_with(&Secret::new(proxy.url()), None, patience).unwrap();
    migrate(&database, &SCHEMA).unwrap();
    let put_one = |id| database.write(&mut |transaction| put(transaction, id, 0));
    let read_one = || database.read(&mut |transaction| number(transaction, 1).map(drop));
    put_one(1).unwrap();
    read_one().unwrap();
    proxy.stand_still(true);
    // Many wait at first, for answers and for a connection that is free; none of them for long.
    let began = Instant::now();
    thread::scope(|scope| {
        for waiting in 0..12 {
            scope.spawn(move || {
                let outcome = match waiting % 3 {
                    0 => put_one(10 + waiting),
                    _ => read_one(),
                };
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("has said nothing for 2 s"), "{error}");
            });
        }
    });
    assert!(began.elapsed() < 3 * patience, "{:?}", began.elapsed());
    // From now on nobody waits.
    let began = Instant::now();
    for _ in 0..500 {
        let error = put_one(2).unwrap_err().to_string();
        assert!(error.contains("reach PostgreSQL"), "{error}");
        read_one().unwrap_err();
    }
    assert!(began.elapsed() < patience / 2, "{:?}", began.elapsed());
    proxy.stand_still(false);
    // It is asked again after a pause, so that this ends; the test runner's limit is the judge.
    while read_one().is_err() {
        thread::yield_now();
    }
    put_one(2).unwrap();
    assert!(ids(&database).starts_with(&[1, 2]));
}

#[test]
fn an_answer_that_takes_long_is_waited_for_while_the_server_lives() {
    let server = PostgresServer::start();
    let patience = Duration::from_millis(500);
    let database = Postgres::open_with(&Secret::new(server.url()), None, patience).unwrap();
    migrate(&database, &SCHEMA).unwrap();
    // The longest of several patiences, and nothing else is asked meanwhile.
    let sleep = "SELECT CAST(COUNT(*) AS BIGINT) FROM pg_sleep(2)";
    let mut slept = None;
    database
        .write(&mut |transaction| {
            slept = transaction.first(sleep, &[], |row| row.int(0))?;
            put(transaction, 1, 0)
        })
        .unwrap();
    assert_eq!(slept, Some(1));
    assert_eq!(ids(&database), [1]);
}

#[test]
fn a_commit_that_stood_still_on_its_way_is_done_once() {
    let server = PostgresServer::start();
    let proxy = Proxy::start(&server);
    let patience = Duration::from_secs(1);
    let database = Postgres::open_with(&Secret::new(proxy.url()), None, patience).unwrap();
    migrate(&database, &SCHEMA).unwrap();
    database
        .write(&mut |transaction| put(transaction, 1, 0))
        .unwrap();
    let mut is_first = true;
    let outcome = database.write(&mut |transaction| {
        transaction.execute(ADD, &[])?;
        if is_first {
            proxy.stand_still(true);
            is_first = false;
        }
        Ok(())
    });
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("is not known"), "{error}");
    // Now it comes through; whoever writes next waits for it.
    proxy.stand_still(false);
    while database.write(&mut |_| Ok(())).is_err() {
        thread::yield_now();
    }
    assert_eq!(counter(&database), 1);
}

#[test]
fn a_writer_that_stands_still_does_not_stop_another_process() {
    let server = PostgresServer::start();
    let (sleeper, other) = (open(server.url()), open(server.url()));
    let mut times = 0;
    sleeper
        .write(&mut |transaction| {
            times += 1;
            put(transaction, 1, times)?;
            if times == 1 {
                // As if it had stood still: the limit that counts is the server's.
                let soon = "SET idle_in_transaction_session_timeout = '200ms'";
                transaction.define(soon)?;
                other.write(&mut |transaction| put(transaction, 2, 0))?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(times, 2);
    assert_eq!(ids(&other), [1, 2]);
}

#[test]
fn commits_are_durable_where_the_server_was_told_otherwise() {
    let settings = [("synchronous_commit", "off")];
    let server = PostgresServer::start_with(&settings, |_| {});
    open(server.url())
        .write(&mut |transaction| {
            let setting = "SELECT current_setting('synchronous_commit')";
            let setting = transaction.first(setting, &[], |row| row.text(0))?;
            assert_eq!(setting.as_deref(), Some("on"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_null_and_a_number_may_stand_at_the_same_place() {
    let scene = Scene::postgres();
    let database = scene.open();
    let insert = "INSERT INTO note (id, number, word, bytes) VALUES ($1, $2, $3, $4)";
    let null = Value::Null;
    let rows = [
        [Value::Int(1), null, null, null],
        [
            Value::Int(2),
            Value::Int(5),
            Value::Text("x"),
            Value::Bytes(b"y"),
        ],
        [Value::Int(3), null, Value::Text("x"), null],
        [Value::Int(4), Value::Int(i64::MAX), null, Value::Bytes(b"")],
    ];
    database
        .write(&mut |transaction| {
            rows.iter()
                .try_for_each(|row| transaction.execute(insert, row).map(drop))
        })
        .unwrap();
    assert_eq!(ids(&*database).len(), 4);
}

#[test]
fn more_statements_than_are_kept_prepared_still_run() {
    let scene = Scene::postgres();
    let database = scene.open();
    database
        .write(&mut |transaction| {
            for n in 0..600 {
                let statement = format!("SELECT CAST($1 AS BIGINT) + {n}");
                let sum = transaction.first(&statement, &[Value::Int(1)], |row| row.int(0))?;
                assert_eq!(sum, Some(n + 1));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_password_is_never_shown() {
    let server = PostgresServer::start();
    let proxy = Proxy::start(&server);
    let debug = format!("{:?}", open(proxy.url()));
    assert!(debug.contains("127.0.0.1"), "{debug}");
    assert!(!debug.contains("hunter2"), "{debug}");
    for url in [
        "postgres://user:hunter2@127.0.0.1:1/vault",
        "postgres://user:hunter2@127.0.0.1:hunter2/vault",
        "postgres://user:hunter2@host.invalid/vault?sslmode=hunter2",
        "postgres://user:hunter2@host.invalid/vault",
        "postgres://us er:hun%zzter2/hunter2@/vault?hunter2=hunter2",
        "host=127.0.0.1 port=1 password=hunter2",
        "hunter2",
    ] {
        let error = Postgres::open(&Secret::new(url), None).unwrap_err();
        assert!(
            !format!("{error:?} {error}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let server = PostgresServer::start();
    let made = Command::new("psql")
        .arg(server.url())
        .args(["--command", "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C'"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let url = server
        .url()
        .replace("/postgres", "/latin")
        .replace("//latin", "//postgres");
    let error = Postgres::open(&Secret::new(url), None).unwrap_err();
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[test]
fn with_tls_a_server_must_prove_its_name() {
    let port = free_port();
    let settings = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port.to_string()),
        ("ssl", "on"),
        ("ssl_cert_file", "../server.crt"),
        ("ssl_key_file", "../server.key"),
    ];
    let server = PostgresServer::start_with(&settings, make_certificates);
    let url = |host: &str, mode: &str| {
        Secret::new(format!(
            "postgres://postgres@{host}:{port}/postgres?sslmode={mode}"
        ))
    };
    let authority = server.folder().join("authority.crt");
    let authority = Some(authority.as_path());

    let database = Postgres::open(&url("localhost", "require"), authority).unwrap();
    database
        .read(&mut |transaction| {
            let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            assert_eq!(
                transaction.first(encrypted, &[], |row| row.int(0))?,
                Some(1)
            );
            Ok(())
        })
        .unwrap();
    let refusal = |host: &str, mode: &str, authority: Option<&Path>| {
        Postgres::open(&url(host, mode), authority)
            .unwrap_err()
            .to_string()
    };
    let other_name = refusal("127.0.0.1", "require", authority);
    assert!(other_name.contains("not valid for name"), "{other_name}");
    let unknown = refusal("localhost", "require", None);
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    let contradiction = refusal("localhost", "disable", authority);
    assert!(contradiction.contains("sslmode=require"), "{contradiction}");
    let key = server.folder().join("server.key");
    let no_certificate = refusal("localhost", "require", Some(&key));
    assert!(
        no_certificate.contains("no certificate"),
        "{no_certificate}"
    );

    let plain = PostgresServer::start();
    let proxy = Proxy::start(&plain);
    let url = proxy.url().replace("127.0.0.1", "localhost") + "?sslmode=require";
    let error = Postgres::open(&Secret::new(url), authority).unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An authority, and a certificate for "localhost" that it signed.
fn make_certificates(folder: &Path) {
    fs::write(folder.join("name.txt"), "subjectAltName=DNS:localhost").unwrap();
    let ec = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let authority = ["-x509", "-days", "3650", "-subj", "/CN=Test authority"];
    let authority_files = ["-keyout", "authority.key", "-out", "authority.crt"];
    openssl(
        folder,
        &[&["req"], &ec[..], &authority, &authority_files].concat(),
    );
    let ask = [
        "-subj",
        "/CN=localhost",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    openssl(folder, &[&["req"], &ec[..], &ask].concat());
    let sign = ["x509", "-req", "-in", "server.csr", "-days", "3650"];
    let by = [
        "-CA",
        "authority.crt",
        "-CAkey",
        "authority.key",
        "-CAcreateserial",
    ];
    let out = ["-extfile", "name.txt", "-out", "server.crt"];
    openssl(folder, &[&sign[..], &by, &out].concat());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("openssl is needed for this test: apt-get install openssl");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn steps_of_the_schema_take_the_time_that_they_need_and_nothing_else_does() {
    let server = PostgresServer::start();
    let database = Postgres::open(&Secret::new(server.url()), None).unwrap();
    let note = "INSERT INTO seen (told) SELECT current_setting('statement_timeout')";
    let step = format!("CREATE TABLE seen (told TEXT NOT NULL); {note}");
    migrate(&database, &[step.as_str()]).unwrap();
    let mut work = |transaction: &mut dyn Transaction| transaction.execute(note, &[]).map(drop);
    database.write(&mut work).unwrap();
    let mut told = Vec::new();
    let mut read = |transaction: &mut dyn Transaction| {
        told.clear();
        let all = "SELECT told FROM seen";
        transaction.query(all, &[], &mut |row| {
            told.push(row.text(0)?);
            Ok(())
        })
    };
    database.read(&mut read).unwrap();
    told.sort();
    assert_eq!(told, ["0", "1min"]);
}
