//! Versions as a bucket lists them, page by page, also by servers that list as none should; and a
//! file that grows in a folder.

use std::fs;

use strongroom_model::{FileName, FileType, Id};
use strongroom_store::{
    Error, FileVersion, LocalStore, Result, S3Store, Store, VersionContent, Versions,
};

use crate::s3;
use crate::server::{Server, reply};

fn snapshot(bytes: &[u8]) -> FileName {
    FileName::new(FileType::Snapshots, Id::of(bytes))
}

fn store(server: &Server) -> S3Store {
    S3Store::new(s3::options_of_nobody(&server.endpoint()), None).unwrap()
}

/// A version of five bytes as a listing has it.
fn version(name: FileName, id: &str) -> String {
    format!(
        "<Version><Key>{name}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest>\
         <LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;tag&quot;</ETag>\
         <Size>5</Size></Version>"
    )
}

/// A page, and where the next one begins.
fn page(content: &str, next: Option<(&str, &str)>) -> String {
    let next = next.map_or_else(String::new, |(key, id)| {
        format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextVersionIdMarker>{id}</NextVersionIdMarker>"
        )
    });
    format!(
        "<ListVersionsResult><EncodingType>url</EncodingType>{next}{content}</ListVersionsResult>"
    )
}

/// A server that answers each request for a page with the next one of these, and then the last.
fn pages(pages: Vec<String>) -> Server {
    Server::start(move |number, request, stream| {
        let page = pages.get(number).or(pages.last()).unwrap();
        reply(stream, request, "200 OK", page.as_bytes())
    })
}

fn shown(versions: &dyn Versions, kind: FileType) -> (Vec<FileVersion>, Result<()>) {
    let mut shown = Vec::new();
    let ended = versions.each_version(kind, &mut |version| {
        shown.push(version);
        Ok(())
    });
    (shown, ended)
}

#[test]
fn versions_are_shown_page_by_page_and_the_next_page_begins_behind_the_last() {
    let (one, two) = (snapshot(b"one"), snapshot(b"two"));
    let first = version(one, "v2") + &version(one, "v1");
    let marker = format!(
        "<DeleteMarker><Key>{two}</Key><VersionId>m</VersionId><IsLatest>true</IsLatest>\
         <LastModified>2026-01-02T03:04:06.000Z</LastModified></DeleteMarker>"
    );
    let name = one.to_string();
    let server = pages(vec![page(&first, Some((&name, "v1"))), page(&marker, None)]);
    let store = store(&server);
    let mut asked = Vec::new();
    let versions = store.versions().unwrap();
    versions
        .each_version(FileType::Snapshots, &mut |version| {
            // What a page holds is shown before the next one is asked for.
            asked.push((server.requests().len(), version.version.to_string()));
            Ok(())
        })
        .unwrap();
    let expected = [(1, "v2"), (1, "v1"), (2, "m")];
    assert_eq!(asked, expected.map(|(page, id)| (page, id.to_owned())));
    let second = &server.requests()[1];
    assert!(second.path.contains("version-id-marker=v1"), "{second:?}");
    let listed = store.list_versions(FileType::Snapshots).unwrap();
    assert_eq!(listed.last().unwrap().content, VersionContent::Marker);
}

#[test]
fn of_one_file_no_other_is_shown_and_an_error_of_who_looks_ends_it() {
    let (one, two) = (snapshot(b"one"), snapshot(b"two"));
    let content = version(one, "v1") + &version(two, "v2");
    let server = pages(vec![page(&content, None)]);
    let store = store(&server);
    let mut seen = Vec::new();
    store
        .each_version_of(two, &mut |version| {
            seen.push(version.version.to_string());
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, ["v2"]);
    let asked = &server.requests()[0];
    let key = two.to_string().replace('/', "%2F");
    assert!(asked.path.contains(&format!("prefix={key}")), "{asked:?}");

    let mut stop = |version: FileVersion| -> Result<()> {
        Err(Error::NotFound {
            name: version.name,
            location: String::new(),
        })
    };
    let ended = store.each_version(FileType::Snapshots, &mut stop);
    assert!(matches!(ended, Err(Error::NotFound { name, .. }) if name == one));
}

#[test]
fn names_without_number_that_begin_as_that_of_a_file_are_not_listed_for_it() {
    let config = version(FileName::CONFIG, "v");
    let beside = config.replace("<Key>config</Key>", "<Key>config-1</Key>");
    assert_ne!(beside, config);
    let first = page(&(config + &beside), Some(("config-1", "v")));
    // Whoever asked for more would go round in circles.
    let server = pages(vec![first]);
    let store = store(&server);
    assert_eq!(store.versions_of(FileName::CONFIG).unwrap().len(), 1);
    assert_eq!(store.list_versions(FileType::Config).unwrap().len(), 1);
    assert!(store.identity().unwrap().is_some());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn pages_that_lead_nowhere_or_back_or_round_in_circles_are_no_listing() {
    let (first, second) = (snapshot(b"one"), snapshot(b"two"));
    let (low, high) = (first.min(second), first.max(second));
    let (low_key, high_key) = (low.to_string(), high.to_string());
    let nowhere = page("<IsTruncated>true</IsTruncated>", None);
    let circle = page(&version(low, "v"), Some((&low_key, "v")));
    let there = page(&version(high, "v"), Some((&high_key, "v")));
    for (answers, word) in [
        (vec![nowhere], "breaks off"),
        (vec![circle.clone()], "circles"),
        (vec![there, circle], "breaks off"),
    ] {
        let server = pages(answers);
        let (_, ended) = shown(&store(&server), FileType::Snapshots);
        let error = ended.unwrap_err();
        assert!(
            matches!(&error, Error::BadAnswer { reason, .. } if reason.contains(word)),
            "{word}: {error:?}"
        );
        assert!(server.requests().len() <= 3);
    }
}

#[test]
fn a_version_without_its_date_or_its_size_is_no_sound_listing() {
    let whole = version(snapshot(b"one"), "v");
    for part in ["<Size>5</Size>", "<VersionId>v</VersionId>"] {
        let server = pages(vec![page(&whole.replace(part, ""), None)]);
        let (seen, ended) = shown(&store(&server), FileType::Snapshots);
        assert_eq!(seen, []);
        assert!(matches!(ended, Err(Error::BadAnswer { .. })), "{ended:?}");
    }
}

#[test]
fn a_file_that_grows_in_a_folder_is_seen_when_it_is_whole_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::new(folder.path().join("repository"));
    store.create().unwrap();
    let name = FileName::new(FileType::Data, Id::of(b"bytes"));
    let begin = |bytes: &[u8]| {
        let mut growing = store.begin(name).unwrap().unwrap();
        growing.write(bytes).unwrap();
        growing
    };
    let mut growing = begin(b"by");
    assert_eq!(store.list(FileType::Data).unwrap(), []);
    growing.write(b"tes").unwrap();
    growing.finish().unwrap();
    assert_eq!(store.read(name).unwrap(), b"bytes");

    // One that is given up leaves nothing, and one that is finished replaces what is wrong.
    drop(begin(b"junk"));
    assert_eq!(store.read(name).unwrap(), b"bytes");
    store.replace(name, b"wrong").unwrap();
    begin(b"bytes").finish().unwrap();
    assert_eq!(store.read(name).unwrap(), b"bytes");
    let id = name.id().unwrap().to_string();
    let beside = fs::read_dir(store.path().join("data").join(&id[..2])).unwrap();
    assert_eq!(beside.count(), 1);
}
