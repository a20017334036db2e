//! Who destroys what, whatever it is called.

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn names(texts: &[&str]) -> BTreeSet<Name> {
    texts.iter().map(|text| name(text)).collect()
}

fn account(text: &str) -> Option<Account> {
    Some(text.parse().unwrap())
}

/// A copy on a server of its own, of which nothing was shown.
fn copy(copy: &str, domain: &str) -> Exposure {
    Exposure {
        copy: name(copy),
        domain: name(domain),
        is_here: false,
        one_place: BTreeSet::new(),
        credential: Some(Exposure::credential_of(copy, "secret")),
        accounts: Vec::new(),
        vault_runs_in: None,
        objects_in: Vec::new(),
        objects_at: None,
        host: Some(format!("{copy}.example")),
        provider: None,
        key: None,
        key_domain: None,
        withstands: Withstands::NotShown,
    }
}

fn key(name: &str) -> Option<PlaceKey> {
    Some(PlaceKey::named(Some(name.to_owned())))
}

#[test]
fn whoever_rules_the_key_of_a_copy_destroys_it_though_its_lock_binds_everyone() {
    let mut exposures = three();
    exposures[2].withstands = Withstands::Everyone;
    assert_eq!(
        left(&blast(&exposures), &["offsite-account"]),
        "||here vault offsite"
    );

    // Nothing else is known: it is ruled by whoever rules the copy, and perhaps by whoever puts
    // something there.
    exposures[2].key = key("alias/backup");
    let found = blast(&exposures);
    assert_eq!(left(&found, &["offsite-account"]), "offsite||here vault");
    assert_eq!(left(&found, &["production"]), "here|offsite|vault");
    let held = found.copies[2].key.as_ref().unwrap();
    assert_eq!(held.name, "alias/backup");
    assert_eq!(held.held_by, names(&["offsite-account"]));

    // In production's account.
    exposures[2].key = key("arn:aws:kms:eu-central-1:123456789012:key/1");
    let found = blast(&exposures);
    assert_eq!(left(&found, &["production"]), "here offsite||vault");

    // In that of another copy.
    exposures[1].vault_runs_in = account("aws:111122223333");
    exposures[2].key = key("arn:aws:kms:eu-central-1:111122223333:key/1");
    let found = blast(&exposures);
    assert_eq!(left(&found, &["vault-team"]), "vault offsite||here");

    // The same where the objects of another copy lie.
    exposures[1].vault_runs_in = None;
    exposures[1].objects_in = accounts(&["aws:111122223333"]);
    let found = blast(&exposures);
    assert_eq!(left(&found, &["vault-team"]), "vault offsite||here");

    // As it is declared, which takes nothing from what is known.
    exposures[2].key_domain = Some(name("key-team"));
    let found = blast(&exposures);
    assert_eq!(left(&found, &["key-team"]), "offsite||here vault");
    assert_eq!(left(&found, &["offsite-account"]), "||here vault offsite");
    assert_eq!(left(&found, &["vault-team"]), "vault offsite||here");
    assert_eq!(left(&found, &["production"]), "here||vault offsite");
}

/// One here, one on a vault and one in a bucket; the last two were tried.
fn three() -> Vec<Exposure> {
    let mut here = copy("here", "production");
    here.is_here = true;
    let mut vault = copy("vault", "vault-team");
    vault.withstands = Withstands::Production;
    let mut offsite = copy("offsite", "offsite-account");
    offsite.withstands = Withstands::Production;
    vec![here, vault, offsite]
}

fn blast(exposures: &[Exposure]) -> Blast {
    let production = Production {
        domain: name("production"),
        accounts: account("aws:123456789012").into_iter().collect(),
    };
    Blast::of(&production, exposures)
}

/// The copies that are destroyed, doubtful and left, as in "here vault | | offsite".
fn left(blast: &Blast, held: &[&str]) -> String {
    let outcome = blast.outcome(names(held));
    let list = |copies: &[Name]| {
        let names: Vec<&str> = copies.iter().map(Name::as_str).collect();
        names.join(" ")
    };
    let (destroyed, doubtful) = (list(&outcome.destroyed), list(&outcome.doubtful));
    format!("{destroyed}|{doubtful}|{}", list(&outcome.surviving))
}

