//! Files of a log, as this program writes them, and damaged in ways of their own.

use anyhow::Result;
use data_encoding::BASE64URL_NOPAD;
use strongroom_ledger::bundle::push;
use strongroom_ledger::witness::{AddCheckpoint, Answer};
use strongroom_ledger::{
    Checkpoint, Edge, Hash, KeyKind, Remembered, SignedCheckpoint, Signer, TileSource,
    consistency_proof, inclusion_proof, tile,
};

use crate::Seed;

const ORIGIN: &str = "vault.example/log";

/// Paths that are none, and some that are.
const PATHS: &[(&str, &str)] = &[
    ("full", "tile/0/x001/x234/067"),
    ("partial", "tile/2/000.p/1"),
    ("entries", "tile/entries/x001/000.p/255"),
    ("highest", "tile/7/000.p/127"),
    ("no_such_level", "tile/63/000"),
    (
        "no_such_tree",
        "tile/entries/x999/x999/x999/x999/x999/x999/999",
    ),
    ("leading_group", "tile/0/x000/001"),
    ("signs", "tile/+0/+01"),
    ("upwards", "tile/0/../../001"),
    ("width_of_full", "tile/0/001.p/256"),
    ("two_widths", "tile/0/001.p/5.p/6"),
];

/// What a passkey in software signed for operator 7 on `http://localhost:8000`: data of the authenticator,
/// signature and key, in base64url.
const SIGNED: [&str; 3] = [
    "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MdAAAAAA",
    "MEUCIQDa_KJIVJf5XtPEd7ZAXxFJJdHBJV_vxlkL7m99lPvdWQIgRs6els9Jvq6TURSJ4cu181jy2Ou7KB_bJIYhPGkkPCU",
    "BNz2VxCYhrQ1XnFjHZTwjuCU-zxF83LvO6AbZbf2W7PXWS2qEWLPwNgOlWqqkMtFjWq-sees683QQLcNUXuAoIQ",
];

/// And what the browser said, of operation 1, 1, 1… and the bytes 2, 2, 2….
const CLIENT_DATA: &str = r#"{"type":"webauthn.get","challenge":"OYXf0nY31MLKM5QVk_VBEJSwcwQFh8niQ2qzZvb52Bg","origin":"http://localhost:8000","crossOrigin":false}"#;

/// A yes, and what is none.
fn approvals() -> Result<Vec<Seed>> {
    let [authenticator_data, signature, public_key] =
        SIGNED.map(|text| BASE64URL_NOPAD.decode(text.as_bytes()));
    let parts = [authenticator_data?, signature?, public_key?];
    let mut signed = Vec::new();
    for part in &parts {
        signed.push(u8::try_from(part.len())?);
    }
    signed.extend(parts.concat());
    let with = |client_data: &str| [&signed[..], client_data.as_bytes()].concat();
    let seed = |name, client_data: &str| Seed::new("ledger_approval", name, with(client_data));
    Ok(vec![
        seed("good", CLIENT_DATA),
        seed("other_page", &CLIENT_DATA.replace("8000", "8001")),
        seed("within", &CLIENT_DATA.replace("false", "true")),
        seed("goes_on", &CLIENT_DATA.replace('}', ",\"x\":1}")),
        seed("silent", ""),
        Seed::new("ledger_approval", "boast", [255, 255, 255, 1]),
    ])
}

/// Leaves in which people agree, as `crates/ledger` tells them in its tests.
const STORY: &str = include_str!("../../../testdata/approvals/story.jsonl");

