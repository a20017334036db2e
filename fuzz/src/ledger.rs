//! What a log, a witness and this machine's memory of a log say.

use strongroom_ledger::approvals::COMPLAINTS_LIMIT;
use strongroom_ledger::bundle::{entries, push};
use strongroom_ledger::tile::LEVEL_LIMIT;
use strongroom_ledger::witness::{AddCheckpoint, Answer};
use strongroom_ledger::{
    Approval, Approvals, Approved, Checkpoint, HASH_BYTES, Hash, Level, Note, NoteSignature, Page,
    Remembered, Tile, Verdict, verify_consistency, verify_inclusion,
};

pub(crate) fn note(data: &[u8]) -> bool {
    let Ok(note) = Note::parse(data) else {
        return false;
    };
    assert_eq!(note.to_string().as_bytes(), data);
    assert!(!note.signatures().is_empty(), "nobody signed it");
    for signature in note.signatures() {
        let again = signature.to_string().parse::<NoteSignature>();
        assert_eq!(again.ok().as_ref(), Some(signature));
    }
    let Ok(checkpoint) = note.text().parse::<Checkpoint>() else {
        return false;
    };
    assert_eq!(checkpoint.to_string(), note.text());
    true
}

/// How many entries there must be, less one, and a bundle.
pub(crate) fn bundle(data: &[u8]) -> bool {
    let Some((width, bundle)) = data.split_first() else {
        return false;
    };
    let width = u16::from(*width) + 1;
    let Ok(list) = entries(bundle, width) else {
        return false;
    };
    assert_eq!(list.len(), usize::from(width));
    let mut again = Vec::new();
    let written = list.iter().try_for_each(|entry| push(&mut again, entry));
    assert!(written.is_ok(), "longer than a bundle can say");
    assert_eq!(again, bundle);
    true
}

pub(crate) fn path(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(tile) = text.parse::<Tile>() else {
        return false;
    };
    assert_eq!(tile.to_string(), text);
    assert!(!text.contains(".."), "it leaves the folder");
    assert!((1..=256).contains(&tile.width()));
    assert!(!matches!(tile.level(), Level::Hashes(level) if level > LEVEL_LIMIT));
    true
}

/// A kind, two numbers, two hashes and a proof.
pub(crate) fn proof(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else {
        return false;
    };
    let Some((numbers, hashes)) = rest.split_first_chunk::<16>() else {
        return false;
    };
    let (numbers, _) = numbers.as_chunks::<8>();
    let [a, b] = [0, 1].map(|place| numbers.get(place).copied().map_or(0, u64::from_be_bytes));
    let (hashes, _) = hashes.as_chunks::<HASH_BYTES>();
    let hashes: Vec<_> = hashes.iter().copied().map(Hash::from_bytes).collect();
    let [first, second, proof @ ..] = hashes.as_slice() else {
        return false;
    };
    let holds = |proof: &[Hash]| match kind % 2 {
        0 => verify_inclusion(first, a, b, proof, second).is_ok(),
        _ => verify_consistency(a, b, proof, first, second).is_ok(),
    };
    if !holds(proof) {
        return false;
    }
    assert!(proof.len() <= 64, "a tree is no higher");
    assert!(kind % 2 == 1 || a < b, "a leaf behind the last");
    assert!(!holds(&[proof, &[*first]].concat()), "one hash too many");
    if let Some((last, others)) = proof.split_last() {
        assert!(!holds(others), "one hash too few");
        let other = Hash::leaf(last.as_bytes());
        assert!(!holds(&[others, &[other]].concat()), "another hash");
    }
    true
}

/// Three lengths, of a byte each: authenticator data, signature and key; these, and the client data.
pub(crate) fn approval(data: &[u8]) -> bool {
    const PAGE: Page<'_> = Page {
        host: "localhost",
        origin: "http://localhost:8000",
    };
    let Some(([first, second, third], rest)) = data.split_first_chunk() else {
        return false;
    };
    let parts = || {
        let (authenticator_data, rest) = rest.split_at_checked(usize::from(*first))?;
        let (signature, rest) = rest.split_at_checked(usize::from(*second))?;
        let (public_key, client_data) = rest.split_at_checked(usize::from(*third))?;
        Some((authenticator_data, signature, public_key, client_data))
    };
    let Some((authenticator_data, signature, public_key, client_data)) = parts() else {
        return false;
    };
    let approval = Approval {
        operation: &[1; 32],
        operator: 7,
        nonce: &[2; 32],
        authenticator_data,
        client_data,
        signature,
        public_key,
    };
    if approval.verify(&PAGE).is_err() {
        return false;
    }
    let other = Approval {
        operator: 8,
        ..approval
    };
    assert!(other.verify(&PAGE).is_err(), "it is by anybody");
    let cut = authenticator_data
        .split_last()
        .map_or(&[][..], |(_, rest)| rest);
    let other = Approval {
        authenticator_data: cut,
        ..approval
    };
    assert!(other.verify(&PAGE).is_err(), "not all of it is signed");
    true
}

/// Leaves, each in a line of its own.
pub(crate) fn approvals(data: &[u8]) -> bool {
    let leaves = || (0..).zip(data.split(|byte| *byte == b'\n'));
    let mut approvals = Approvals::default();
    let mut before = Approved::default();
    for (place, leaf) in leaves() {
        approvals.read(leaf, place);
        let found = approvals.found();
        let listed = found.complaints.len();
        assert!(listed <= COMPLAINTS_LIMIT && listed as u64 <= found.complaint_count);
        assert!(found.complaints.iter().all(|it| it.leaf <= place));
        assert!(
            found.complaints.starts_with(&before.complaints),
            "one was taken back"
        );
        assert!(found.open <= found.asked && found.approved <= found.asked);
        assert!(found.yeses <= place + 1);
        before = found;
    }
    if !before.is_sound() || before.yeses == 0 {
        return false;
    }
    // Each yes counts once, so that what is read once more is no sound log.
    for (place, leaf) in leaves() {
        approvals.read(leaf, place);
    }
    let again = approvals.found();
    assert_eq!(again.yeses, before.yeses, "a yes was used twice");
    assert!(!again.is_sound());
    true
}

/// A request to a witness, or the body of an answer.
pub(crate) fn witness(data: &[u8]) -> bool {
    let mut taken = false;
    for status in [200, 409] {
        if let Ok(answer) = Answer::decode(status, data) {
            assert_eq!(answer.status(), status);
            assert_eq!(answer.body().as_bytes(), data);
            taken = true;
        }
    }
    if let Ok(request) = AddCheckpoint::decode(data) {
        assert_eq!(
            request.encode().ok().as_deref().map(str::as_bytes),
            Some(data)
        );
        taken = true;
    }
    taken
}

pub(crate) fn memory(data: &[u8]) -> bool {
    let Ok(memory) = Remembered::parse(data) else {
        return false;
    };
    assert_eq!(memory.to_string().as_bytes(), data);
    let note = memory.last().note().to_string();
    assert!(matches!(memory.check(note.as_bytes(), &[]), Verdict::Same));
    true
}
