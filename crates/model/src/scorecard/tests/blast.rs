//! Who destroys what, as the scorecard knows it.

use super::*;

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