#[test]
fn each_domain_destroys_its_own_and_all_of_them_destroy_all() {
    let blast = blast(&three());
    assert_eq!(left(&blast, &[]), "||here vault offsite");
    assert_eq!(left(&blast, &["production"]), "here||vault offsite");
    assert_eq!(left(&blast, &["vault-team"]), "vault||here offsite");
    assert_eq!(
        left(&blast, &["vault-team", "offsite-account"]),
        "vault offsite||here"
    );
    let all = names(&["production", "vault-team", "offsite-account"]);
    assert_eq!(blast.destroy_all, [all]);
    assert_eq!(blast.standing(), Standing::Met);
    assert_eq!(blast.mend(), None);
    assert_eq!(
        blast.spoken(),
        "Whoever holds production destroys 1 of 3 copies. No single domain destroys all."
    );
}

#[test]
fn what_no_drill_has_shown_may_fall_to_production_which_holds_its_credential() {
    let mut exposures = three();
    exposures[1].withstands = Withstands::NotShown;
    let one = blast(&exposures);
    assert_eq!(left(&one, &["production"]), "here|vault|offsite");
    assert_eq!(one.standing(), Standing::Met);
    assert_eq!(
        one.spoken(),
        "Whoever holds production destroys 1 of 3 copies, and perhaps 1 more, which no drill has \
         shown to withstand. No single domain destroys all."
    );
    exposures[2].withstands = Withstands::NotShown;
    let both = blast(&exposures);
    assert_eq!(both.may_destroy_all[0], names(&["production"]));
    assert_eq!(both.standing(), Standing::Unproven);
    assert!(
        both.spoken()
            .ends_with("A single domain may destroy all: production.")
    );
}

#[test]
fn what_withstands_everyone_falls_to_nobody_but_who_has_the_disks() {
    let mut exposures = three();
    exposures[2].withstands = Withstands::Everyone;
    let locked = blast(&exposures);
    let all = ["production", "vault-team", "offsite-account"];
    assert_eq!(left(&locked, &all), "here vault||offsite");
    assert!(locked.destroy_all.is_empty());
    assert!(locked.may_destroy_all.is_empty());
    exposures[2].is_here = true;
    let here = blast(&exposures);
    assert_eq!(left(&here, &["production"]), "here offsite||vault");
}

#[test]
fn what_withstands_everyone_ends_with_the_account_at_amazon_that_it_is_in() {
    let mut exposures = three();
    exposures[2].withstands = Withstands::Everyone;
    exposures[2].provider = Some(AMAZON.to_owned());
    let apart = blast(&exposures);
    assert_eq!(apart.copies[2].closed_by, Some(name("offsite-account")));
    assert_eq!(apart.copies[1].closed_by, None);
    assert!(!apart.spoken().contains("closes"), "{}", apart.spoken());

    exposures[2].accounts = account("aws:123456789012").into_iter().collect();
    let own = blast(&exposures);
    assert_eq!(own.copies[2].closed_by, Some(name("production")));
    // It is there until then.
    assert_eq!(left(&own, &["production"]), "here||vault offsite");
    assert_eq!(
        own.spoken(),
        "Whoever holds production destroys 1 of 3 copies. Whoever closes its account ends offsite \
         too, 90 days later. No single domain destroys all."
    );

    // On a server of one's own nothing ends when somebody closes an account.
    for elsewhere in [None, Some("Ceph".to_owned())] {
        exposures[2].provider = elsewhere;
        let own = blast(&exposures);
        assert_eq!(own.copies[2].closed_by, None);
        assert!(!own.spoken().contains("90 days"), "{}", own.spoken());
    }
}

#[test]
fn a_folder_of_this_machine_is_productions_whoever_else_rules_it() {
    let mut exposures = three();
    exposures[0].domain = name("storage-team");
    let blast = blast(&exposures);
    assert_eq!(left(&blast, &["production"]), "here||vault offsite");
    assert_eq!(left(&blast, &["storage-team"]), "here||vault offsite");
    assert_eq!(blast.destroy_all.len(), 2);
}

