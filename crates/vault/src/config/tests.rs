//! What a vault's configuration means, and what an operator is told when it means nothing.

use proptest::prelude::*;

use super::*;

const FOLDER: &str = "/var/lib/vault";

fn environment(name: &str) -> Option<String> {
    (name == "DATABASE_URL").then(|| "postgres://vault:s3cr3t@db.example.net/vault".to_owned())
}

fn parse(text: &str) -> Result<VaultConfig, ConfigError> {
    VaultConfig::parse(text, Path::new(FOLDER), &environment)
}

fn mistakes(text: &str) -> String {
    let told = parse(text).unwrap_err().to_string();
    let (_, problems) = told.split_once('\n').unwrap();
    problems.trim().replace("\n  ", "\n")
}

#[test]
fn an_empty_file_is_a_whole_configuration() {
    let config = parse("").unwrap();
    assert_eq!(config.data, Path::new(FOLDER));
    assert_eq!(config.listen, ["0.0.0.0:8000".parse().unwrap()]);
    assert_eq!(config.storage, StorageConfig::Folder(FOLDER.into()));
    let DatabaseConfig::File(file) = config.database else {
        panic!("{:?}", config.database);
    };
    assert_eq!(file, Path::new("/var/lib/vault/vault.sqlite"));
    assert_eq!(config.retention, Period::days(30));
    assert_eq!(config.limits, Limits::default());
    assert!(config.tls.is_none() && config.public_url.is_none());
}

#[test]
fn the_template_is_a_configuration_and_so_is_all_that_stands_behind_its_comments() {
    let empty = format!("{:?}", parse("").unwrap());
    assert_eq!(format!("{:?}", parse(TEMPLATE).unwrap()), empty);
    let told = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| !rest.starts_with(' '))
    };
    let whole: String = TEMPLATE
        .lines()
        .map(|line| if told(line) { &line[1..] } else { "" })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&whole).unwrap();
    for key in KEYS {
        assert!(whole.contains(key), "{key} is not told of");
    }
    for (table, keys) in [
        ("storage", &storage::KEYS[..]),
        ("database", &database::KEYS[..]),
        ("limits", &limits::KEYS[..]),
    ] {
        let begins = TEMPLATE.split_once(&format!("#[{table}]\n")).unwrap();
        let (before, after) = begins;
        let words = before.rsplit("\n\n").next().unwrap();
        let told = format!("{words}{}", after.split("\n\n").next().unwrap());
        for key in keys {
            assert!(told.contains(&format!("{key} = ")), "{table}.{key}: {told}");
        }
    }
    let (_, of_notify) = TEMPLATE.split_once("# Who is told").unwrap();
    for key in notify::KEYS {
        assert!(of_notify.contains(&format!("{key} = ")), "notify.{key}");
    }
    let names = config.notify.iter().map(|channel| channel.name.as_str());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["team", "pager", "phone", "chat"]
    );
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.retention, Period::days(30));
    assert_eq!(config.grace, config.retention);
    assert!(matches!(config.storage, StorageConfig::Bucket(_)));
}

#[test]
fn grace_is_as_long_as_the_retention_unless_it_is_said() {
    let config = parse("retention = \"60d\"").unwrap();
    assert_eq!(config.grace, Period::days(60));
    let config = parse("retention = \"60d\"\ngrace = \"7d\"").unwrap();
    assert_eq!(config.grace, Period::days(7));
}

#[test]
fn the_database_comes_from_the_environment_and_is_never_shown() {
    let text = "[database]\nurl = \"${DATABASE_URL}\"\nca_file = \"/etc/ca.pem\"";
    let config = parse(text).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    assert_eq!(
        config.database_ca_file.as_deref(),
        Some(Path::new("/etc/ca.pem"))
    );
    let DatabaseConfig::Postgres(url) = config.database else {
        panic!("{:?}", config.database);
    };
    assert!(url.expose().contains("s3cr3t"));
}

