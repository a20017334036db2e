//! Inputs that parsers were broken by elsewhere: deep nesting, huge numbers, keys given twice, bad
//! UTF-8, torn ends, lengths that lie, names that leave their folder.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use strongroom_fuzz::TARGETS;
use strongroom_model::evidence::{Listing, SeenSnapshot, Share, Verifier, Verify};
use strongroom_model::receipt::{NeedsChange, Outcome, Signature, Version, Work};
use strongroom_model::{CopyEvidence, Id, Receipt, SignedReceipt};
use strongroom_repo::lock::Lock;

use crate::{Seed, state};

const ID: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Deeper than any recursion of a JSON reader goes.
const DEPTH: usize = 200;

/// Texts with `%` for an id.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "config",
        "good",
        r#"{"version":2,"id":"%","chunker_polynomial":"25b468838dcb75"}"#,
    ),
    (
        "config",
        "version_3",
        r#"{"version":3,"id":"%","chunker_polynomial":"25b468838dcb75"}"#,
    ),
    (
        "config",
        "huge_version",
        r#"{"version":99999999999999999999,"id":"%","chunker_polynomial":""}"#,
    ),
    (
        "config",
        "twice",
        r#"{"version":2,"version":1,"id":"%","chunker_polynomial":"3"}"#,
    ),
    (
        "config",
        "short_id",
        r#"{"version":2,"id":"e3b0","chunker_polynomial":"3"}"#,
    ),
    ("config", "torn", r#"{"version":2,"id":"e3b0"#),
    (
        "key",
        "costly",
        r#"{"created":"2024-01-01T00:00:00Z","username":"","hostname":"","kdf":"scrypt","N":1099511627776,"r":8,"p":1,"salt":"","data":""}"#,
    ),
    (
        "key",
        "overflow",
        r#"{"created":"2024-01-01T00:00:00Z","kdf":"scrypt","N":9223372036854775808,"r":4294967295,"p":4294967295,"salt":"","data":""}"#,
    ),
    (
        "key",
        "zero",
        r#"{"created":"2024-01-01T00:00:00Z","kdf":"scrypt","N":0,"r":0,"p":0,"salt":"","data":""}"#,
    ),
    (
        "key",
        "opens",
        r#"{"created":"1970-01-01T00:00:00Z","username":"root","hostname":"host","kdf":"scrypt","N":2,"r":1,"p":1,"salt":"J/6ET+5akAy1Ny1SQS553oR1Sqrv4YO1vUaFCgprd/JQsekEYxkjJE370RGis/+n1JcAI13i0yr9V8+pTBCMtw==","data":"0E7e1L09FoRck0Hl/pT44P8QMbDgLuzwTGV3vLedgXodYOeqfPCqUWtO881g1ZWrsMuAREULqUgL0LyFrqt8uQgcAjNuR5oQv+odDUYDa5Q00qgo25C0KUnDKe1yLpPgF5+sGOa5QIQB2c7AuOGbelP0kD1NCAFmRUfHKrga2MfnK4ORM6+/z6ZMkDdc64+Z7ROLutgUc1yFF3GxZDP5kg=="}"#,
    ),
    (
        "key",
        "other_kdf",
        r#"{"created":"2024-01-01T00:00:00Z","kdf":"argon2","N":2,"r":1,"p":1,"salt":"","data":""}"#,
    ),
    (
        "key",
        "cheap",
        r#"{"created":"2024-01-01T00:00:00Z","kdf":"scrypt","N":2,"r":1,"p":1,"salt":"AAAA","data":"AAAA"}"#,
    ),
    (
        "key",
        "not_base64",
        r#"{"created":"2024-01-01T00:00:00Z","kdf":"scrypt","N":4,"r":1,"p":2,"salt":"!","data":"="}"#,
    ),
    (
        "key",
        "far_time",
        r#"{"created":"9999-12-31T23:59:59.999999999-23:59","kdf":"scrypt","N":2,"r":1,"p":1,"salt":"","data":""}"#,
    ),
    (
        "index",
        "blobs",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"data","offset":0,"length":40},{"id":"%","type":"tree","offset":40,"length":50,"uncompressed_length":99}]}]}"#,
    ),
    (
        "index",
        "rustic",
        r#"{"supersedes":["x"],"packs":[],"packs_to_delete":[{"id":"%","blobs":[],"time":"2024-01-01T00:00:00Z","size":5}]}"#,
    ),
    (
        "index",
        "largest",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"data","offset":4294967295,"length":4294967295,"uncompressed_length":4294967295}]}]}"#,
    ),
    (
        "index",
        "too_large",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"data","offset":4294967296,"length":1}]}]}"#,
    ),
    (
        "index",
        "negative",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"data","offset":-1,"length":1}]}]}"#,
    ),
    (
        "index",
        "unknown_type",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"blob","offset":0,"length":1}]}]}"#,
    ),
    (
        "index",
        "same_blob_twice",
        r#"{"packs":[{"id":"%","blobs":[{"id":"%","type":"data","offset":0,"length":1},{"id":"%","type":"data","offset":1,"length":2}]}]}"#,
    ),
    ("index", "array", r#"[{"id":"%","blobs":[]}]"#),
    (
        "lock",
        "good",
        r#"{"time":"2024-05-06T07:08:09.123456789+02:00","exclusive":true,"hostname":"h","username":"root","pid":77,"uid":1,"gid":2}"#,
    ),
    (
        "lock",
        "far_time",
        r#"{"time":"-009999-01-02T01:59:59Z","exclusive":false,"hostname":"","username":"","pid":0}"#,
    ),
    (
        "lock",
        "large_pid",
        r#"{"time":"2024-05-06T07:08:09Z","exclusive":false,"hostname":"","username":"","pid":4294967296}"#,
    ),
    (
        "lock",
        "control_characters",
        r#"{"time":"2024-05-06T07:08:09Z","exclusive":false,"hostname":"\u0000\u001b[2J\n","username":"\ud83d\ude00","pid":1}"#,
    ),
    (
        "lock",
        "lone_surrogate",
        r#"{"time":"2024-05-06T07:08:09Z","exclusive":false,"hostname":"\ud83d","username":"","pid":1}"#,
    ),
    (
        "snapshot",
        "ours",
        r#"{"time":"2024-05-06T07:08:09Z","parent":"%","tree":"%","paths":["/srv"],"hostname":"h","tags":["source=repos"],"summary":{"files_new":1,"error_count":1,"errors":["x"]}}"#,
    ),
    (
        "snapshot",
        "nulls",
        r#"{"time":"2024-05-06T07:08:09Z","tree":"%","paths":null,"tags":null,"excludes":null,"parent":null,"summary":null}"#,
    ),
    (
        "snapshot",
        "huge_count",
        r#"{"time":"2024-05-06T07:08:09Z","tree":"%","paths":[],"summary":{"files_new":18446744073709551616}}"#,
    ),
    (
        "snapshot",
        "leap_second",
        r#"{"time":"2016-12-31T23:59:60Z","tree":"%","paths":[]}"#,
    ),
    (
        "snapshot",
        "long_fraction",
        r#"{"time":"2016-12-31T23:59:59.1234567891Z","tree":"%","paths":[]}"#,
    ),
    (
        "snapshot",
        "no_tree",
        r#"{"time":"2024-05-06T07:08:09Z","tree":null,"paths":["/"]}"#,
    ),
    (
        "tree",
        "unsafe_names",
        r#"{"nodes":[{"name":"../x","type":"file"},{"name":"a/b","type":"file"},{"name":"..","type":"dir"},{"name":"","type":"file"},{"name":"\u0000","type":"file"},{"name":"\\x2f","type":"file"},{"name":"good","type":"file"}]}"#,
    ),
    (
        "tree",
        "unsorted_and_twice",
        r#"{"nodes":[{"name":"b","type":"file"},{"name":"a","type":"dir"},{"name":"b","type":"symlink"}]}"#,
    ),
    (
        "tree",
        "nodes_twice",
        r#"{"nodes":[],"nodes":[{"name":"a","type":"file"}]}"#,
    ),
    ("tree", "null", r#"{"nodes":null}"#),
    (
        "tree",
        "unknown_fields",
        r#"{"x":{"y":[1,2.50,"\u00e4"]},"nodes":[{"name":"a","type":"file","zz":[{}],"zz":1e400}],"x":1}"#,
    ),
    (
        "tree",
        "kind_twice",
        r#"{"nodes":[{"name":"a","type":"other","type":"file","mode":1,"mode":2}]}"#,
    ),
    (
        "tree",
        "quoted_names",
        r#"{"nodes":[{"name":"\\u00a0\\xff\\\"\\n\u003c","type":"file"},{"name":"\\101\\U0001f600","type":"file"}]}"#,
    ),
    (
        "tree",
        "bad_quotes",
        r#"{"nodes":[{"name":"\\ud800","type":"file"}]}"#,
    ),
    (
        "tree",
        "link_targets",
        r#"{"nodes":[{"name":"a","type":"symlink","linktarget":"x\ufffd","linktarget_raw":"eP8="},{"name":"b","type":"symlink","linktarget_raw":"eHk="}]}"#,
    ),
    (
        "tree",
        "attributes",
        r#"{"nodes":[{"name":"a","type":"file","extended_attributes":[{"name":"user.x","value":"AA=="},{"name":"user.y","value":null},{}],"generic_attributes":{"windows.x":"y"}}]}"#,
    ),
    (
        "tree",
        "times",
        r#"{"nodes":[{"name":"a","type":"file","mtime":"0000-01-01T00:00:00+23:59","atime":"9999-12-31T23:59:59.999999999-23:59","ctime":"2024-02-29T00:00:00.1000000000-00:00"}]}"#,
    ),
    (
        "tree",
        "largest_numbers",
        r#"{"nodes":[{"name":"a","type":"chardev","mode":4294967295,"uid":4294967295,"gid":4294967295,"inode":18446744073709551615,"device":18446744073709551615,"size":18446744073709551615,"links":1}]}"#,
    ),
    (
        "tree",
        "too_large_number",
        r#"{"nodes":[{"name":"a","type":"file","size":18446744073709551616}]}"#,
    ),
    (
        "tree",
        "torn",
        r#"{"nodes":[{"name":"a","type":"file","content":["e3b0c442"#,
    ),
    ("evidence", "minimal", r#"{"version":1}"#),
    ("evidence", "newer", r#"{"version":2,"last_verify":7}"#),
    (
        "evidence",
        "unknown_fields",
        r#"{"version":1,"future":{"a":[1,2.5,18446744073709551615,-1,null]},"b":"c"}"#,
    ),
    (
        "evidence",
        "numbers",
        r#"{"version":1,"future":[0.1,1e300,12345678901234567890123,1.7976931348623157e308,5e-324]}"#,
    ),
    (
        "evidence",
        "odd_rotation",
        r#"{"version":1,"rotation":{"of":0,"read":{"0":"2024-01-01T00:00:00Z","4294967295":"2024-01-01T00:00:00Z"}}}"#,
    ),
    ("receipt", "no_body", r#"{"body":"","signature":""}"#),
    (
        "receipt",
        "newer",
        r#"{"body":"{\"version\":2}","signature":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}"#,
    ),
    (
        "receipt",
        "short_signature",
        r#"{"body":"{}","signature":"AAAA"}"#,
    ),
    (
        "rest_listing",
        "version_2",
        r#"[{"name":"%","size":7},{"name":"x.tmp","size":1}]"#,
    ),
    ("rest_listing", "version_1", r#"["%","x.tmp"]"#),
    ("rest_listing", "null", "null"),
    ("rest_listing", "mixed", r#"["%",{"name":"%","size":7}]"#),
    (
        "rest_listing",
        "path_as_name",
        r#"[{"name":"../../%","size":7}]"#,
    ),
    (
        "rest_listing",
        "negative_size",
        r#"[{"name":"%","size":-1}]"#,
    ),
    (
        "rest_listing",
        "largest_size",
        r#"[{"name":"%","size":18446744073709551615}]"#,
    ),
    ("rest_listing", "float_size", r#"[{"name":"%","size":1e3}]"#),
    (
        "rest_listing",
        "same_name_twice",
        r#"[{"name":"%","size":1},{"name":"%","size":2}]"#,
    ),
    ("rest_listing", "nested", "[[0,0,0]]"),
    (
        "rest_listing",
        "unknown_fields",
        r#"[{"name":"%","size":7,"more":[{"x":[null]}]}]"#,
    ),
    ("rest_listing", "two_lists", "[] []"),
    ("rest_listing", "html", "<html>503</html>"),
    (
        "record",
        "removal",
        r#"{"version":1,"removal":{"at":"1970-01-01T00:00:00Z","host":"host","by":"prune","snapshots":["%"],"index":["%"],"data":["%"],"stays":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}"#,
    ),
    (
        "record",
        "annulment",
        r#"{"version":1,"annulment":{"at":"1970-01-01T00:00:00Z","host":"host","record":"%"}}"#,
    ),
    (
        "record",
        "holds",
        r#"{"version":1,"holds":{"held":{"%":{"since":"1970-01-01T00:00:00Z","why":"audit"}},"released":{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":"1970-01-01T00:00:00Z"}}}"#,
    ),
    (
        "record",
        "goes_and_stays",
        r#"{"version":1,"removal":{"at":"1970-01-01T00:00:00Z","host":"host","by":"forget","snapshots":["%"],"stays":["%"]}}"#,
    ),
    (
        "record",
        "two_in_one",
        r#"{"version":1,"holds":{},"annulment":{"at":"1970-01-01T00:00:00Z","host":"host","record":"%"}}"#,
    ),
    ("record", "none", r#"{"version":1}"#),
    ("record", "newer", r#"{"version":2,"holds":{}}"#),
    (
        "record",
        "unknown_field",
        r#"{"version":1,"holds":{},"future":1}"#,
    ),
    (
        "record",
        "unknown_command",
        r#"{"version":1,"removal":{"at":"1970-01-01T00:00:00Z","host":"host","by":"purge","snapshots":["%"]}}"#,
    ),
    ("strongroom_toml", "good", GOOD_TOML),
    (
        "strongroom_toml",
        "unset",
        "[[source]]\nname = \"a\"\npath = \"/a\"\n[[copy]]\nname = \"b\"\nstore = \"rest:https://u:${NOT_SET}@h/\"\nmedium = \"disk\"\nsite = \"s\"\ndomain = \"d\"\n",
    ),
    (
        "strongroom_toml",
        "wrong_types",
        "password_file = 3\nplan = []\nsource = \"x\"\n[[copy]]\nname = [1]\nstore = 2024-01-01\n",
    ),
    (
        "strongroom_toml",
        "wrong_units",
        "[plan]\nmax_age = \"24\"\nverify_every = \"99999999999999999999d\"\ncopies = -1\nmedia = 9223372036854775807\n",
    ),
    (
        "strongroom_toml",
        "unknown_keys",
        "a.b.c = 1\n[plan]\ncoppies = 3\n[sauce]\n\"\" = 1\n",
    ),
    (
        "strongroom_toml",
        "twice",
        "site = \"a\"\nsite = \"b\"\n[plan]\n[plan]\n",
    ),
    (
        "strongroom_toml",
        "lone_dollar",
        "site = \"$\"\ndomain = \"${\"\npassword_file = \"$$${HOME}/${EMPTY}\"\n",
    ),
    ("strongroom_toml", "not_toml", "= = [\n\"\"\"\n"),
    (
        "strongroom_toml",
        "hostile_names",
        "[[source]]\nname = \"\\u0000\\u001B[2J/../\"\npaths = [\"\", \"/\", \"..\", \"/a\\u0000\"]\n[[source]]\nname = \"c\"\ncommand = []\nas = \"../x\"\n",
    ),
];

const GOOD_TOML: &str = r#"password_file = "${HOME}/password"
[plan]
copies = 3
max_age = "24h"
[limits]
[[source]]
name = "repos"
paths = ["/srv/git", "/srv/web"]
exclude = ["*.tmp"]
exclude_larger_than = "1GiB"
[[source]]
name = "shop-db"
command = ["pg_dump", "--format=custom", "shop"]
as = "shop.dump"
[[copy]]
name = "here"
store = "/var/backups/strongroom"
medium = "disk"
site = "fra-1"
domain = "production"
[[copy]]
name = "vault"
store = "rest:https://backup:${TOKEN}@vault.example.net/acme/repos/"
medium = "disk"
site = "ams-2"
domain = "vault-team"
lock = "30d"
"#;

/// Targets that read JSON.
const JSON: &[&str] = &[
    "config",
    "evidence",
    "index",
    "key",
    "lock",
    "receipt",
    "record",
    "rest_listing",
    "snapshot",
    "tree",
];

pub(crate) fn seeds() -> Result<Vec<Seed>> {
    let mut seeds: Vec<Seed> = TEXTS
        .iter()
        .map(|(target, name, text)| Seed::new(target, *name, text.replace('%', ID)))
        .collect();
    for target in TARGETS {
        seeds.push(Seed::new(target.name, "empty", []));
        seeds.push(Seed::new(
            target.name,
            "bad_utf8",
            b"{\"\xff\xfe\":\"\xed\xa0\x80\"}",
        ));
    }
    for target in JSON.iter().chain(state::TARGETS) {
        seeds.push(Seed::new(target, "deep", "[".repeat(DEPTH)));
        let deep = format!("{{\"a\":{}{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
        seeds.push(Seed::new(target, "deep_unknown", deep));
    }
    seeds.extend(binaries());
    seeds.extend(ours()?);
    seeds.extend(state::seeds(ID.parse()?)?);
    Ok(seeds)
}

/// Packs, frames, damage and streams.
fn binaries() -> Vec<Seed> {
    let entry = |kind: u8, length: u32| [&[kind][..], &length.to_le_bytes(), &[7; 32]].concat();
    let compressed = |length: u32| [&[2][..], &length.to_le_bytes(), &[9; 36]].concat();
    let header = |data_bytes: u32, entries: &[Vec<u8>]| {
        [&data_bytes.to_le_bytes(), &*entries.concat()].concat()
    };
    let many = vec![entry(0, 3); 150];
    // A frame of one block of one repeated byte, and one that claims a gigabyte for nothing.
    let run_length = b"\x28\xb5\x2f\xfd\x60\xa0\x85\x03\x00\x04\x00A".as_slice();
    let boast = b"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x40\x01\x00\x00".as_slice();
    let unsized_frame = b"\x28\xb5\x2f\xfd\x00\x58\x19\x00\x00abc".as_slice();
    let claim = |frame: &[u8]| [&[255, 255, 255, 0], frame].concat();
    let file = |frame: &[u8]| [&[2], frame].concat();
    vec![
        Seed::new("pack_header", "no_blobs", header(0, &[])),
        Seed::new(
            "pack_header",
            "both_kinds",
            header(12, &[entry(0, 5), compressed(7)]),
        ),
        Seed::new("pack_header", "second_read", header(450, &many)),
        Seed::new("pack_header", "does_not_fill", header(13, &[entry(1, 12)])),
        Seed::new(
            "pack_header",
            "overflow",
            header(1, &[entry(0, u32::MAX), entry(0, 2)]),
        ),
        Seed::new("pack_header", "unknown_kind", header(1, &[entry(4, 1)])),
        Seed::new("pack_header", "torn_entry", [0, 0, 0, 0, 2, 1, 0, 0, 0]),
        Seed::new("pack_header", "trailer_too_long", [255; 40]),
        Seed::new("blob", "run_length", claim(run_length)),
        Seed::new("blob", "boast", claim(boast)),
        Seed::new("blob", "without_size", claim(unsized_frame)),
        Seed::new("unpacked", "boast", file(boast)),
        Seed::new("unpacked", "run_length", file(run_length)),
        Seed::new("unpacked", "without_size", file(unsized_frame)),
        Seed::new("unpacked", "plain", "{\"a\":1}"),
        Seed::new("unpacked", "unknown_encoding", [7, 1, 2]),
        Seed::new("cipher", "undamaged", [0, 0, 0, 1, 2, 3]),
        Seed::new("cipher", "nonce", [0, 0, 1, 1, 2, 3]),
        Seed::new("cipher", "text", [17, 0, 128, 1, 2, 3]),
        Seed::new("cipher", "tag", [34, 0, 255, 1, 2, 3]),
        Seed::new("cipher", "nothing_inside", [31, 0, 1]),
        Seed::new(
            "chunker",
            "longest_chunks",
            [16, 0, 255, 255, 0, 255, 255, 0, 255, 255],
        ),
        Seed::new("chunker", "noise", [37, 1, 255, 255, 3, 255, 255]),
        Seed::new(
            "chunker",
            "odd_pieces",
            [9, 5, 255, 127, 6, 9, 0, 7, 255, 200],
        ),
        Seed::new("chunker", "least_chunk", [0, 0, 0, 32, 1, 0, 0, 3, 1, 0]),
    ]
}

/// What this program writes itself.
fn ours() -> Result<Vec<Seed>> {
    let id: Id = ID.parse()?;
    let name = |text: &str| text.parse::<strongroom_model::Name>();
    let time = Timestamp::UNIX_EPOCH;
    let lock = Lock {
        time,
        exclusive: false,
        hostname: "host".to_owned(),
        username: "root".to_owned(),
        pid: 1,
        uid: 0,
        gid: 0,
    };
    let receipt = Receipt {
        version: Version,
        snapshot: id,
        tree: id,
        source: name("repos")?,
        host: "host".to_owned(),
        client: id,
        parent: None,
        time,
        needs: NeedsChange {
            packs_added: [id].into(),
            index_added: [id].into(),
            keys: [id].into(),
            ..NeedsChange::default()
        },
        copies: BTreeMap::from([
            (name("here")?, Outcome::Whole),
            (name("vault")?, Outcome::Behind { files: 3 }),
            (
                name("offsite")?,
                Outcome::Failed {
                    reason: "full".to_owned(),
                },
            ),
        ]),
        work: Work::default(),
    };
    let mut evidence = CopyEvidence::default();
    for number in 1..=2 {
        let verify = Verify {
            at: time,
            by: Verifier::Us,
            share: Share::Slice { number, of: 2 },
            decoded: true,
        };
        evidence.record_verify(verify, [("data/x".to_owned(), "gone".to_owned())]);
    }
    evidence.listing = Some(Listing {
        at: time,
        files: 2,
        bytes: 3,
    });
    evidence.last_whole = BTreeMap::from([(name("repos")?, SeenSnapshot { id, time })]);
    let signature = |_: &[u8]| Signature::from_bytes([0; 64]);
    Ok(vec![
        Seed::new("lock", "ours", serde_json::to_vec(&lock)?),
        Seed::new(
            "receipt",
            "ours",
            SignedReceipt::new(&receipt, signature)?.to_json()?,
        ),
        Seed::new("evidence", "ours", evidence.to_json()?),
    ])
}
