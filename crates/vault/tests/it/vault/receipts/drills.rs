//! Statements of drills: what is kept of them, and of whom none is taken.

use strongroom_model::attack::{SignedDrill, Verdict};
use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::rules::right::Right;

use crate::signing::Client;
use crate::vault::scene::{Scene, repository};

#[test]
fn a_token_that_was_revoked_while_it_sent_a_statement_leaves_no_leaf_and_binds_no_key() {
    let scene = Scene::new();
    let (append, reporter) = (scene.token(Right::Append), scene.token(Right::Report));
    scene.init(&append);
    let (id, sent) = Client::new(1).drill(Verdict::NotProven);
    let key = sent["key"].as_str().unwrap();
    let drill: SignedDrill = serde_json::from_value(sent["drill"].clone()).unwrap();
    let take = |who| scene.vault.take_drill(who, &repository(), key, &drill);
    scene
        .vault
        .revoke_token(Who::Folder, &reporter.name)
        .unwrap();
    let refused = take(&reporter);
    assert!(matches!(refused, Err(Error::Unauthorized)), "{refused:?}");
    assert_eq!(scene.acts("drill").len(), 0);
    assert_eq!(scene.acts("client-key").len(), 0);
    assert_eq!(take(&append).unwrap(), id);
    assert_eq!(scene.acts("drill").len(), 1);
    assert_eq!(scene.acts("client-key").len(), 1);
}
