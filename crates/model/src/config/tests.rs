//! What a configuration means, and what an operator is told when it means nothing.

mod mistakes;

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::byte_size::ByteSize;
use crate::keep::Keep;
use crate::period::Period;

/// The example of the manual, with a third copy that this version can use.
const WHOLE: &str = r#"
password_file = "/etc/strongroom/password"

[plan]
copies = 3
media = 2
offsite = 1
max_age = "24h"
verify_every = "7d"
drill_every = "30d"

[[source]]
name = "repos"
path = "/srv/git"
exclude = ["*.tmp", "/srv/git/cache"]

[[source]]
name = "shop-db"
command = ["pg_dump", "--format=custom", "--compress=0", "shop"]
as = "shop.dump"

[[copy]]
name = "here"
store = "/var/backups/strongroom"
medium = "disk"
site = "fra-1"
domain = "production"

[[copy]]
name = "vault"
store = "rest:https://backup:${VAULT_TOKEN}@vault.example.net/acme/repos/"
medium = "disk"
site = "ams-2"
domain = "vault-team"

[[copy]]
name = "offsite"
store = "rest:https://offsite.example.org/acme"
medium = "object"
site = "eu-central-1"
domain = "offsite-account"
lock = "30d"
"#;

/// What a table of bad configurations is added to: a good one, of ten lines.
const BASE: &str = r#"[[source]]
name = "home"
path = "/home"

[[copy]]
name = "here"
store = "/backup"
medium = "disk"
site = "fra-1"
domain = "production"
"#;

const TOKEN: &str = "s3cr#t/@:%\"";

