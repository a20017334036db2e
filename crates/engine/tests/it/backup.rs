//! First backups, increments, and what stock restic says of them.

use strongroom_engine::backup::report::CopyOutcome;

use crate::fixture::{Fixture, fill};

#[test]
fn restic_finds_three_sound_copies_and_restores_the_same_tree() {
    let fixture = Fixture::new();
    fill(&fixture.source(), "/usr/include/linux");
    let report = fixture.backup();
    assert!(
        report
            .copies
            .iter()
            .all(|copy| copy.outcome == CopyOutcome::Whole)
    );
    assert!(report.is_complete(), "{report:?}");
    fixture.check_all();
    let target = fixture.folder.path().join("restored");
    fixture.restic(
        "two",
        &["restore", "latest", "--target", target.to_str().unwrap()],
    );
    let restored = target.join(fixture.source().strip_prefix("/").unwrap());
    assert_eq!(
        strongroom_testkit::tree::compare(&fixture.source(), &restored),
        []
    );

    let again = fixture.backup();
    assert_eq!(again.packs_written, 0, "{again:?}");
    assert_eq!(again.sources[0].tree, report.sources[0].tree);
    assert_eq!(again.sources[0].stats.files_read, 0);
    fixture.check_all();
}
