//! Who destroys what, as the scorecard knows it.

use super::*;
use crate::attack::Verdict;
use crate::blast::PlaceKey;

#[test]
fn where_a_single_domain_destroys_all_the_plan_is_missed_though_every_line_is_met() {
    let under = |domain: &str| {
        good().with(|world| {
            world.config.copies.remove(0);
            world.facts.copies.remove("here");
            world.config.plan.copies = 2;
            world.config.copies[1].domain = name(domain);
        })
    };
    let apart = under("offsite-account");
    assert_eq!(apart.marks(), "+ +++++");
    assert_eq!(apart.card().met, Standing::Met);
    let one = under("vault-team");
    assert_eq!(one.marks(), "+ +++++");
    let card = one.card();
    assert_eq!(card.met, Standing::Missed);
    let said = card.blast.spoken();
    assert!(
        said.ends_with("A single domain destroys all: vault-team."),
        "{said}"
    );
}

#[test]
fn a_proof_counts_against_productions_credentials_while_it_is_young() {
    let proven = |days| {
        let world = good().with(|world| {
            for copy in ["vault", "offsite"] {
                world.copy(copy).lock_proven = Some(days_ago(days));
            }
        });
        world.card().blast
    };
    let young = proven(30);
    assert_eq!(
        young.spoken(),
        "Whoever holds production destroys 1 of 3 copies. No single domain destroys all."
    );
    let old = proven(31);
    assert_eq!(old.standing(), Standing::Unproven);
    let doubtful = old.outcome([name("production")].into()).doubtful;
    assert_eq!(doubtful, [name("vault"), name("offsite")]);
}

#[test]
fn whoever_rules_the_key_of_a_bucket_destroys_the_copy_in_it() {
    let world = good().with(|world| {
        let key = "arn:aws:kms:eu-central-1:123456789012:key/1".to_owned();
        world.copy("offsite").key = Some(PlaceKey::named(Some(key)));
        world.config.runs_in = Some("aws:123456789012".parse().unwrap());
    });
    let blast = world.card().blast;
    let destroyed = blast.outcome([name("production")].into()).destroyed;
    assert_eq!(destroyed, [name("here"), name("offsite")]);
    let declared = world.with(|world| {
        world.config.runs_in = None;
        world.config.copies[2].s3.key_domain = Some(name("key-team"));
    });
    let blast = declared.card().blast;
    let destroyed = blast.outcome([name("key-team")].into()).destroyed;
    assert_eq!(destroyed, [name("offsite")]);
}

#[test]
fn one_credential_for_two_copies_makes_their_domains_one() {
    let text = CONFIG
        .replace("https://vault", "https://u:hunter2@vault")
        .replace("https://offsite", "https://u:hunter2@offsite");
    let card = World::of(&text).card();
    let vault = &card.blast.domains[1];
    assert_eq!(vault.name, name("vault-team"));
    assert_eq!(vault.also[0].name, name("offsite-account"));
    assert_eq!(
        vault.also[0].reason,
        "one credential opens vault and offsite"
    );
    let json = serde_json::to_string(&card).unwrap();
    assert!(!json.contains("hunter2"), "{json}");
}

#[test]
fn a_server_on_this_machine_and_a_vault_in_productions_account_fall_with_it() {
    let world = good().with(|world| {
        world.copy("vault").location = Location::Server {
            host: "vault".to_owned(),
            here: Some(true),
            link: None,
        };
        world.copy("offsite").in_production = Some("aws:123456789012".parse().unwrap());
    });
    let card = world.card();
    assert_eq!(
        card.blast.spoken(),
        "Whoever holds production destroys 3 of 3 copies. A single domain destroys all: production."
    );
    // The row tells the same domain.
    assert_eq!(card.copies[2].domain, card.blast.production);
}

