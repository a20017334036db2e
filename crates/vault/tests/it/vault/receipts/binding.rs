//! Keys of clients, each bound to a token.

use strongroom_vault::Error;
use strongroom_vault::people::Who;
use strongroom_vault::rules::right::Right;

use super::World;
use crate::signing::{Client, accept, first};
use crate::vault::scene::repository;

#[test]
pub(crate) fn a_token_is_bound_to_the_first_key_until_an_administrator_lets_it_go() {
    let world = World::new();
    let scene = &world.scene;
    world.send_first();
    let other = Client::new(2);
    let receipt = other.receipt(world.snapshot, None, first(&world.needs()));
    let refused = other.send(scene, &world.append, &receipt);
    assert!(
        matches!(refused, Err(Error::OtherClient { .. })),
        "{refused:?}"
    );
    assert!(
        scene
            .vault
            .forget_client_key(Who::Folder, &world.append.name)
            .unwrap()
    );
    assert!(
        !scene
            .vault
            .forget_client_key(Who::Folder, &world.append.name)
            .unwrap()
    );
    other.send(scene, &world.append, &receipt).unwrap();
    assert_eq!(scene.acts("client-key").len(), 2);
    assert_eq!(scene.acts("client-key-forgotten").len(), 1);
    // A receipt that is known binds as well.
    let fresh = scene.token(Right::Maintain);
    other.send(scene, &fresh, &receipt).unwrap();
    let refused = world.client.send(scene, &fresh, &world.receipt());
    assert!(
        matches!(refused, Err(Error::OtherClient { .. })),
        "{refused:?}"
    );
    assert_eq!(scene.acts("receipt").len(), 2);
}

#[test]
fn a_token_that_was_revoked_while_it_sent_a_known_receipt_leaves_no_leaf_and_binds_no_key() {
    let world = World::new();
    let scene = &world.scene;
    let id = world.send_first();
    let request = world.client.request(&world.client.sign(&world.receipt()));
    let send = |revokes| {
        let who = scene.token(Right::Report);
        let spool = scene.folder.path();
        let begun = scene.vault.begin_receipt(&who, &repository(), None, spool);
        let mut upload = begun.unwrap();
        upload.write(&request).unwrap();
        if revokes {
            scene.vault.revoke_token(Who::Folder, &who.name).unwrap();
        }
        accept(upload)
    };
    let refused = send(true);
    assert!(matches!(refused, Err(Error::Unauthorized)), "{refused:?}");
    assert_eq!(scene.acts("client-key").len(), 1);
    assert_eq!(send(false).unwrap().receipt, id);
    assert_eq!(scene.acts("client-key").len(), 2);
}