fn environment(name: &str) -> Option<String> {
    match name {
        "VAULT_TOKEN" => Some(TOKEN.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, &environment)
}

fn told(text: &str) -> String {
    let error = parse(text).expect_err(text);
    let lines: Vec<String> = error.problems().iter().map(Problem::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_example_of_the_manual_is_read() {
    let config = parse(WHOLE).unwrap();
    assert!(
        matches!(&config.password, Some(PasswordSource::File(path)) if path.ends_with("password"))
    );
    assert_eq!(config.plan, Plan::default());
    assert_eq!(config.site.unwrap().as_str(), "fra-1");
    assert_eq!(config.domain.unwrap().as_str(), "production");
    assert_eq!(config.limits, Limits::default());
    assert!(config.warnings.is_empty());

    let [repos, shop] = config.sources.try_into().unwrap();
    assert!(matches!(
        repos.kind,
        SourceKind::Folder { exclude, exclude_caches: false, .. }
            if exclude == ["*.tmp", "/srv/git/cache"]
    ));
    let SourceKind::Command { command, file_name } = shop.kind else {
        panic!("a command");
    };
    assert_eq!(command.program(), "pg_dump");
    assert_eq!(command.arguments().last(), Some("shop"));
    assert_eq!(file_name, "shop.dump");

    let [_, vault, offsite] = config.copies.try_into().unwrap();
    let StoreAddress::Rest(address) = vault.store else {
        panic!("a REST address");
    };
    let (user, password) = address.credentials().unwrap();
    assert_eq!((user, password.expose()), ("backup", TOKEN));
    assert_eq!(
        address.url().as_str(),
        "https://vault.example.net/acme/repos/"
    );
    assert_eq!(offsite.lock, Some(Period::days(30)));
    assert_eq!(offsite.medium, Medium::Object);
}

#[test]
fn the_example_in_the_documentation_is_one_that_works() {
    let page = include_str!("../../../../docs/configuration.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let config = parse(example).unwrap();
    assert_eq!(config.copies.len(), 3);
    for key in super::source::KEYS
        .iter()
        .chain(&super::keep::KEYS)
        .chain(&super::backup_copy::KEYS)
        .chain(&super::KEYS)
    {
        assert!(
            page.contains(&format!("`{key}`")) || page.contains(&format!("[{key}]")),
            "{key}"
        );
    }
}

#[test]
fn the_example_of_the_readme_works_as_it_stands_and_with_its_third_copy() {
    let page = include_str!("../../../../README.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let config = Config::parse(example, &|_| None).unwrap();
    assert_eq!(config.copies.len(), 2);
    let lines = example.lines();
    let whole: Vec<_> = lines
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| !line.starts_with("fingerprint"))
        .collect();
    let config = Config::parse(&whole.join("\n"), &|_| Some("srt-1".to_owned())).unwrap();
    assert_eq!(config.copies.len(), 3);
}

#[test]
fn a_check_is_a_command_of_the_machine_and_none_of_what_was_restored() {
    let with = |check: &str| {
        let text = BASE.replace("path = \"/home\"", &format!("path = \"/home\"\n{check}"));
        parse(&text).map(|mut config| config.sources.remove(0).check)
    };
    let check = with("check = [\"git\", \"fsck\"]").unwrap().unwrap();
    assert_eq!(check.to_string(), "git fsck");
    let absolute = with("check = [\"/usr/bin/git\", \"fsck\"]").unwrap();
    assert_eq!(absolute.unwrap().program(), "/usr/bin/git");
    assert!(with("").unwrap().is_none());
    for inside in ["./git", "bin/git", "../git"] {
        assert!(with(&format!("check = [{inside:?}]")).is_err(), "{inside}");
    }
}

#[test]
fn every_other_key_is_read_too() {
    let config = parse(
        r#"
        password_command = ["pass", "show", "backup"]
        site = "office"
        domain = "it"
        [limits]
        memory = "1GiB"
        workers = 3
        uploads_per_copy = 8
        pack_size = "64MiB"
        [plan]
        copies = 1
        [[source]]
        name = "all"
        paths = ["/", "/srv"]
        exclude = ["/backup", "a$$b"]
        exclude_caches = true
        one_file_system = true
        exclude_larger_than = "1.5GB"
        [[copy]]
        name = "usb"
        store = "local:/backup/usb"
        medium = "removable"
        site = "safe"
        domain = "it"
        [[copy]]
        name = "nas"
        store = "rest:http://u:p@nas.lan:8000"
        ca_file = "/etc/ca.pem"
        medium = "tape"
        site = "cellar"
        domain = "nas"
        [[copy]]
        name = "vault"
        store = "rest:https://u:p@vault.lan:8000/x"
        fingerprint = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        log_witnesses = ["vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk"]
        medium = "disk"
        site = "cellar"
        domain = "nas"
        "#,
    )
    .unwrap();
    assert!(matches!(config.password, Some(PasswordSource::Command(_))));
    assert_eq!(config.site.unwrap().as_str(), "office");
    assert_eq!(config.domain.unwrap().as_str(), "it");
    assert_eq!(config.limits.memory, ByteSize::mib(1024));
    assert_eq!(config.limits.workers, 3);
    assert_eq!(config.limits.uploads_per_copy, 8);
    assert_eq!(config.limits.pack_size, ByteSize::mib(64));
    assert_eq!((config.plan.copies, config.plan.media), (1, 1));
    assert!(matches!(
        &config.sources[0].kind,
        SourceKind::Folder { exclude, exclude_caches: true, one_file_system: true,
            exclude_larger_than: Some(size), paths }
            if size.bytes() == 1_500_000_000 && exclude[1] == "a$b" && paths.len() == 2
    ));
    assert_eq!(config.copies[1].ca_file, Some("/etc/ca.pem".into()));
    let of_nothing = crate::Fingerprint::of(b"");
    assert_eq!(config.copies[2].fingerprint, Some(of_nothing));
    let [witness] = config.copies[2].log_witnesses.as_slice() else {
        panic!("{:?}", config.copies[2].log_witnesses);
    };
    assert_eq!(witness.name(), "vault-b.example.net/strongroom-witness");
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 27: The password for \"rest:http://***@nas.lan:8000\" crosses the network in the \
          clear; write https"
        ],
    );
}

#[test]
fn what_stays_of_a_source_is_read_and_without_it_everything_stays() {
    let with = |keep: &str| {
        let text = BASE.replace("path = \"/home\"", &format!("path = \"/home\"\n{keep}"));
        parse(&text).unwrap().sources.remove(0).keep
    };
    assert_eq!(with(""), None);
    let all = "keep = { last = 7, hourly = 24, daily = 30, weekly = 8, monthly = 12, yearly = 5, \
               within = \"14d\", tags = [\"release\"] }";
    let expected = Keep {
        last: NonZeroU32::new(7),
        hourly: NonZeroU32::new(24),
        daily: NonZeroU32::new(30),
        weekly: NonZeroU32::new(8),
        monthly: NonZeroU32::new(12),
        yearly: NonZeroU32::new(5),
        within: Some(Period::days(14)),
        tags: ["release".to_owned()].into(),
    };
    assert_eq!(with(all), Some(expected));
    let only = Keep {
        daily: NonZeroU32::new(30),
        ..Keep::default()
    };
    assert_eq!(with("keep = { daily = 30 }"), Some(only.clone()));
    assert_eq!(with("[source.keep]\ndaily = 30\n"), Some(only));
}

#[test]
fn a_store_that_is_not_built_yet_is_told_by_its_line_only() {
    let text = WHOLE.replace(
        "rest:https://offsite.example.org/acme",
        "sftp:backup@offsite.example.org:/acme",
    );
    assert_eq!(
        told(&text),
        "line 38: \"***@offsite.example.org:/acme\" for store: stores of kind \"sftp\" are not built \
         yet; write an absolute path (\"/var/backups/strongroom\"), \"rest:https://…\" or \
         \"s3:https://…\", or remove this copy",
    );
}

#[test]
fn a_copy_in_a_bucket_is_read_with_and_without_an_account() {
    let offsite = |more: &str| {
        let address = "s3:https://s3.eu-central-1.amazonaws.com/acme-backup/repos";
        let text = WHOLE.replace("rest:https://offsite.example.org/acme", address);
        let config = parse(&format!("{text}{more}")).unwrap();
        config.copies.into_iter().nth(2).unwrap()
    };
    let copy = offsite("");
    let StoreAddress::S3(address) = &copy.store else {
        panic!("{}", copy.store);
    };
    assert_eq!(address.region(), Some("eu-central-1"));
    assert_eq!(address.bucket(), "acme-backup");
    assert_eq!(copy.lock, Some(Period::days(30)));
    assert!(copy.s3.account.is_none() && copy.s3.path_style.is_none());

    let copy = offsite(
        "region = \"eu-central-1\"\npath_style = true\nkey_domain = \"key-team\"\naccess_key = \"AKIA1\"\n\
         secret_key_file = \"/etc/strongroom/offsite.key\"\nca_file = \"/etc/ca.pem\"\n",
    );
    assert_eq!(copy.s3.region.as_deref(), Some("eu-central-1"));
    assert_eq!(copy.s3.path_style, Some(true));
    assert_eq!(copy.s3.key_domain, Some("key-team".parse().unwrap()));
    assert_eq!(copy.ca_file, Some("/etc/ca.pem".into()));
    let account = copy.s3.account.unwrap();
    assert_eq!(account.access_key, "AKIA1");
    assert!(matches!(account.secret_key, SecretKey::File(path) if path.ends_with("offsite.key")));

    let copy = offsite("access_key = \"AKIA1\"\nsecret_key = \"${VAULT_TOKEN}\"\n");
    let account = copy.s3.account.unwrap();
    assert!(!format!("{account:?}").contains(TOKEN), "{account:?}");
    assert!(matches!(account.secret_key, SecretKey::Text(secret) if secret.expose() == TOKEN));
}

#[test]
fn two_copies_in_one_bucket_have_folders_of_their_own() {
    let first = BASE.replace("/backup", "s3:acme/repos");
    let both = |store: &str| with_second_copy("there", store).replace(BASE, &first);
    assert!(parse(&both("s3:acme/repos2")).is_ok());
    for store in [
        "s3:acme/repos/",
        "s3:https://s3.eu-central-1.amazonaws.com/acme/repos",
    ] {
        assert!(told(&both(store)).contains("are one place"), "{store}");
    }
    for store in ["s3:acme", "s3:acme/repos/inner"] {
        assert!(told(&both(store)).contains("inside the other"), "{store}");
    }
}

fn with_second_copy(name: &str, store: &str) -> String {
    format!(
        "{BASE}\n[[copy]]\nname = \"{name}\"\nstore = \"{store}\"\nmedium = \"disk\"\n\
         site = \"a\"\ndomain = \"b\"\n"
    )
}

#[test]
fn two_copies_have_two_names_and_two_places() {
    assert_eq!(
        told(&with_second_copy("here", "/other")),
        "line 13: Two copies are named \"here\", the other in line 6; give each copy a name of its own",
    );
    assert_eq!(
        told(&with_second_copy("there", "/backup/")),
        "line 12: Copies \"there\" and \"here\" (line 5) are one place; give each copy a place of its \
         own, or remove one",
    );
    assert_eq!(
        told(&with_second_copy("there", "/backup/inner")),
        "line 12: Of copies \"there\" and \"here\" (line 5) one lies inside the other; give each copy \
         a folder of its own",
    );
    let rest = BASE.replace("/backup", "rest:https://a:b@host/x");
    let both = with_second_copy("there", "rest:https://c:d@host/x/").replace(BASE, &rest);
    assert!(told(&both).contains("are one place"));
}

#[test]
fn a_copy_inside_a_source_needs_a_plain_exclude() {
    let with = |exclude: &str| {
        BASE.replace("/backup", "/home/backup").replace(
            "path = \"/home\"",
            &format!("path = \"/home\"\nexclude = {exclude}"),
        )
    };
    assert!(parse(&with(r#"["/home/backup"]"#)).is_ok());
    assert!(parse(&with(r#"["/home/backup/"]"#)).is_ok());
    assert!(parse(&with(r#"["/home/back"]"#)).is_err());
    assert!(parse(&with(r#"["backup"]"#)).is_err());
    assert!(parse(&with(r#"["/home/*"]"#)).is_err());
    assert!(parse(&with(r#"["/home/backup", "!/home/backup/x"]"#)).is_err());
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_the_order_of_its_lines() {
    let text = BASE
        .replace("path", "paht")
        .replace("\"disk\"", "\"ssd\"")
        .replace("fra-1", "Fra 1");
    let error = parse(&text).unwrap_err();
    let lines: Vec<usize> = error
        .problems()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [1, 3, 8, 9]);
    assert!(
        error
            .to_string()
            .starts_with("The configuration has 4 mistakes\n  line 1: ")
    );
}

#[test]
fn an_empty_file_says_what_a_file_needs() {
    assert_eq!(
        told(""),
        "line 1: There is no copy: nothing could be backed up; add [[copy]] with name, store, \
         medium, site and domain\nline 1: There is no source: nothing would be protected; add \
         [[source]] with name = \"home\" and path = \"/home\"",
    );
}

#[test]
fn what_a_variable_held_is_shown_nowhere() {
    let secret = |_: &str| Some("hunter2".to_owned());
    let good = WHOLE.replace("--format=custom", "--password=${PW}");
    let config = Config::parse(&good, &secret).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    for field in [
        "/srv/git",
        "24h",
        "shop.dump",
        "disk",
        "fra-1",
        "rest:https://backup:${VAULT_TOKEN}@",
    ] {
        let bad = WHOLE.replace(field, &format!("{field} ${{PW}} /"));
        if let Err(error) = Config::parse(&bad, &secret) {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|\n)*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_a_good_file_panics_or_shows_its_secret(
        at in 0..WHOLE.len(), remove in 0usize..40, insert in "(\\PC|\n|\\$|\"|\\[|=){0,6}",
    ) {
        let mut text = WHOLE.to_owned();
        let end = (at + remove).min(text.len());
        text.replace_range(at..end, &insert);
        if let Err(error) = parse(&text) {
            let told = format!("{error} {error:?}");
            prop_assert!(!error.problems().is_empty());
            prop_assert!(!told.contains("s3cr"));
        }
    }
}