#[test]
fn a_folder_of_this_machine_falls_with_it_under_whatever_other_address() {
    let card = good()
        .with(|world| {
            world.config.copies[0].domain = name("storage-team");
            let twin = name("here");
            world.copy("vault").one_place.insert(twin, days_ago(1));
        })
        .card();
    let outcome = card.blast.outcome([name("production")].into());
    assert_eq!(outcome.destroyed, [name("here"), name("vault")]);
    assert_eq!(
        card.blast.domains[1].also[0].reason,
        "here and vault are one place under two addresses"
    );
}

/// Two copies in buckets of Amazon's, each with a key of its own, and one here.
fn buckets() -> World {
    let bucket = |name: &str| {
        format!(
            "s3:s3.eu-central-1.amazonaws.com/{name}/repos\"\naccess_key = \"AK{name}\"\n\
             secret_key_file = \"/etc/{name}"
        )
    };
    let text = CONFIG
        .replace("rest:https://vault.example.net/acme/", &bucket("vault"))
        .replace("rest:https://offsite.example.org/acme/", &bucket("offsite"));
    World::of(&text).with(|world| world.copy("offsite").lock_proven = None)
}

fn owned_by(world: World, vault: &str, offsite: &str) -> Scorecard {
    let owned = |account: &str| vec![account.parse().unwrap()];
    let world = world.with(|world| {
        world.copy("vault").accounts = owned(vault);
        world.copy("offsite").accounts = owned(offsite);
    });
    world.card()
}

#[test]
fn two_buckets_of_one_account_are_in_one_hand_whatever_their_keys_and_domains_are_called() {
    let card = owned_by(buckets(), "aws-owner:aa", "aws-owner:aa");
    let vault = &card.blast.domains[1];
    assert_eq!(vault.also[0].name, name("offsite-account"));
    assert_eq!(
        vault.also[0].reason,
        "vault and offsite are in one account, aws-owner:aa"
    );
    let outcome = card.blast.outcome([name("vault-team")].into());
    assert_eq!(outcome.destroyed, [name("vault"), name("offsite")]);

    // Of two accounts one host of Amazon's says nothing.
    let apart = owned_by(buckets(), "aws-owner:aa", "aws-owner:bb");
    assert_eq!(apart.blast.domains.len(), 3);
    // What is not known may be one.
    let unknown = buckets().card();
    assert_eq!(unknown.blast.domains.len(), 2);
    let mine = buckets().with(|world| world.config.runs_in = "aws:1".parse().ok());
    let card = owned_by(mine, "aws:1", "aws:2");
    assert_eq!(card.blast.domains[0].also[0].name, name("vault-team"));
}

#[test]
fn a_vault_that_runs_in_the_account_of_a_bucket_is_in_one_hand_with_it() {
    let bucket = "s3:s3.eu-central-1.amazonaws.com/offsite/repos\"\naccess_key = \"AKoffsite\"\n\
                  secret_key_file = \"/etc/offsite";
    let text = CONFIG.replace("rest:https://offsite.example.org/acme/", bucket);
    let owned_by = |account: &str| {
        let world = World::of(&text).with(|world| {
            world.copy("vault").runs_in = "aws:999999999999".parse().ok();
            world.copy("offsite").accounts = vec![account.parse().unwrap()];
        });
        world.card().blast
    };
    let one = owned_by("aws:999999999999");
    assert_eq!(one.domains[1].name, name("vault-team"));
    assert_eq!(
        one.domains[1].also[0].reason,
        "vault and offsite are in one account, aws:999999999999"
    );
    let outcome = one.outcome([name("vault-team")].into());
    assert_eq!(outcome.destroyed, [name("vault"), name("offsite")]);
    // Where only the owner's name is told, it may be the same account.
    assert_eq!(owned_by("aws-owner:aa").domains.len(), 2);
    assert_eq!(owned_by("aws:888888888888").domains.len(), 3);
}

