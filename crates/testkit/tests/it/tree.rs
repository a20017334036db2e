//! Trees are made equal by equal seeds, and no difference is overlooked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use strongroom_testkit::tree::{TreeSpec, compare, compare_with, digest, mutate};
use tempfile::TempDir;

#[test]
fn one_seed_makes_one_tree_and_another_makes_another() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    TreeSpec::everything(1).build(&at("a"));
    TreeSpec::everything(1).build(&at("b"));
    TreeSpec::everything(2).build(&at("c"));
    assert_eq!(compare_with(&at("a"), &at("b"), true), []);
    assert_eq!(digest(&at("a")), digest(&at("b")));
    assert!(!compare(&at("a"), &at("c")).is_empty());
    assert_ne!(digest(&at("a")), digest(&at("c")));
}

#[test]
fn a_copy_by_cp_is_the_same_tree() {
    let folder = TempDir::new().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    TreeSpec::everything(3).build(&from);
    let status = Command::new("cp")
        .arg("-a")
        .arg("--sparse=always")
        .args([&from, &to])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(compare(&from, &to), []);
}

#[test]
fn each_kind_of_difference_is_named() {
    type Change = fn(&Path);
    let cases: [(&str, Change); 13] = [
        ("mode", |odd| {
            fs::set_permissions(odd.join("names/-rf"), fs::Permissions::from_mode(0o611)).unwrap()
        }),
        ("content", |odd| {
            let file = fs::File::options()
                .write(true)
                .open(odd.join("holes/none"))
                .unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"!", 1_000_000).unwrap();
        }),
        ("size", |odd| {
            fs::write(odd.join("names/-rf"), "other").unwrap()
        }),
        ("mtime", |odd| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(1);
            let file = fs::File::options()
                .write(true)
                .open(odd.join("times/0"))
                .unwrap();
            file.set_modified(time).unwrap();
        }),
        ("target", |odd| {
            fs::remove_file(odd.join("links/dangling")).unwrap();
            symlink("elsewhere", odd.join("links/dangling")).unwrap();
        }),
        ("hard link", |odd| {
            fs::remove_file(odd.join("links/two")).unwrap();
            fs::copy(odd.join("links/one"), odd.join("links/two")).unwrap();
        }),
        ("missing", |odd| {
            fs::remove_file(odd.join("special/fifo")).unwrap()
        }),
        ("extra", |odd| fs::write(odd.join("extra"), "").unwrap()),
        ("attributes", |odd| {
            rustix::fs::removexattr(odd.join("attributes/file"), "user.empty").unwrap();
        }),
        ("attributes", |odd| {
            let folder = odd.join("attributes");
            rustix::fs::removexattr(folder, "system.posix_acl_default").unwrap();
        }),
        ("owner", |odd| {
            std::os::unix::fs::lchown(odd.join("links/link"), Some(1), Some(1)).unwrap()
        }),
        ("device", |odd| {
            fs::remove_file(odd.join("privileged/block")).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o640);
            let kind = rustix::fs::FileType::BlockDevice;
            let device = rustix::fs::makedev(8, 1);
            let path = odd.join("privileged/block");
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, device).unwrap();
        }),
        ("holes", |odd| {
            fs::write(odd.join("holes/nothing else"), vec![0; 8 << 20]).unwrap()
        }),
    ];
    for (what, change) in cases {
        let folder = TempDir::new().unwrap();
        let (left, right) = (folder.path().join("left"), folder.path().join("right"));
        let spec = TreeSpec {
            oddities: true,
            ..TreeSpec::small(4)
        };
        spec.build(&left);
        spec.build(&right);
        change(&right.join("odd"));
        let found = compare_with(&left, &right, true);
        assert!(
            found.iter().any(|difference| difference.what == what),
            "{what}: {found:?}"
        );
        assert_ne!(digest(&left), digest(&right), "{what}");
    }
}

#[test]
fn a_mutation_is_repeatable_and_touches_what_it_says() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a", "b", "c"] {
        TreeSpec::small(5).build(&at(name));
    }
    let touched = mutate(&at("b"), 9);
    assert_eq!(mutate(&at("c"), 9).len(), touched.len());
    assert_eq!(touched.len(), 6);
    let mut different = compare(&at("b"), &at("c"));
    // Files that were written by the clock differ in nothing but that.
    different.retain(|difference| difference.what != "mtime");
    assert_eq!(different, []);
    let changed = compare(&at("a"), &at("b"));
    for what in ["size", "missing", "extra", "mode"] {
        assert!(
            changed.iter().any(|difference| difference.what == what),
            "{what}"
        );
    }
}
