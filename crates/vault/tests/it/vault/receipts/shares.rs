//! What receipts hold back is looked at in shares, and what stands behind it has its turn.

use strongroom_vault::rules::clock::{HOUR_MS, MINUTE_MS};

use super::World;
use crate::vault::scene::Scene;

#[test]
pub(crate) fn a_run_that_looked_at_its_share_in_vain_is_gone_on_with_by_the_next() {
    // Three go in a run, and thirty are looked at.
    let world = World::within(Scene::with(|settings| settings.purge_share = 3));
    let scene = &world.scene;
    world.remove_claimed(70);
    // What is looked at last, since its deletion was asked for last.
    scene.pass(MINUTE_MS);
    world.remove(world.files[1]);
    scene.agree().unwrap();
    scene.pass(4 * HOUR_MS);
    assert_eq!(world.purge(), (0, 30));
    assert_eq!(world.purge(), (0, 30));
    assert_eq!(world.purge(), (1, 10));
    // Behind the last one it begins in front again.
    assert_eq!(world.purge(), (0, 30));
}
