//! What SQLite alone does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use strongroom_vault::Error;
use strongroom_vault::database::Sqlite;

use crate::database::{Scene, put};

fn refusal(path: &Path) -> String {
    let error = Sqlite::open(path).unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn nobody_but_the_owner_can_read_its_files() {
    let scene = Scene::sqlite();
    let database = scene.open();
    database
        .write(&mut |transaction| put(transaction, 1, 1))
        .unwrap();
    let Scene::Sqlite(folder) = &scene else {
        unreachable!()
    };
    let mut files = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(files, 3);
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    let text = "This is a letter, and no database. ".repeat(100);
    fs::write(&path, &text).unwrap();
    assert!(refusal(&path).contains("not a database"));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.db");
    for setup in ["CREATE TABLE photos (id)", "PRAGMA application_id = 77"] {
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch(setup).unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        assert!(refusal(&path).contains("belongs to another program"));
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/vault.db");
    assert!(refusal(&path).contains("nowhere/vault.db"));
}

#[test]
fn a_value_that_does_not_fit_its_column_is_refused() {
    let scene = Scene::sqlite();
    let database = scene.open();
    let overflow = database.write(&mut |transaction| {
        put(transaction, 1, i64::MAX)?;
        transaction
            .execute("UPDATE note SET number = number + 1", &[])
            .map(drop)
    });
    let error = overflow.unwrap_err().to_string();
    assert!(error.contains("note.number"), "{error}");
}

#[test]
fn every_commit_is_synchronised_with_the_disk() {
    let scene = Scene::sqlite();
    scene
        .open()
        .write(&mut |transaction| {
            let settings = "SELECT synchronous, foreign_keys, journal_mode
                            FROM pragma_synchronous, pragma_foreign_keys, pragma_journal_mode";
            transaction.query(settings, &[], &mut |row| {
                let full = 2;
                assert_eq!((row.int(0)?, row.int(1)?), (full, 1));
                assert_eq!(row.text(2)?, "wal");
                Ok(())
            })
        })
        .unwrap();
}