/// What people agreed to, and what they did not.
fn stories() -> Vec<Seed> {
    let story = STORY.trim_end();
    let seed = |name, text: String| Seed::new("ledger_approvals", name, text);
    let set_up: Vec<_> = story.lines().take(14).collect();
    let without = |act: &str| {
        let lines = story.lines().filter(|line| !line.contains(act));
        lines.collect::<Vec<_>>().join("\n")
    };
    let again = |place: usize, act: &str, rest: &str| {
        format!(
            r#"{{"n":{place},"at":"2027-01-15T08:00:00Z","vault":"2027-01-15T08:00:00Z","act":"{act}",{rest}}}"#
        )
    };
    let behind = |act: &str, rest: &str| {
        let place = set_up.len();
        [&set_up[..], &[&*again(place, act, rest)]]
            .concat()
            .join("\n")
    };
    let carried = serde_json::json!({ "entry": again(1, "carried", r#""entry":"{}""#) });
    let carried = carried.to_string();
    let carried = carried.trim_matches(['{', '}']);
    vec![
        seed("good", story.to_owned()),
        seed("no_yes", without("operation-approved")),
        seed("alone", behind("rule", r#""yeses":0,"by":"folder""#)),
        seed(
            "far_away",
            behind(
                "operator-roles",
                r#""operator":-9223372036854775808,"roles":[],"by":{"operation":7}"#,
            ),
        ),
        seed(
            "long_ago",
            again(
                0,
                "token-made",
                r#""right":"read","prefix":"","expires":"1970-01-01T00:00:00Z""#,
            ),
        ),
        seed("new_log", again(0, "new-log", r#""origin_before":"x""#)),
        seed("carried", again(0, "carried", carried)),
        seed(
            "no_number",
            story
                .lines()
                .take(3)
                .collect::<Vec<_>>()
                .join("\n")
                .replace("\"n\":", "\"m\":"),
        ),
        seed("array", "[[[[[[[[".repeat(64)),
    ]
}

/// A tree of five leaves, which is one tile.
struct Five(Edge);

impl Five {
    fn new() -> Result<Self> {
        let mut edge = Edge::default();
        for leaf in 0..5_u8 {
            edge.append(&[leaf])?;
        }
        Ok(Self(edge))
    }

    fn signed(&self) -> Result<SignedCheckpoint> {
        let state = Checkpoint::new(ORIGIN, self.0.size(), self.0.root())?;
        let key = Signer::from_seed(KeyKind::Log, ORIGIN, &[7; 32])?;
        Ok(SignedCheckpoint::sign(state, &key)?)
    }
}

impl TileSource for Five {
    fn tile(&self, _: u8, _: u64, width: u16) -> strongroom_ledger::Result<Vec<Hash>> {
        let files = self.0.partial_files()?;
        let hashes = files.last().map_or(&[][..], |file| &file.bytes);
        tile::decode(hashes, 5).map(|mut hashes| {
            hashes.truncate(usize::from(width));
            hashes
        })
    }
}

pub(crate) fn seeds() -> Result<Vec<Seed>> {
    let five = Five::new()?;
    let mut signed = five.signed()?;
    let key = Signer::from_seed(KeyKind::Log, ORIGIN, &[7; 32])?;
    let witness = Signer::from_seed(KeyKind::Witness, "witness.example/w1", &[9; 32])?;
    let line = witness.cosign(signed.note().text(), 1_700_000_000)?;
    let plain = signed.note().to_string();
    signed.add_cosignature(line.clone(), witness.verifier())?;
    let note = signed.note().to_string();
    let memory = Remembered::first(key.verifier().clone(), note.as_bytes())?.to_string();
    let request = AddCheckpoint {
        old_size: 3,
        proof: consistency_proof(&five, 3, 5)?,
        checkpoint: signed.note().clone(),
    };
    let request = request.encode()?;
    let mut bundle = vec![2];
    for entry in [&b"{\"n\":0}"[..], b"", b"\x00\x01"] {
        push(&mut bundle, entry)?;
    }
    let mut seeds = vec![
        Seed::new("ledger_note", "ours", plain.clone()),
        Seed::new("ledger_note", "cosigned", note.clone()),
        Seed::new(
            "ledger_note",
            "extended",
            plain.replacen("\n\n", "\nmore\n\n", 1),
        ),
        Seed::new("ledger_note", "no_text", "\n\n— a AAAAAAA=\n"),
        Seed::new("ledger_note", "empty_lines", "a\n\n\n\n— a AAAAAAA=\n"),
        Seed::new(
            "ledger_note",
            "size_of_all",
            plain.replacen("\n5\n", "\n18446744073709551615\n", 1),
        ),
        Seed::new(
            "ledger_note",
            "leading_zero",
            plain.replacen("\n5\n", "\n05\n", 1),
        ),
        Seed::new("ledger_note", "hyphen", plain.replacen('—', "-", 1)),
        Seed::new("ledger_memory", "ours", memory.clone()),
        Seed::new(
            "ledger_memory",
            "no_note",
            memory.lines().take(2).collect::<Vec<_>>().join("\n"),
        ),
        Seed::new(
            "ledger_memory",
            "other_size",
            memory.replacen("\n5\n", "\n4\n", 1),
        ),
        Seed::new("ledger_witness", "request", request.clone()),
        Seed::new(
            "ledger_witness",
            "size",
            Answer::Conflict { size: 7 }.body(),
        ),
        Seed::new(
            "ledger_witness",
            "cosigned",
            Answer::Cosigned(vec![line]).body(),
        ),
        Seed::new(
            "ledger_witness",
            "negative",
            request.replacen("old 3", "old -3", 1),
        ),
        Seed::new(
            "ledger_witness",
            "long_proof",
            format!(
                "old 3\n{}\n{note}",
                format!("{}\n", Hash::empty()).repeat(64)
            ),
        ),
        Seed::new("ledger_bundle", "three", bundle.clone()),
        Seed::new(
            "ledger_bundle",
            "torn",
            bundle.split_last().map_or(&[][..], |(_, rest)| rest),
        ),
        Seed::new("ledger_bundle", "goes_on", [&bundle[..], &[0]].concat()),
        Seed::new("ledger_bundle", "boast", [255, 255, 255, 1]),
    ];
    let seed = |kind: u8, a: u64, b: u64, hashes: &[Hash]| {
        let mut bytes = vec![kind];
        bytes.extend(a.to_be_bytes());
        bytes.extend(b.to_be_bytes());
        bytes.extend(tile::encode(hashes));
        bytes
    };
    let (root, leaf) = (five.0.root(), Hash::leaf(&[2]));
    let inclusion = [&[leaf, root][..], &inclusion_proof(&five, 2, 5)?].concat();
    let old_root = strongroom_ledger::tree::root(&five, 5, 3)?;
    let consistency = [&[old_root, root][..], &consistency_proof(&five, 3, 5)?].concat();
    seeds.extend([
        Seed::new("ledger_proof", "inclusion", seed(0, 2, 5, &inclusion)),
        Seed::new("ledger_proof", "consistency", seed(1, 3, 5, &consistency)),
        Seed::new("ledger_proof", "one_leaf", seed(0, 0, 1, &[leaf, leaf])),
        Seed::new("ledger_proof", "other_leaf", seed(0, 3, 5, &inclusion)),
        Seed::new(
            "ledger_proof",
            "endless",
            seed(1, u64::MAX - 1, u64::MAX, &consistency),
        ),
        Seed::new("ledger_proof", "no_tree", seed(0, u64::MAX, 0, &inclusion)),
    ]);
    seeds.extend(approvals()?);
    seeds.extend(stories());
    seeds.extend(
        PATHS
            .iter()
            .map(|(name, path)| Seed::new("ledger_path", *name, *path)),
    );
    Ok(seeds)
}