#[test]
fn the_shares_of_tokens_follow_the_number_of_requests() {
    let limits = parse("[limits]\nrequests = 40").unwrap().limits;
    assert_eq!(
        (limits.requests_per_token, limits.requests_reserved),
        (40, 10)
    );
    let text = "[limits]\nrequests = 1000\nrequests_per_token = 300\nrequests_reserved = 0\n\
                requests_per_second_per_token = 7\nbytes_per_second_per_token = \"10MiB\"\n\
                bytes_per_second_per_address = \"20MiB\"";
    let limits = parse(text).unwrap().limits;
    assert_eq!(
        (limits.requests_per_token, limits.requests_reserved),
        (300, 0)
    );
    assert_eq!(limits.requests_per_second_per_token, 7);
    assert_eq!(limits.bytes_per_second_per_token, 10 << 20);
    assert_eq!(limits.bytes_per_second_per_address, 20 << 20);
}

#[test]
fn mistakes_are_told_with_their_line_and_what_to_write() {
    let table = [
        (
            "listen = [\"localhost:8000\"]",
            "line 1: \"localhost:8000\" is not an IP address and a port; write listen = \
             [\"0.0.0.0:8000\"], or [\"[::]:8000\"] for IPv6 as well",
        ),
        (
            "listen = []",
            "line 1: There is nothing to listen on; write listen = [\"0.0.0.0:8000\"], or \
             [\"[::]:8000\"] for IPv6 as well",
        ),
        (
            "\nretention = \"30 days\"",
            "line 2: \"30 days\" for retention is not a period of time; write \"30d\"",
        ),
        (
            "retension = \"30d\"",
            "line 1: Unknown key \"retension\" in the file; write retention",
        ),
        (
            "object_size = \"5GiB\"",
            "line 1: object_size = \"5GiB\" is out of bounds; write a size from \"1MiB\" to \
             \"4095MiB\"",
        ),
        (
            "log_level = \"verbose\"",
            "line 1: \"verbose\" is no level of the log; write \"error\", \"warn\", \"info\" or \
             \"debug\"",
        ),
        (
            "public_url = \"https://u:hunter2@vault.example.net/x\"",
            "line 1: \"https://u:hunter2@vault.example.net/x\" is no address for browsers; write a \
             scheme and a host, and nothing behind: public_url = \"https://vault.example.net\"",
        ),
        (
            "[tls]\ncertificate = \"/c.pem\"",
            "line 1: [tls] has no key; write key = \
             \"/etc/letsencrypt/live/vault.example.net/privkey.pem\"",
        ),
        (
            "[storage]\nfolder = \"/srv\"\nbucket = \"my-vault\"",
            "line 2: [storage] has both a folder and a bucket; remove one of them: a vault keeps \
             its objects in one place",
        ),
        (
            "[storage]\nfolder = \"/srv\"\nregion = \"x\"",
            "line 3: region belongs to a bucket, and there is none; write bucket = \"my-vault\" as \
             well",
        ),
        (
            "[database]\nurl = \"postgres://vault:hunter2@db/vault\"",
            "line 2: A password does not belong in this file; write url = \"${DATABASE_URL}\", or \
             url_file = \"/etc/strongroom/database\"",
        ),
        (
            "[database]\nurl = \"mysql://db/vault\"",
            "line 2: \"mysql://db/vault\" is no address of a PostgreSQL; it has the form \
             postgres://user:password@host/database",
        ),
        (
            "[limits]\nconnections = 0",
            "line 2: connections = 0 is out of bounds; write a whole number from 1 to 1000000: \
             connections = 1",
        ),
        (
            "[limits]\nconnections = 100\nconnections_per_address = 200",
            "line 3: connections_per_address = 200 is out of bounds; write a whole number from 1 \
             to 100: connections_per_address = 1",
        ),
        (
            "[limits]\nrequests = 100\nrequests_per_token = 200",
            "line 3: requests_per_token = 200 is out of bounds; write a whole number from 1 to \
             100: requests_per_token = 1",
        ),
        (
            "[limits]\nbytes_per_second_per_token = \"1kB\"",
            "line 2: bytes_per_second_per_token = \"1kB\" is out of bounds; write a size from \
             \"1MiB\" on",
        ),
        (
            "reserve = 5",
            "line 1: reserve = 5 has no unit; write \"5MiB\" if that is meant; a size is a number \
             and one of the units B, kB, KiB, MB, MiB, GB, GiB, TB, TiB: \"16MiB\"",
        ),
        (
            "data = \"vault\"",
            "line 1: \"vault\" for data: the path is not absolute; write the whole path, from / on: \
             \"/srv/…\"",
        ),
    ];
    for (text, told) in table {
        assert_eq!(mistakes(text), told, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(key in "[a-z_]{0,12}", value in "\\PC{0,40}") {
        let _ = parse(&format!("{key} = {value}"));
        for known in KEYS {
            let _ = parse(&format!("{known} = {value}"));
            let _ = parse(&format!("[{known}]\n{key} = {value}"));
        }
    }
}

#[test]
fn the_digest_knows_no_topic_and_no_address_of_a_channel() {
    let told = |secret: &str| {
        digest(&format!(
            "[[notify]]\nname = \"a\"\nurl = \"https://{secret}/\"\ntopic = \"{secret}\"\n"
        ))
    };
    assert_eq!(told("one"), told("two"));
    assert_ne!(told("one"), digest("[[notify]]\nname = \"b\"\n"));
}

#[test]
fn the_digest_knows_where_witnesses_are_and_no_secret() {
    let text = |database: &str, witness: &str| {
        format!(
            "reserve = \"1GiB\"\n[database]\nurl = \"{database}\"\n\
             [[witness]]\nname = \"w\"\nurl = \"{witness}\"\n[database]\n\"url\" = \"{database}\"\n"
        )
    };
    let one = digest(&text("postgres://vault:geheim@a/v", "https://one.example"));
    assert_eq!(
        one,
        digest(&text("postgres://vault:other@b/v", "https://one.example"))
    );
    assert_ne!(
        one,
        digest(&text("postgres://vault:geheim@a/v", "https://none.example"))
    );
}

#[test]
fn what_is_wrong_with_a_channel_is_told_without_its_secrets() {
    let table = [
        (
            "kind = \"slack\"\nurl_file = \"/u\"",
            "line 1: [[notify]] has no name; write name = \"on-call\"",
        ),
        (
            "name = \"a\"\nkind = \"fax\"",
            "line 3: \"fax\" is no kind of a channel; write kind = \"mail\", \"webhook\", \"ntfy\" or \
             \"slack\"",
        ),
        (
            "name = \"a\"\nkind = \"slack\"\nurl = \"http://geheim.example/geheim\"",
            "line 4: The url is no address of a webhook; it begins with https://; http:// is for \
             this machine alone",
        ),
        (
            "name = \"a\"\nkind = \"slack\"\nurl = \"https://geheim.example/\"\ntopic = \"x\"",
            "line 5: topic does not belong to a channel of kind \"slack\"; remove it, or write \
             another kind",
        ),
        (
            "name = \"a\"\nkind = \"webhook\"\nurl_file = \"/u\"",
            "line 1: [[notify]] has no secret_file; write secret_file = \
             \"/etc/strongroom/hook-secret\", with the secret that it is signed with",
        ),
        (
            "name = \"a\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh\"\ntopic = \"geheim/../x\"",
            "line 5: The topic is none that ntfy takes; write 1 to 64 of the characters A-Z a-z \
             0-9 - _",
        ),
        (
            "name = \"a\"\nkind = \"mail\"\nhost = \"smtp.example.net\"\ntls = \"none\"\nfrom = \
             \"a@b.example\"\nto = [\"a@b.example\"]",
            "line 5: Mail to another machine would be read on the way; write tls = \"starttls\" or \
             \"tls\"",
        ),
        (
            "name = \"a\"\nkind = \"mail\"\nhost = \"h\"\nuser = \"u\"\npassword = \
             \"geheim\"\nfrom = \"a@b.example\"\nto = [\"a@b.example\"]",
            "line 6: A password does not belong in this file; write password_file = \
             \"/etc/strongroom/smtp\", or password = \"${SMTP_PASSWORD}\"",
        ),
        (
            "name = \"a\"\nkind = \"mail\"\nhost = \"h\"\nfrom = \"a@b.example\\r\\nBcc: \
             x\"\nto = [\"a@b.example\"]",
            "line 5: \"a@b.example\\r\\nBcc: x\" is no address of mail; write it without a name: \
             from = \"vault@example.net\"",
        ),
        (
            "name = \"a\"\nkind = \"slack\"\nurl_file = \"/u\"\nlevel = \"loud\"",
            "line 5: \"loud\" is no level of notices; write level = \"all\" or \"critical\"",
        ),
    ];
    for (text, told) in table {
        let found = mistakes(&format!("[[notify]]\n{text}"));
        assert_eq!(found, told, "{text}");
        assert!(!found.contains("geheim"), "{found}");
    }
    let slack = "[[notify]]\nname = \"a\"\nkind = \"slack\"\nurl_file = \"/u\"\n";
    let twice = mistakes(&format!("{slack}{slack}"));
    assert!(twice.contains("two channels called \"a\""), "{twice}");
    let many: String = (0..17)
        .map(|n| slack.replace("\"a\"", &format!("\"a{n}\"")))
        .collect();
    assert!(mistakes(&many).contains("There are 17 [[notify]]"));
}

#[test]
fn rules_of_protected_hosts_are_read_whole() {
    let text = "public_url = \"https://vault.example.net\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
                [[protect]]\nhost = \"Grafana.example.net:443\"\noperators = [\"anna\"]\n\
                [[protect]]\nhost = \"grafana.example.net\"\npath = \"/admin/\"\n\
                roles = [\"keeper\", \"security\"]\nstep_up = \"15m\"\n";
    let config = parse(text).unwrap().protect;
    assert!(config.trusts("10.1.2.3".parse().unwrap()));
    assert!(!config.trusts("127.0.0.1".parse().unwrap()));
    let [all, admin] = &config.rules[..] else {
        panic!("{config:?}");
    };
    assert_eq!(all.host.as_str(), "grafana.example.net");
    assert_eq!(
        (all.prefix.to_string().as_str(), all.step_up_ms),
        ("/", None)
    );
    assert!(all.roles.iter().next().is_none() && all.operators.len() == 1);
    assert_eq!(
        (&admin.host, admin.prefix.to_string().as_str()),
        (&all.host, "/admin")
    );
    assert_eq!(admin.roles.to_string(), "keeper, security");
    assert_eq!(admin.step_up_ms, Some(15 * 60_000));
    assert_eq!(parse("").unwrap().protect, ProtectConfig::default());
}

#[test]
fn a_rule_that_is_not_clear_is_none() {
    let whole = "public_url = \"https://vault.example.net\"\ntrusted_proxies = [\"10.0.0.7\"]\n";
    let rule = "[[protect]]\nhost = \"a.example\"\nroles = [\"viewer\"]\n";
    for (text, told) in [
        (rule.to_owned(), "[[protect]] takes trusted_proxies; write"),
        (rule.to_owned(), "[[protect]] takes public_url; write"),
        (
            format!("{whole}{rule}{rule}"),
            "There are two rules for / of a.example",
        ),
        (
            format!("{whole}[[protect]]\nhost = \"a.example\"\n"),
            "The rule lets nobody in",
        ),
        (
            format!("{whole}[[protect]]\nroles = [\"viewer\"]\n"),
            "has no host",
        ),
        (
            format!("{whole}{rule}path = \"/a/../b\"\n"),
            "is no path of a rule",
        ),
        (format!("{whole}{rule}step_up = \"soon\"\n"), "step_up"),
        (format!("{whole}{rule}groups = [\"x\"]\n"), "groups"),
        (
            format!("{whole}[[protect]]\nhost = \"https://a/\"\nroles = [\"viewer\"]\n"),
            "is no host",
        ),
        (
            format!("{whole}[[protect]]\nhost = \"a\"\nroles = [\"admin\"]\n"),
            "\"admin\" is none of the roles; write viewer",
        ),
        ("trusted_proxies = []".to_owned(), "There are 0 addresses"),
        (
            "trusted_proxies = [\"0.0.0.0/0\"]".to_owned(),
            "everybody is among them",
        ),
        (
            "trusted_proxies = [\"proxy\"]".to_owned(),
            "it is no IP address",
        ),
    ] {
        let found = mistakes(&text);
        assert!(found.contains(told), "{told}: {found}");
    }
}
