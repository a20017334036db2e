//! What `drill attack` draws for people of a copy on a real vault, and of one in a bucket of a real
//! Ceph; that of a folder is a transcript.

use strongroom_testkit::{Bucket, Ceph, CephAccount};

use crate::drill_attack::configure;
use crate::real_vault::RealVault;
use crate::scene::{PASSWORD, Scene, plant_key, write_noise};
use crate::transcript::fits;

/// Each row says attempt, expected, seen and verdict; which refusal it was is the vault's to say.
const OF_VAULT: &str = "\
three, as token [..]
attempt  expected  seen  verdict
put a canary as backups do  taken, with its lock  done; the bytes are there  withstood
overwrite  refused  refused: [..]; the bytes are there  withstood
truncate  refused  refused: [..]; the bytes are there  withstood
write a range  refused  not tried: [..] does not know it: [..]  not tried
copy over itself  refused  not tried: [..] does not know it: [..]  not tried
rename  refused  not tried: [..] does not know it: [..]  not tried
delete under another method  refused  not tried: [..] nothing of it [..]  not tried
delete by a twisted path  refused  refused: [..]; the bytes are there  withstood
delete  refused, or kept  refused: [..]; the bytes are there  withstood
overwrite config (probe)  refused  not tried: this token may make no [..]  not tried
delete config (probe)  refused  not tried: this token may make no [..]  not tried
make a token  refused  refused: [..]  withstood
raise its own rights  refused  refused: [..]  withstood
hide what a token has put  refused  refused: [..]  withstood
lower retention  refused  refused: [..]  withstood
purge now  refused  refused: [..]  withstood
remove the repository (probe)  refused  refused: [..]  withstood
move the clock  refused  refused: [..]  withstood
the vault says that it keeps what arrives for 30 d, and what is deleted for 30 d; that, and [..]
Remnants on three: 1 canary, since [..]: data/[..]; the next drill tries again [..]
three: proven: withstood production's token; whoever rules the vault was not tried
";

/// The same of a bucket; how it answers to what changes no bytes is the server's to say.
const OF_BUCKET: &str = "\
drawn, as key owner-key[..]
attempt  expected  seen  verdict
delete what is not locked, by version  done  done; the bytes are gone  withstood
put a canary as backups do  taken, with its lock  done; the bytes are there  withstood
look at the locks of files  locked  done; the bytes are there  withstood
delete  hidden, and there by version  done; the bytes are there  withstood
delete by version  refused  refused: [..]; the bytes are there  withstood
delete by version, bypassing  refused  refused: [..]; the bytes are there  withstood
multi-delete  refused  refused: [..]; the bytes are there  withstood
multi-delete, bypassing  refused  refused: [..]; the bytes are there  withstood
overwrite  hidden, and there by version  done; the bytes are there  withstood
truncate  hidden, and there by version  done; the bytes are there  withstood
copy over itself  hidden, and there by version  [..]; the bytes are there  withstood
rename  hidden, and there by version  not tried: [..]  not tried
shorten the lock  refused  [..]; the bytes are there  withstood
shorten the lock, bypassing  refused  [..]; the bytes are there  withstood
change the mode  refused  [..]; the bytes are there  withstood
change the mode, bypassing  refused  refused: [..]; the bytes are there  withstood
remove the lock, bypassing  refused  [..]; the bytes are there  withstood
remove a legal hold  the lock outlives it  [..]
suspend versioning (probe)  refused  [..]; the bytes are there  withstood
end the default retention (probe)  the lock outlives it  [..]; the bytes are there  withstood
remove the policy and delete (probe)  refused  not tried: the bucket has no policy  not tried
change the lifecycle (probe)  the lock outlives it  [..]
delete the bucket (probe)  refused  refused: [..]; the bytes are there  withstood
destroy the key of its encryption  no such key  not tried: [..]  not tried
make a token  refused  not tried: keys are made by the provider [..]  not tried
raise its own rights  refused  not tried: not even a probe is opened to others: [..]  not tried
move the clock  refused  not tried: a bucket takes its provider's time  not tried
...
Remnants on drawn: the probe bucket drawn-probe-[..], since [..]; the next drill tries again [..]
Remnants on drawn: [..] canar[..], since [..]: drawn[..]; the next drill tries again [..]
drawn: proven: withstood a credential that deletes what is not locked[..]
";

/// Asserts that a table has four columns, each behind the widest cell of the one before. It has so
/// many rows, the titles among them, and stands below one line.
#[track_caller]
fn assert_columns(drawn: &str, rows: usize) {
    let table: Vec<&str> = drawn.lines().skip(1).take(rows).collect();
    let columns = ["attempt", "expected", "seen", "verdict"];
    let columns = columns.map(|title| table[0].find(title).unwrap());
    for row in table {
        let is_begun = |column: &usize| {
            let (before, cell) = row.split_at(*column);
            before.ends_with("  ") && !cell.starts_with(' ')
        };
        assert!(columns[1..].iter().all(is_begun), "{row}");
    }
}

#[test]
fn the_table_of_a_vault_says_of_each_attempt_what_is_expected_and_seen() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (_vault, _, token) = RealVault::of_copy(&scene, "append");
    scene.begin();
    let told = scene.expect(0, &["drill", "attack", "--copy", "three"]);
    assert!(fits(OF_VAULT, &told.out), "{}", told.out);
    assert!(!told.out.contains(&token));
    assert_columns(&told.out, 19);
}

/// A locked bucket that nobody has attacked before gets the table of one.
pub(super) fn that_of_a_bucket_says_the_same(ceph: &Ceph, account: &CephAccount) {
    Bucket::new(ceph, account, "drawn").create_locked();
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    configure(&scene, ceph, account, &[("drawn", "lock = \"30d\"\n")]);
    plant_key(&scene.path("folder"), PASSWORD);
    scene.expect(0, &["init"]);
    scene.expect(0, &["backup"]);
    let told = scene.expect(0, &["drill", "attack", "--copy", "drawn"]);
    assert!(fits(OF_BUCKET, &told.out), "{}", told.out);
    assert!(!told.out.contains(&account.secret_key));
    assert_columns(&told.out, 28);
}