/// The three, after a change, and why the domain of `offsite` counts as another one.
fn merged(change: impl FnOnce(&mut Vec<Exposure>)) -> (Blast, String) {
    let mut exposures = three();
    change(&mut exposures);
    let blast = blast(&exposures);
    let aliases = blast.domains.iter().flat_map(|domain| {
        let also = domain.also.iter();
        also.map(move |alias| format!("{} is {}: {}", alias.name, domain.name, alias.reason))
    });
    let told = aliases.collect::<Vec<_>>().join("; ");
    (blast, told)
}

#[test]
fn domains_with_one_place_credential_account_or_host_are_one_with_the_reason() {
    for (copy, twin) in [(1, "offsite"), (2, "vault")] {
        let (_, told) = merged(|all| all[copy].one_place = names(&[twin]));
        let reason = "vault and offsite are one place under two addresses";
        assert_eq!(told, format!("offsite-account is vault-team: {reason}"));
    }

    let (blast, told) = merged(|all| all[2].credential = all[1].credential);
    let reason = "offsite-account is vault-team: one credential opens vault and offsite";
    assert_eq!(told, reason);
    assert_eq!(left(&blast, &["vault-team"]), "vault offsite||here");
    let pair = names(&["production", "vault-team"]);
    assert_eq!(blast.destroy_all, [pair]);

    let (_, told) = merged(|all| all[2].host = Some("VAULT.example".to_owned()));
    let reason = "offsite-account is vault-team: vault and offsite are on one host, vault.example";
    assert_eq!(told, reason);

    let (_, told) = merged(|all| {
        all[1].vault_runs_in = account("aws:999999999999");
        all[2].accounts = account("999999999999").into_iter().collect();
    });
    let reason = "offsite-account is vault-team: vault and offsite are in one account, \
                  aws:999999999999";
    assert_eq!(told, reason);

    let (blast, told) = merged(|all| all[1].vault_runs_in = account("123456789012"));
    let reason = "vault-team is production: vault is in production's own account, 123456789012";
    assert_eq!(told, reason);
    assert_eq!(left(&blast, &["production"]), "here vault||offsite");
}

fn accounts(names: &[&str]) -> Vec<Account> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[test]
fn a_vault_falls_with_the_account_in_which_its_objects_lie_wherever_it_runs() {
    let elsewhere = account("aws:999999999999");
    let told_of = |objects: &[&str], offsite: &[&str]| {
        merged(|all| {
            all[1].vault_runs_in.clone_from(&elsewhere);
            all[1].objects_in = accounts(objects);
            all[2].accounts = accounts(offsite);
        })
    };
    let (blast, told) = told_of(
        &["aws:111122223333", "aws-owner:aa"],
        &["aws:111122223333", "aws-owner:aa"],
    );
    let reason = "offsite-account is vault-team: the objects of vault lie in the account of \
                  offsite, aws:111122223333";
    assert_eq!(told, reason);
    assert_eq!(left(&blast, &["vault-team"]), "vault offsite||here");

    let (blast, told) = told_of(&["aws-owner:aa", "123456789012"], &[]);
    let reason = "vault-team is production: the objects of vault lie in production's own account, \
                  123456789012";
    assert_eq!(told, reason);
    assert_eq!(left(&blast, &["production"]), "here vault||offsite");

    // Two vaults with one account behind them.
    let (_, told) = merged(|all| {
        all[1].objects_in = accounts(&["ceph.example/owner:it"]);
        all[2].objects_in = accounts(&["CEPH.example/owner:it"]);
    });
    let reason = "offsite-account is vault-team: the objects of vault lie in the account of \
                  offsite, ceph.example/owner:it";
    assert_eq!(told, reason);
    // One that runs where the objects of the other lie.
    let (_, told) = merged(|all| {
        all[1].vault_runs_in.clone_from(&elsewhere);
        all[2].objects_in = accounts(&["aws:999999999999"]);
    });
    let reason = "offsite-account is vault-team: the objects of offsite lie in the account of \
                  vault, aws:999999999999";
    assert_eq!(told, reason);

    let (_, told) = told_of(&["aws:111122223333"], &["aws:444455556666"]);
    assert_eq!(told, "");
}