#[test]
fn a_vault_with_its_objects_in_the_account_of_a_bucket_is_in_one_hand_with_it() {
    let bucket = "s3:s3.eu-central-1.amazonaws.com/offsite/repos\"\naccess_key = \"AKoffsite\"\n\
                  secret_key_file = \"/etc/offsite";
    let text = CONFIG.replace("rest:https://offsite.example.org/acme/", bucket);
    let objects_in = |account: &str| {
        let world = World::of(&text).with(|world| {
            world.copy("vault").objects_in = vec![account.parse().unwrap()];
            world.copy("offsite").accounts = vec!["aws-owner:aa".parse().unwrap()];
        });
        world.card().blast
    };
    let one = objects_in("aws-owner:aa");
    assert_eq!(one.domains[1].name, name("vault-team"));
    assert_eq!(
        one.domains[1].also[0].reason,
        "the objects of vault lie in the account of offsite, aws-owner:aa"
    );
    let outcome = one.outcome([name("vault-team")].into());
    assert_eq!(outcome.destroyed, [name("vault"), name("offsite")]);
    // Where only its number is told, it may be the same account.
    assert_eq!(objects_in("aws:999999999999").domains.len(), 2);
    assert_eq!(objects_in("aws-owner:bb").domains.len(), 3);
    assert_eq!(objects_in("ceph.example/owner:aa").domains.len(), 3);

    // In production's own account, which is asked of its provider where none is configured.
    let world = good().with(|world| {
        world.copy("vault").objects_in = vec!["aws:123456789012".parse().unwrap()];
        world.copy("vault").objects_in_production = "aws:123456789012".parse().ok();
    });
    let card = world.card();
    let outcome = card.blast.outcome([name("production")].into());
    assert!(outcome.destroyed.contains(&name("vault")));
    assert_eq!(card.copies[1].domain, card.blast.production);
}

#[test]
fn one_access_key_for_two_buckets_makes_their_domains_one() {
    let world = buckets().with(|world| {
        for copy in ["vault", "offsite"] {
            let key = crate::blast::Exposure::credential_of_key("AKIASAME");
            world.copy(copy).credential = Some(key);
        }
    });
    let card = owned_by(world, "aws-owner:aa", "aws-owner:bb");
    let vault = &card.blast.domains[1];
    assert_eq!(
        vault.also[0].reason,
        "one credential opens vault and offsite"
    );
}

#[test]
fn a_lock_of_a_bucket_that_was_proven_of_late_withstands_whoever_rules_it() {
    let until = Some(days_ago(-45));
    let proven = |days| {
        let world = attack::tried(buckets(), days, Verdict::Proven { until });
        owned_by(world, "aws-owner:aa", "aws-owner:bb").blast
    };
    let young = proven(30);
    let all = ["production", "vault-team", "offsite-account"].map(name);
    assert_eq!(
        young.outcome(all.clone().into()).surviving,
        [name("offsite")]
    );
    assert!(young.destroy_all.is_empty());
    let old = proven(31);
    assert!(old.outcome(all.into()).surviving.is_empty());
    // Whoever has the disks of a server of one's own has what is locked there.
    let text = CONFIG.replace(
        "rest:https://offsite.example.org/acme/",
        "s3:https://ceph.example.org/offsite/repos\"\naccess_key = \"AKoffsite\"\n\
         secret_key_file = \"/etc/offsite",
    );
    let own = attack::tried(World::of(&text), 1, Verdict::Proven { until }).card();
    let outcome = own.blast.outcome([name("offsite-account")].into());
    assert_eq!(outcome.destroyed, [name("offsite")]);
    let outcome = own.blast.outcome([name("production")].into());
    assert!(outcome.surviving.contains(&name("offsite")));
    // A vault's administrator was not tried.
    let vault = good().with(|world| world.copy("vault").lock_proven = Some(days_ago(1)));
    let outcome = vault.card().blast.outcome([name("vault-team")].into());
    assert_eq!(outcome.destroyed, [name("vault")]);
}
