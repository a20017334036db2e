//! Values that others have published: RFC 6962's reference tree, signed notes of
//! golang.org/x/mod and C2SP, and a real checkpoint with real cosignatures.

use data_encoding::{BASE64, HEXLOWER};
use strongroom_ledger::{
    Edge, Hash, KeyKind, Note, SignedCheckpoint, Signer, Verifier, consistency_proof,
    inclusion_proof, verify_consistency, verify_inclusion,
};

use crate::scene::Files;

/// The leaves of the test tree of certificate-transparency's reference implementation.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots of its first 1 to 8 leaves.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn hash(text: &str) -> Hash {
    Hash::from_bytes(hex(text).try_into().unwrap())
}

fn tree(size: usize) -> (Files, Edge) {
    let (mut files, mut edge) = (Files::default(), Edge::default());
    for leaf in &LEAVES[..size] {
        assert!(edge.append(&hex(leaf)).unwrap().is_empty());
    }
    files.write(edge.partial_files().unwrap());
    (files, edge)
}

#[test]
fn the_reference_tree_has_its_roots() {
    assert_eq!(
        Edge::default().root(),
        hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(tree(size).1.root(), hash(root), "{size}");
    }
}

#[test]
fn the_reference_tree_has_its_inclusion_proofs() {
    for (leaf, size, proof) in [
        (1, 1, &[][..]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            3,
            3,
            &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        ),
        (
            2,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        let known: Vec<_> = proof.iter().map(|text| hash(text)).collect();
        let (files, edge) = tree(size);
        let (index, size) = (leaf as u64 - 1, size as u64);
        assert_eq!(inclusion_proof(&files, index, size).unwrap(), known);
        let leaf = Hash::leaf(&hex(LEAVES[leaf - 1]));
        verify_inclusion(&leaf, index, size, &known, &edge.root()).unwrap();
    }
}

#[test]
fn the_reference_tree_has_its_consistency_proofs() {
    for (old, new, proof) in [
        (1, 1, &[][..]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
        (
            6,
            7,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
    ] {
        let known: Vec<_> = proof.iter().map(|text| hash(text)).collect();
        let (files, edge) = tree(new);
        let old_root = tree(old).1.root();
        let (old, new) = (old as u64, new as u64);
        assert_eq!(consistency_proof(&files, old, new).unwrap(), known);
        verify_consistency(old, new, &known, &old_root, &edge.root()).unwrap();
    }
}

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const PETERS_NOTE: &str = "\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
";
const ENOCHS_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

#[test]
fn the_notes_of_golang_are_signed_and_verified_alike() {
    let seed = BASE64.decode(PETER_SEED.as_bytes()).unwrap();
    let seed = seed.try_into().unwrap();
    let signer = Signer::from_seed(KeyKind::Log, "PeterNeumann", &seed).unwrap();
    assert_eq!(signer.verifier().to_string(), PETER);
    let text = PETERS_NOTE.split("\n\n").next().unwrap().to_owned() + "\n";
    let note = Note::new(text.clone(), signer.sign(&text).unwrap()).unwrap();
    assert_eq!(note.to_string(), PETERS_NOTE);

    let both = Note::parse(format!("{PETERS_NOTE}{ENOCHS_LINE}").as_bytes()).unwrap();
    assert_eq!(both.text(), text);
    let (peter, enoch): (Verifier, Verifier) = (PETER.parse().unwrap(), ENOCH.parse().unwrap());
    assert_eq!(both.verify(&peter).unwrap(), None);
    assert_eq!(both.verify(&enoch).unwrap(), None);
    let only_peter = Note::parse(PETERS_NOTE.as_bytes()).unwrap();
    assert!(only_peter.verify(&enoch).is_err());
}

#[test]
fn no_piece_and_no_change_of_a_key_is_a_key() {
    for (begin, _) in PETER.char_indices() {
        for end in begin + 1..=PETER.len() {
            if (begin, end) != (0, PETER.len()) {
                assert!(PETER[begin..end].parse::<Verifier>().is_err());
            }
        }
        let mut bytes = PETER.as_bytes().to_vec();
        bytes[begin] += 1;
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.parse::<Verifier>().is_err(), "{text}");
    }
    for bad in [
        // Of a wrong length, and of an unknown kind; both with the right id for it.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(bad.parse::<Verifier>().is_err());
    }
}

#[test]
fn the_note_of_c2sp_is_verified() {
    let key: Verifier = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
        .parse()
        .unwrap();
    let note = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    Note::parse(note.as_bytes()).unwrap().verify(&key).unwrap();
}

/// A checkpoint of a Certificate Transparency log of May 2026, with four witnesses.
const REAL: &str = "\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const REAL_LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const REAL_WITNESSES: [&str; 4] = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
];

#[test]
fn a_real_checkpoint_and_its_real_witnesses_are_verified() {
    let key: Verifier = REAL_LOG.parse().unwrap();
    let real = SignedCheckpoint::open(REAL.as_bytes(), &key).unwrap();
    assert_eq!(real.checkpoint().size(), 1_432_088_532);
    assert_eq!(real.note().to_string(), REAL);
    for witness in REAL_WITNESSES {
        let witness: Verifier = witness.parse().unwrap();
        assert_eq!(real.witnessed_at(&witness).unwrap(), 1_779_573_024);
    }
    let stranger: Verifier =
        "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G"
            .parse()
            .unwrap();
    assert!(real.witnessed_at(&stranger).is_err());
    assert!(real.witnessed_at(&key).is_err(), "a log is no witness");

    let other = REAL.replace("1432088532", "1432088533");
    assert!(SignedCheckpoint::open(other.as_bytes(), &key).is_err());
}