#[test]
fn where_the_objects_of_a_vault_lie_makes_nothing_apart_that_was_one() {
    let amazon = || Some("Amazon".to_owned());
    let told_of = |runs_in: Option<Account>, objects: &[&str], offsite: &[&str]| {
        let (_, told) = merged(|all| {
            all[1].vault_runs_in.clone_from(&runs_in);
            all[1].provider = runs_in.and_then(|_| amazon());
            all[1].objects_in = accounts(objects);
            all[1].objects_at = amazon().filter(|_| !objects.is_empty());
            all[2].accounts = accounts(offsite);
            all[2].host = None;
            all[2].provider = amazon();
        });
        told
    };
    // The vault may run in the account of the bucket, whatever it tells of its objects.
    let runs_in = account("aws:999999999999");
    let unknown = "offsite-account is vault-team: vault and offsite are both at Amazon, and \
                   nothing shows that their accounts are two";
    assert_eq!(told_of(runs_in.clone(), &[], &["aws-owner:bb"]), unknown);
    let objects = ["aws:111122223333", "aws-owner:aa"];
    assert_eq!(
        told_of(runs_in.clone(), &objects, &["aws-owner:bb"]),
        unknown
    );
    // And its objects may lie there, wherever it runs itself.
    let beside = "offsite-account is vault-team: the objects of vault lie at Amazon, as offsite \
                  does, and nothing shows that their accounts are two";
    for runs_in in [None, runs_in] {
        let told = told_of(runs_in, &["aws-owner:aa"], &["aws:444455556666"]);
        assert_eq!(told, beside);
    }
    assert_eq!(told_of(None, &objects, &["aws:444455556666"]), "");
}

#[test]
fn what_is_one_with_one_is_one_with_all_and_the_first_name_stays() {
    let (blast, told) = merged(|all| {
        all[2].credential = all[1].credential;
        all[2].accounts = account("aws:123456789012").into_iter().collect();
    });
    assert!(told.contains("vault-team is production: "), "{told}");
    assert!(told.contains("offsite-account is production: "), "{told}");
    assert_eq!(blast.domains.len(), 1);
    assert_eq!(blast.production, name("production"));
    assert_eq!(left(&blast, &["production"]), "here vault offsite||");
    assert_eq!(blast.standing(), Standing::Missed);
    assert!(blast.mend().is_some());
    assert_eq!(
        blast.spoken(),
        "Whoever holds production destroys 3 of 3 copies. A single domain destroys all: production."
    );
}

#[test]
fn what_nobody_knows_is_not_one() {
    let (blast, told) = merged(|all| {
        for one in all {
            one.credential = None;
            one.host = None;
        }
    });
    assert_eq!((told.as_str(), blast.domains.len()), ("", 3));
}

#[test]
fn at_a_provider_whose_hosts_are_everybodys_accounts_tell_domains_apart_and_nothing_else_does() {
    let at_amazon = |vault: &[&str], offsite: &[&str]| {
        let (_, told) = merged(|all| {
            for (copy, accounts) in [(1, vault), (2, offsite)] {
                let accounts = accounts.iter().map(|account| account.parse().unwrap());
                all[copy].accounts = accounts.collect();
                all[copy].host = None;
                all[copy].provider = Some("Amazon".to_owned());
            }
        });
        told
    };
    let unknown = "offsite-account is vault-team: vault and offsite are both at Amazon, and \
                   nothing shows that their accounts are two";
    assert_eq!(at_amazon(&[], &[]), unknown);
    assert_eq!(at_amazon(&["aws-owner:aa"], &[]), unknown);
    // One is told by its number and the other by its owner's name: they may be one.
    assert_eq!(at_amazon(&["aws-owner:aa"], &["aws:999999999999"]), unknown);
    assert_eq!(at_amazon(&["aws-owner:aa"], &["aws-owner:bb"]), "");
    assert_eq!(
        at_amazon(
            &["aws:999999999999", "aws-owner:aa"],
            &["aws:999999999999", "aws-owner:bb"]
        ),
        "offsite-account is vault-team: vault and offsite are in one account, aws:999999999999"
    );
}

