//! A state folder that cannot take the record of a removal: then no copy gets it, and nothing goes.

use super::*;

#[test]
fn what_the_state_folder_does_not_take_is_on_no_copy_and_removes_nothing() {
    let all = ["one", "two", "three"];
    // Where it is noted whose record it is, and where the record is kept.
    for place in ["", "records"] {
        let world = World::new();
        let mut session = world.open(&all);
        let memory = world.memory(&session);
        let folder = world.state.path().join(session.id().to_string());
        // A folder where bytes lie until they are complete is in the way of whoever is root too.
        let obstacle = folder.join(place).join(".writing");
        std::fs::create_dir_all(&obstacle).unwrap();
        let refused = publish(&mut session, &memory, world.removal()).unwrap_err();
        assert!(matches!(refused, Error::Local { .. }), "{refused:?}");
        for copy in all {
            assert!(world.fixture.ids(copy, FileType::Records).is_empty());
        }

        // Nor does anybody finish it, neither this run nor the next one.
        std::fs::remove_dir(&obstacle).unwrap();
        assert_eq!(world.finish(&mut session), []);
        let mut session = world.open(&all);
        assert_eq!(session.removals.records().count(), 0);
        assert_eq!(world.finish(&mut session), []);
        for copy in all {
            assert_eq!(world.left(copy), world.first.len(), "{copy}");
        }

        // And it can be decided anew.
        let published = publish(&mut session, &memory, world.removal()).unwrap();
        assert_eq!(published.not_on, []);
        world.finish(&mut session);
        for copy in all {
            assert_eq!(world.left(copy), 0, "{copy}");
            world.assert_second_is_whole(copy);
        }
    }
}
