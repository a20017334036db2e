//! What counts as a place of its own: devices, servers, sites and domains.

use super::*;

#[test]
fn two_folders_on_one_device_are_one_copy_and_one_medium() {
    let text = CONFIG
        .replace("rest:https://vault.example.net/acme/", "/mnt/usb")
        .replace("\"ams-2\"", "\"safe\"")
        .replacen("medium = \"object\"", "medium = \"disk\"", 1);
    let text = text.replacen(
        "store = \"/mnt/usb\"\nmedium = \"disk\"",
        "store = \"/mnt/usb\"\nmedium = \"removable\"",
        1,
    );
    let device = |number| Location::Folder {
        device: Some(DeviceId(number)),
    };
    let apart = World::of(&text).with(|world| world.copy("vault").location = device(3));
    assert_eq!(apart.marks(), "+ +++++");
    let same = World::of(&text).with(|world| world.copy("vault").location = device(2));
    assert_eq!(same.marks(), "- --+++");
    same.assert_line(
        LineKind::Copies,
        "2 of 3 whole and independent: here, offsite; vault is on the device of here",
        "add a [[copy]] on a device or server of its own to strongroom.toml",
    );
    same.assert_line(
        LineKind::Media,
        "all whole and independent copies are on disk",
        "add a [[copy]] with another medium than \"disk\" to strongroom.toml",
    );
}

#[test]
fn a_server_on_this_machine_is_neither_offsite_nor_known_to_be_another_device() {
    let world = good().with(|world| {
        for copy in ["vault", "offsite"] {
            world.copy(copy).location = Location::Server {
                host: format!("{copy}.example"),
                here: Some(true),
                link: None,
            };
        }
    });
    assert_eq!(world.marks(), "- ??-?+");
    let (reason, mend) = world.line(LineKind::Offsite);
    assert_eq!(
        reason,
        "here is a folder of this machine; vault is this very machine; offsite is this very machine",
    );
    assert!(
        mend.unwrap()
            .starts_with("add a [[copy]] on a server at another site")
    );
    world.assert_line(
        LineKind::Copies,
        "1 of 3 whole and independent: here; vault may be on the device of here; offsite may be on \
         the device of here",
        "give each copy a device or server of its own in strongroom.toml",
    );
}

#[test]
fn loopback_is_known_from_the_address_alone() {
    let text = CONFIG
        .replace("vault.example.net", "127.0.0.1:8000")
        .replace("offsite.example.org", "localhost:8001");
    let world = World::of(&text).with(|world| {
        for copy in &world.config.copies[1..] {
            let location = Location::of(&copy.store);
            world.facts.copies.get_mut(&copy.name).unwrap().location = location;
        }
    });
    assert_eq!(world.marks(), "- ??-?+");
}

#[test]
fn two_repositories_on_one_server_may_share_a_device() {
    let world = good().with(|world| {
        let location = world.copy("vault").location.clone();
        world.copy("offsite").location = location;
    });
    assert_eq!(world.marks(), "? ??+?+");
}

#[test]
fn a_copy_on_the_device_of_a_source_is_a_copy_but_not_offsite() {
    let world = good().with(|world| {
        world.copy("here").location = Location::Folder {
            device: Some(DeviceId(1)),
        };
        world.copy("vault").location = Location::Server {
            host: "v".to_owned(),
            here: None,
            link: None,
        };
        world.copy("offsite").snapshots.clear();
    });
    let (reason, _) = world.line(LineKind::Offsite);
    assert_eq!(
        reason,
        "here is on the device of source repos; vault has a name that does not resolve, and may be \
         this machine; offsite lacks the newest snapshot of repos",
    );
    assert!(world.line(LineKind::Copies).0.contains("independent: here"));
}

#[test]
fn offsite_needs_another_site_and_another_domain() {
    let only = |site: &str, domain: &str| {
        let text = CONFIG
            .replace("\"ams-2\"", "\"fra-1\"")
            .replace("\"eu-central-1\"", &format!("\"{site}\""))
            .replace("\"offsite-account\"", &format!("\"{domain}\""));
        World::of(&text)
    };
    assert_eq!(only("elsewhere", "others").marks(), "+ +++++");
    assert_eq!(only("fra-1", "others").marks(), "- ++-++");
    assert_eq!(only("elsewhere", "production").marks(), "- ++-++");
    let (reason, _) = only("elsewhere", "production").line(LineKind::Offsite);
    assert_eq!(
        reason,
        "here is a folder of this machine; vault is at the sources' own site, fra-1; offsite is \
         under the sources' own domain, production",
    );
}

#[test]
fn without_a_local_copy_the_place_of_the_sources_must_be_said() {
    let text = CONFIG.replace("/var/backups/strongroom", "rest:https://third.example/");
    let unsaid = World::of(&text).with(|world| {
        world.copy("here").location = Location::Server {
            host: "t".to_owned(),
            here: Some(false),
            link: None,
        };
    });
    assert_eq!(unsaid.marks(), "? ++?++");
    assert_eq!(
        unsaid.line(LineKind::Offsite).1.unwrap(),
        "write site = \"…\" and domain = \"…\" of the sources at the top of strongroom.toml",
    );
    let said = World {
        config: World::of(&format!("site = \"x\"\ndomain = \"y\"\n{text}")).config,
        ..unsaid
    };
    assert_eq!(said.marks(), "+ +++++");
}

#[test]
fn one_store_under_two_addresses_is_one_copy_and_one_medium() {
    let seen = |of: &str, other: &str| {
        good().with(|world| {
            let at = minutes_ago(180);
            world.copy(of).one_place.insert(name(other), at);
        })
    };
    // Whichever of the two remembers it.
    for (of, other) in [("vault", "offsite"), ("offsite", "vault")] {
        let world = seen(of, other);
        assert_eq!(world.marks(), "- --+-+");
        world.assert_line(
            LineKind::Copies,
            "2 of 3 whole and independent: here, vault; offsite is vault under another address \
             (seen 3 h ago)",
            "add a [[copy]] on a device or server of its own to strongroom.toml",
        );
    }
}

#[test]
fn a_server_whose_store_is_a_folder_of_this_machine_is_not_offsite() {
    let world = good().with(|world| {
        for copy in ["vault", "offsite"] {
            world
                .copy(copy)
                .one_place
                .insert(name("here"), minutes_ago(5));
        }
    });
    let (reason, _) = world.line(LineKind::Offsite);
    assert!(reason.contains("vault is here under another address, and on this machine"));
    assert_eq!(world.marks(), "- ----+");
}

#[test]
fn a_server_behind_a_virtual_interface_may_be_a_container_of_this_machine() {
    let world = good().with(|world| {
        for copy in ["vault", "offsite"] {
            world.copy(copy).location = Location::Server {
                host: format!("{copy}.example"),
                here: None,
                link: Some("docker0".to_owned()),
            };
        }
    });
    assert_eq!(world.marks(), "? ????+");
    let (reason, _) = world.line(LineKind::Offsite);
    assert!(reason.contains(
        "vault is reached through the virtual interface docker0, and may be this machine"
    ));
}