#[test]
fn all_sets_are_told_of_few_domains_and_small_ones_of_many() {
    let sizes = |count: usize| {
        let copies = (0..count).map(|number| copy(&format!("c{number}"), &format!("d{number}")));
        let copies: Vec<Exposure> = copies.collect();
        let (outcomes, is_all) = blast(&copies).outcomes();
        let most = outcomes.iter().map(|outcome| outcome.held.len()).max();
        (outcomes.len(), most, is_all)
    };
    // Production is one more.
    assert_eq!(sizes(0), (1, Some(1), true));
    assert_eq!(sizes(3), (15, Some(4), true));
    assert_eq!(sizes(7), (255, Some(8), true));
    assert_eq!(sizes(8), (9 + 36 + 84 + 126, Some(4), false));
    assert_eq!(sizes(40), (41, Some(1), false));
    assert_eq!(sizes(300), (0, None, false));
    let (outcomes, _) = blast(&three()).outcomes();
    let held: Vec<usize> = outcomes.iter().map(|one| one.held.len()).collect();
    assert_eq!(held, [1, 1, 1, 2, 2, 2, 3]);
}

#[test]
fn without_copies_nothing_is_destroyed() {
    let blast = blast(&[]);
    assert!(blast.destroy_all.is_empty());
    assert_eq!(blast.standing(), Standing::Met);
}

/// Follows the elements of a text, and refuses what is no XML: returns the names of all elements.
fn elements(xml: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut all = Vec::new();
    let mut rest = xml.trim();
    while let Some((text, after)) = rest.split_once('<') {
        assert_entities(text);
        let (tag, behind) = after.split_once('>').expect("a tag that ends");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{tag}");
            continue;
        }
        let is_empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        // Name, value, name, value and so on.
        let parts: Vec<&str> = attributes.split('"').collect();
        assert_eq!(parts.len() % 2, 1, "{tag}");
        for pair in parts.chunks_exact(2) {
            assert!(pair[0].ends_with('='), "{tag}");
            assert_entities(pair[1]);
        }
        all.push(name.to_owned());
        if !is_empty {
            open.push(name.to_owned());
        }
    }
    assert!(rest.is_empty() && open.is_empty(), "{rest} {open:?}");
    all
}

fn assert_entities(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for piece in text.split('&').skip(1) {
        let (entity, _) = piece.split_once(';').expect("an entity that ends");
        let known = ["amp", "lt", "gt", "quot", "apos"];
        assert!(known.contains(&entity), "{entity}");
    }
    let is_odd = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(is_odd), "{text:?}");
}

#[test]
fn the_picture_is_sound_xml_and_tells_in_words_what_it_shows() {
    let picture = svg(&blast(&three()));
    let elements = elements(&picture);
    let count = |name: &str| elements.iter().filter(|one| *one == name).count();
    assert_eq!((count("svg"), count("title"), count("desc")), (1, 1, 1));
    // Seven sets of three copies, and the ground.
    assert_eq!(count("rect"), 7 * 3 + 1);
    assert_eq!(picture.matches(">destroyed<").count(), 12);
    assert_eq!(picture.matches(">survives<").count(), 9);
    assert!(
        picture.contains(">offsite-account + vault-team<"),
        "{picture}"
    );
    assert!(
        picture.contains("production: destroyed here; unproven nothing; survives vault, offsite."),
        "{picture}"
    );
    for outside in ["http://", "https://", "url(", "@import", "href"] {
        let others = picture.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains(outside), "{outside}");
    }
}

#[test]
fn nothing_that_comes_from_outside_breaks_the_picture() {
    let host = "a<b>&\"c\"' \u{1b}[2J\u{0}\u{ffff}";
    let (blast, _) = merged(|all| {
        all[1].host = Some(host.to_owned());
        all[2].host = Some(host.to_owned());
    });
    let picture = svg(&blast);
    elements(&picture);
    assert!(
        picture.contains("on one host, a&lt;b&gt;&amp;&quot;c&quot;&apos; "),
        "{picture}"
    );
    assert!(!picture.contains(['\u{ffff}', '\u{1b}']));
}

#[test]
fn a_picture_of_many_domains_says_that_it_does_not_tell_all() {
    let copies = (0..9).map(|number| copy(&format!("c{number}"), &format!("d{number}")));
    let picture = svg(&blast(&copies.collect::<Vec<_>>()));
    elements(&picture);
    assert!(picture.contains(">Larger sets of domains are left out.<"));
    assert!(picture.contains(">unproven<"));
}
