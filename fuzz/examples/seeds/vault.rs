//! What a vault is sent, and what is thought up for it.

use data_encoding::BASE64;

use crate::Seed;

const ID: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, path) in [
        ("good_file", format!("/acme/repos/data/{ID}")),
        ("good_config", "/acme/repos/config".to_owned()),
        (
            "good_time",
            "/asof/2026-11-20T10%3A00%3A00.5+01:00/acme/repos/keys/".to_owned(),
        ),
        (
            "good_leaves",
            format!("/asof/@9223372036854775807/a/snapshots/{ID}"),
        ),
        (
            "leaves_too_many",
            "/asof/@9223372036854775808/a/keys/".to_owned(),
        ),
        ("up", "/acme/../../etc/passwd".to_owned()),
        ("up_encoded", format!("/acme/%2e%2e/data/{ID}")),
        ("slash_encoded", format!("/acme%2frepos/data/{ID}")),
        ("nul", "/acme/re\0pos/config".to_owned()),
        ("type_as_folder", format!("/acme/data/data/{ID}")),
    ] {
        seeds.push(Seed::new("vault_route", name, path));
    }
    for (name, size, header) in [
        ("good_all", 100, "bytes=0-"),
        ("good_part", 100, "bytes=10-19"),
        (
            "good_over",
            u64::MAX,
            "bytes=18446744073709551614-18446744073709551615",
        ),
        ("outside", 100, "bytes=100-"),
        ("several", 100, "bytes=0-1,5-6"),
        (
            "huge",
            100,
            "bytes=99999999999999999999999-99999999999999999999999",
        ),
    ] {
        let bytes = [&u64::to_be_bytes(size)[..], header.as_bytes()].concat();
        seeds.push(Seed::new("vault_range", name, bytes));
    }
    let basic = |text: &[u8]| format!("Basic {}", BASE64.encode(text));
    for (name, value) in [
        ("good", basic(b"any:srt-0123456789ab-secret")),
        ("good_without_user", basic(b":srt-0123456789ab-secret")),
        ("no_colon", basic(b"srt-0123456789ab-secret")),
        ("no_text", basic(b"any:\xff\xfe")),
        ("bearer", "Bearer srt-0123456789ab-secret".to_owned()),
    ] {
        seeds.push(Seed::new("vault_login", name, value));
    }
    let (salt, data) = (BASE64.encode(&[7; 64]), BASE64.encode(&[7; 150]));
    let key = |before: &str, n: &str, salt: &str| {
        format!(
            r#"{{{before}"created":"2026-11-20T10:00:00.123+01:00","username":"u","hostname":"h","kdf":"scrypt","N":{n},"r":8,"p":1,"salt":"{salt}","data":"{data}"}}"#
        )
    };
    for (name, text) in [
        ("good", key("", "32768", &salt)),
        ("bomb", key("", "1099511627776", &salt)),
        ("twice", key(r#""N":2,"#, "32768", &salt)),
        ("disguised", key(r#""n":"x","#, "32768", &salt)),
        ("long_s", key("\"\u{17f}alt\":\"\",", "32768", &salt)),
        (
            "nested",
            key(&format!("\"x\":{}", "[".repeat(300)), "32768", &salt),
        ),
    ] {
        seeds.push(Seed::new("vault_key", name, text));
    }
    for (name, text) in [
        (
            "good",
            "listen = [\"127.0.0.1:8000\"]\nretention = \"60d\"\nreserve = \"2GiB\"\n\
             [limits]\nconnections = 100\n",
        ),
        ("unknown", "retentoin = \"60d\"\n"),
        ("variable", "data = \"${TOKEN}\"\nruns_in = \"${EMPTY}\"\n"),
        ("torn", "[tls]\ncertificate = \""),
    ] {
        seeds.push(Seed::new("vault_toml", name, text));
    }
    seeds
}
