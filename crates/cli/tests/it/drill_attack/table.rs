//! What `drill attack` draws for people of a copy on a real vault; that of a folder is a transcript.

use crate::real_vault::RealVault;
use crate::scene::{Scene, write_noise};
use crate::transcript::fits;

/// Each row says attempt, expected, seen and verdict; which refusal it was is the vault's to say.
const TABLE: &str = "\
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

#[test]
fn the_table_of_a_vault_says_of_each_attempt_what_is_expected_and_seen() {
    let scene = Scene::new();
    write_noise(&scene.source().join("noise"), 1, 1 << 20);
    let (_vault, _, token) = RealVault::of_copy(&scene, "append");
    scene.begin();
    let told = scene.expect(0, &["drill", "attack", "--copy", "three"]);
    assert!(fits(TABLE, &told.out), "{}", told.out);
    assert!(!told.out.contains(&token));

    // Four columns, each behind the widest cell of the one before.
    let table: Vec<&str> = told.out.lines().skip(1).take(19).collect();
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
