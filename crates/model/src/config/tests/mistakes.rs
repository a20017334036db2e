//! Mistakes in a configuration, each with the exact words in which it is told.

use super::*;

/// Each pair: what is put into the good configuration in place of what, and what is told.
const MISTAKES: &[(&str, &str, &str)] = &[
    // Keys and types
    (
        "path = ",
        "pth = ",
        "line 1: This source has neither a path nor a command; write path = \"/srv/data\", paths = [\"/a\", \"/b\"] or command = [\"program\"]\nline 3: Unknown key \"pth\" in [[source]]; write path",
    ),
    (
        "[[copy]]",
        "[[copies]]",
        "line 5: Unknown key \"copies\" in the file; write copy\nline 10: There is no copy: nothing could be backed up; add [[copy]] with name, store, medium, site and domain",
    ),
    (
        "[[copy]]",
        "[copy]",
        "line 5: copy is not a list of tables; write [[copy]], in double brackets, on a line of its own",
    ),
    (
        "path = ",
        "qqq = 1\npath = ",
        "line 3: Unknown key \"qqq\" in [[source]]; the keys here are name, path, paths, command, as, exclude, exclude_caches, one_file_system, exclude_larger_than, keep, check",
    ),
    (
        "path = \"/home\"",
        "path = [\"/home\"]",
        "line 3: path is a list and not a string; write path = \"text\"",
    ),
    (
        "path = \"/home\"",
        "paths = \"/home\"",
        "line 3: paths is a string and not a list; write paths = [\"text\"]",
    ),
    (
        "path = \"/home\"",
        "paths = []",
        "line 3: paths is empty; write paths = [\"/srv/data\"]",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nexclude_caches = \"yes\"",
        "line 4: exclude_caches is a string and not true or false; write exclude_caches = true",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\npath = \"/srv\"",
        "line 4: This is not TOML: duplicate key; give each key once; several paths go into paths = [\"/a\", \"/b\"]",
    ),
    (
        "name = \"home\"",
        "name = home",
        "line 2: This is not TOML: string values must be quoted, expected literal string; write key = \"text\", key = 3, key = true, [table] or [[table]]",
    ),
    // Checks
    (
        "path = \"/home\"",
        "path = \"/home\"\ncheck = \"git fsck\"",
        "line 4: check is one string, and no shell is there to split it; write a list: check = [\"program\", \"argument\"]",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\ncheck = []",
        "line 4: check names no program, or holds a NUL; write check = [\"program\", \"argument\"]",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\ncheck = [\"git\", 1]",
        "line 4: check is a number and not a list of strings; write check = [\"text\"]",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\ncheck = [\"./verify\"]",
        "line 4: check begins with a program in a folder of what was restored, which nobody vouches for; write a program that PATH finds, or an absolute path: check = [\"git\", \"fsck\"]",
    ),
    // Passwords
    (
        "[[source]]",
        "password = \"hunter2\"\n[[source]]",
        "line 1: A password does not belong in this file; write password_file = \"/etc/strongroom/password\" or password_command = [\"program\"] at the top, or set STRONGROOM_PASSWORD",
    ),
    (
        "[[source]]",
        "password_file = \"/p\"\npassword_command = [\"p\"]\n[[source]]",
        "line 2: Both password_file and password_command are given; remove one of them",
    ),
    (
        "[[source]]",
        "password_command = \"pass show x\"\n[[source]]",
        "line 1: password_command is one string, and no shell is there to split it; write a list: password_command = [\"program\", \"argument\"]",
    ),
    (
        "[[source]]",
        "password_command = []\n[[source]]",
        "line 1: password_command names no program, or holds a NUL; write password_command = [\"program\", \"argument\"]",
    ),
    // The plan
    (
        "[[source]]",
        "[plan]\nmax_age = \"24 hrs\"\n[[source]]",
        "line 2: \"24 hrs\" for max_age is not a period of time; write \"24h\"",
    ),
    (
        "[[source]]",
        "[plan]\nmax_age = 24\n[[source]]",
        "line 2: max_age = 24 has no unit; write \"24h\" if that is meant; a period is a whole number and one of the units s, m, h, d, w, y: \"24h\"",
    ),
    (
        "[[source]]",
        "[plan]\nmax-age = \"24h\"\n[[source]]",
        "line 2: Unknown key \"max-age\" in [plan]; write max_age",
    ),
    (
        "[[source]]",
        "[plan]\ndrill_every = \"0d\"\n[[source]]",
        "line 2: \"0d\" for drill_every is not a period of time; a period is a whole number and one of the units s, m, h, d, w, y: \"24h\"",
    ),
    (
        "[[source]]",
        "[plan]\ncopies = 0\n[[source]]",
        "line 2: copies = 0 is out of bounds; write a whole number from 1 to 16: copies = 1",
    ),
    (
        "[[source]]",
        "[plan]\noffsite = 0\n[[source]]",
        "line 2: offsite = 0 is out of bounds; write a whole number from 1 to 16: offsite = 1",
    ),
    (
        "[[source]]",
        "[plan]\ncopies = \"3\"\n[[source]]",
        "line 2: copies is a string and not a number; write a whole number from 1 to 16: copies = 1",
    ),
    (
        "[[source]]",
        "[plan]\ncopies = 2\nmedia = 3\n[[source]]",
        "line 3: media = 3 is more than copies = 2; write media = 2, or copies = 3",
    ),
    (
        "[[source]]",
        "plan = 3\n[[source]]",
        "line 1: plan is a number and not a table; write [plan] on a line of its own, and its keys below",
    ),
    // Limits
    (
        "[[source]]",
        "[limits]\npack_size = \"16M\"\n[[source]]",
        "line 2: \"16M\" for pack_size is not a size; write \"16MiB\"",
    ),
    (
        "[[source]]",
        "[limits]\npack_size = \"1GiB\"\n[[source]]",
        "line 2: pack_size = \"1GiB\" is out of bounds; write a size from \"4MiB\" to \"128MiB\"",
    ),
    (
        "[[source]]",
        "[limits]\npack_size = \"128MiB\"\n[[source]]",
        "line 1: memory = \"256MiB\" is too little for packs of 128MiB; write memory = \"512MiB\" or more",
    ),
    (
        "[[source]]",
        "[limits]\nmemory = \"1MiB\"\n[[source]]",
        "line 2: memory = \"1MiB\" is too little for packs of 16MiB; write memory = \"64MiB\" or more",
    ),
    // Names
    (
        "name = \"home\"",
        "name = \"My Home\"",
        "line 2: \"My Home\" is not a good name; write \"my-home\"; a name has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or digit",
    ),
    (
        "name = \"here\"\n",
        "",
        "line 5: [[copy]] has no name; write name = \"here\"",
    ),
    (
        "site = \"fra-1\"",
        "site = \"Fra-1\"",
        "line 9: \"Fra-1\" is not a good site; write \"fra-1\"; a name has 1 to 64 of the characters a-z 0-9 . _ - and begins with a letter or digit",
    ),
    (
        "[[copy]]",
        "[[source]]\nname = \"home\"\npath = \"/srv\"\n\n[[copy]]",
        "line 6: Two sources are named \"home\", the other in line 2; give each source a name of its own",
    ),
    // Sources
    (
        "path = \"/home\"",
        "path = \"/home\"\ncommand = [\"x\"]",
        "line 4: This source has path and command at once; write one of them; a folder and a command are two sources",
    ),
    (
        "path = \"/home\"",
        "command = [\"pg_dump\"]",
        "line 1: [[source]] has no as; write as = \"home.dump\", the file name in the backup",
    ),
    (
        "path = \"/home\"",
        "command = [\"pg_dump\"]\nas = \"a/b\"",
        "line 4: \"a/b\" is not a file name; write as = \"home.dump\", without a folder",
    ),
    (
        "path = \"/home\"",
        "command = [\"pg_dump\"]\nas = \"a\"\nexclude = []",
        "line 5: exclude means nothing for the output of a command; remove it",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nas = \"a\"",
        "line 4: as names the output of a command, and this source has none; remove it",
    ),
    (
        "path = \"/home\"",
        "path = \"~/data\"",
        "line 3: \"~/data\" for path: ~ depends on who runs the backup; write the whole path: \"/home/you/…\", or \"${HOME}/…\"",
    ),
    (
        "path = \"/home\"",
        "path = \"data\"",
        "line 3: \"data\" for path: the path is not absolute; write the whole path, from / on: \"/srv/…\"",
    ),
    (
        "path = \"/home\"",
        "path = \"/home/../srv\"",
        "line 3: \"/home/../srv\" for path: the path holds ..; write the path without ..",
    ),
    // What stays
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = {}",
        "line 4: keep is empty; write keep = { daily = 30, monthly = 12 }, or remove it: without keep everything stays",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = 30",
        "line 4: keep is a number and not a table; write keep = { daily = 30, monthly = 12 }",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { dayly = 30 }",
        "line 4: Unknown key \"dayly\" in keep; write daily",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { last = 7, daily = 0 }",
        "line 4: daily = 0 is out of bounds; write a whole number from 1 to 10000: daily = 1",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { last = 10001 }",
        "line 4: last = 10001 is out of bounds; write a whole number from 1 to 10000: last = 1",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { last = -1 }",
        "line 4: last = -1 is out of bounds; write a whole number from 1 to 10000: last = 1",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { monthly = \"12\" }",
        "line 4: monthly is a string and not a number; write a whole number from 1 to 10000: monthly = 1",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { within = \"2 weeks\" }",
        "line 4: \"2 weeks\" for within is not a period of time; write \"2w\"",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { tags = [] }",
        "line 4: tags is empty; write tags = [\"release\"], or remove it",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\nkeep = { tags = [\"a,b\"] }",
        "line 4: \"a,b\" is not a tag; a tag is not empty and has no comma, at which restic would split it; write each as a text of its own",
    ),
    (
        "path = \"/home\"",
        "path = \"/home\"\n[source.keep]\nlast = 0",
        "line 5: last = 0 is out of bounds; write a whole number from 1 to 10000: last = 1",
    ),
    // Copies
    (
        "medium = \"disk\"",
        "medium = \"ssd\"",
        "line 8: \"ssd\" is not a medium; write \"disk\", \"object\", \"removable\" or \"tape\"",
    ),
    (
        "medium = \"disk\"\n",
        "",
        "line 5: [[copy]] has no medium; write medium = \"disk\", \"object\", \"removable\" or \"tape\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"/home/backup\"",
        "line 5: Copy \"here\" lies inside source \"home\" (/home) and would back itself up; move the copy, or write exclude = [\"/home/backup\"] in the source",
    ),
    (
        "path = \"/home\"",
        "path = \"/backup/data\"",
        "line 5: Source \"home\" (/backup/data) lies inside copy \"here\"; move the copy: its folder holds nothing but the repository",
    ),
    (
        "store = \"/backup\"",
        "store = \"backup\"",
        "line 7: \"backup\" for store: the path is not absolute; write the whole path, from / on: \"/srv/…\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"https://u:hunter2@host/x\"",
        "line 7: \"https://***@host/x\" for store: the kind of store is missing; write \"rest:https://…\" for a restic REST server",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:host/x\"",
        "line 7: \"rest:host/x\" for store: relative URL without a base; write \"rest:https://user:${TOKEN}@host.example/folder/\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://u:${NOPE}@host/\"",
        "line 7: The variable ${NOPE} is not set, or empty; set NOPE in the environment of strongroom",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://u:${EMPTY}@host/\"",
        "line 7: The variable ${EMPTY} is not set, or empty; set EMPTY in the environment of strongroom",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://u:$TOKEN@host/\"",
        "line 7: A single $ means nothing; write $$ for a dollar sign, or ${NAME} for a variable",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://u:${TOKEN@host/\"",
        "line 7: A variable after ${ does not end, or its name is none; write ${NAME}, with A-Z a-z 0-9 _ in the name, or $$ for a dollar sign",
    ),
    (
        "medium = \"disk\"",
        "medium = \"disk\"\nlock = \"30d\"",
        "line 9: A folder cannot keep anybody from deleting, so it has no lock; remove it",
    ),
    (
        "medium = \"disk\"",
        "medium = \"disk\"\nca_file = \"/ca\"",
        "line 9: A folder is reached without certificates, so it has no ca_file; remove it",
    ),
    (
        "medium = \"disk\"",
        "medium = \"disk\"\nfingerprint = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        "line 9: A folder is reached without certificates, so it has no fingerprint; remove it",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\nfingerprint = \"5A:0C\"",
        "line 8: \"5A:0C\" is not a fingerprint; a fingerprint is the SHA-256 of the certificate, 64 hexadecimal digits as `strongroom-vault serve` prints them: \"5A:0C:…:91\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:http://host/\"\nfingerprint = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        "line 8: Plain http shows no certificate, so it has no fingerprint; write rest:https://…, or remove fingerprint",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\nca_file = \"/ca\"\nfingerprint = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        "line 9: With a fingerprint no authority is asked, so ca_file means nothing; remove one of them",
    ),
    (
        "medium = \"disk\"",
        "medium = \"disk\"\nlog_witnesses = [\"vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk\"]",
        "line 9: A folder is no vault, so it has no log_witnesses; remove it",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\nlog_witnesses = \"vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk\"",
        "line 8: log_witnesses is a string and not a list; write log_witnesses = [\"text\"]",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\nlog_witnesses = [\n\"vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk\",\n\"vault-c\"]",
        "line 10: \"vault-c\" is not the key of a witness: it has no three parts with + between them; the key of a witness is one line, as `strongroom-vault witness show` prints it there: \"vault-b.example.net/strongroom-witness+b3a54140+BKzD…\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\nlog_witnesses = [\"vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk\", \"vault-b.example.net/strongroom-witness+b3a54140+BKzD6wNjmw0PgawbJs8UIPKH4W+E6DkkiGpUnTKp7ivk\"]",
        "line 8: The witness \"vault-b.example.net/strongroom-witness\" is there twice; remove one of them",
    ),
    // Buckets
    (
        "store = \"/backup\"",
        "store = \"s3:https://AKIA:hunter2@s3.example/acme\"",
        "line 7: \"s3:https://***@s3.example/acme\" for store: the address of a bucket has no user and no password; write access_key and secret_key_file beside it",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:minio.lan/acme\"",
        "line 7: \"s3:minio.lan/acme\" for store: its first word may be a host or a bucket; write \"s3:https://s3.REGION.amazonaws.com/BUCKET/folder\", or \"s3:https://host.example/BUCKET/folder\" for a server of your own",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nregion = \"Frankfurt\"",
        "line 8: \"Frankfurt\" is not a region; write what its owner calls it, in small letters: region = \"eu-central-1\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:s3.eu-west-1.amazonaws.com/acme\"\nregion = \"eu-central-1\"",
        "line 8: The address says that the region is \"eu-west-1\"; remove region, or write it into the address",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\naccess_key = \"AKIA1\"",
        "line 8: There is an access_key, and no secret to it; write secret_key_file = \"/etc/strongroom/NAME.key\" or secret_key = \"${NAME}\" as well",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\naccess_key = \"two words\"\nsecret_key_file = \"/key\"",
        "line 8: \"two words\" is not an access key; write access_key = \"AKIA…\", as its owner calls it",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nsecret_key_file = \"/key\"",
        "line 8: secret_key_file belongs to an access_key, and there is none; write access_key = \"AKIA…\" as well, or remove it",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\naccess_key = \"AKIA1\"\nsecret_key = \"hunter2\"",
        "line 9: A secret does not belong in this file; write secret_key = \"${NAME}\", or secret_key_file = \"/etc/strongroom/NAME.key\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\naccess_key = \"AKIA1\"\nsecret_key = \"${VAULT_TOKEN}\"\nsecret_key_file = \"/key\"",
        "line 10: Both secret_key and secret_key_file are given; remove one of them",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\npath_style = \"yes\"",
        "line 8: path_style is a string and not true or false; write path_style = true",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:http://s3.example/acme\"\nca_file = \"/ca\"",
        "line 8: Plain http shows no certificate, so it has no ca_file; write s3:https://…, or remove ca_file",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nfingerprint = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        "line 8: A bucket is vouched for by authorities, so it has no fingerprint; remove it; a server of your own may have a ca_file",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nlog_witnesses = []",
        "line 8: A bucket is no vault, so it has no log_witnesses; remove it",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nlock = \"23h\"",
        "line 8: lock = \"23h\" is out of bounds for a bucket; write a period from \"1d\" to \"50y\"",
    ),
    (
        "store = \"/backup\"",
        "store = \"s3:acme\"\nlock = \"51y\"",
        "line 8: lock = \"51y\" is out of bounds for a bucket; write a period from \"1d\" to \"50y\"",
    ),
    (
        "medium = \"disk\"",
        "medium = \"disk\"\nregion = \"eu-central-1\"",
        "line 9: region is for buckets, and this copy is in a folder; remove it",
    ),
    (
        "store = \"/backup\"",
        "store = \"rest:https://host/\"\naccess_key = \"AKIA1\"\nsecret_key_file = \"/key\"",
        "line 8: access_key is for buckets, and this copy is on a REST server; remove it\nline 9: secret_key_file is for buckets, and this copy is on a REST server; remove it",
    ),
    // Where it runs
    (
        "[[source]]",
        "runs_in = \"\"\n[[source]]",
        "line 1: \"\" is not an account; an account is what the provider calls it, 1 to 128 letters of ASCII: \"aws:123456789012\"",
    ),
];

#[test]
fn each_mistake_is_told_with_its_line_and_what_to_write_instead() {
    assert!(parse(BASE).is_ok());
    for (from, to, expected) in MISTAKES {
        assert!(BASE.contains(from), "{from}");
        assert_eq!(told(&BASE.replacen(from, to, 1)), *expected, "{to}");
    }
}
