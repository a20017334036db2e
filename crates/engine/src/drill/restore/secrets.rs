//! What another program says, without what was secret of what it was told.
//!
//! A program may repeat its address, its password or a header in an error, and what it says is shown
//! to people, written to logs and sent as JSON.

use std::cmp::Reverse;

use strongroom_model::address::percent_decoded;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// A text without these secrets, and without the users and passwords of whatever URLs are in it.
pub(super) fn without(text: &str, secrets: &[String]) -> String {
    // One may be a part of another.
    let mut longest_first: Vec<&String> = secrets.iter().collect();
    longest_first.retain(|secret| !secret.is_empty());
    longest_first.sort_by_key(|secret| Reverse(secret.len()));
    let hide = |text: String, secret: &&String| text.replace(secret.as_str(), HIDDEN);
    let text = longest_first.iter().fold(text.to_owned(), hide);
    without_users(&text)
}

/// The password in a URL, as it stands there and decoded.
pub(super) fn of_url(url: &str) -> Vec<String> {
    let Some((_, behind)) = url.split_once("://") else {
        return Vec::new();
    };
    let authority = authority(behind).0;
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let Some((_, password)) = user.and_then(|user| user.split_once(':')) else {
        return Vec::new();
    };
    let decoded = percent_decoded(password);
    let as_it_stands = Some(password.to_owned());
    as_it_stands.into_iter().chain(decoded).collect()
}

/// Programs encode what is in a URL in ways of their own.
fn without_users(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        let (authority, after) = authority(behind);
        shown.push_str(before);
        shown.push_str("://");
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str(HIDDEN);
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// What of a URL names its user and host, and what comes behind that.
fn authority(text: &str) -> (&str, &str) {
    let ends = |c: char| matches!(c, '/' | '?' | '#' | '"') || c.is_whitespace();
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_repeated_however_it_is_written() {
        let mut secrets = of_url("rest:https://backup:s3cr%2Ft@vault.example/acme/");
        assert_eq!(secrets, ["s3cr%2Ft", "s3cr/t"]);
        secrets.extend(["hunter2".to_owned(), "hunter2 and more".to_owned()]);
        secrets.push(String::new());
        for (said, shown) in [
            ("Fatal: hunter2 is wrong", "Fatal: *** is wrong"),
            ("hunter2 and more", "***"),
            (
                "Get \"https://backup:s3cr%2ft@vault.example/acme/config\": EOF; token s3cr/t",
                "Get \"https://***@vault.example/acme/config\": EOF; token ***",
            ),
            (
                "http://u@a.example and https://b.example/x@y",
                "http://***@a.example and https://b.example/x@y",
            ),
            ("nothing of that", "nothing of that"),
        ] {
            assert_eq!(without(said, &secrets), shown);
        }
        for plain in ["/srv/backup", "rest:https://vault.example/", "s3:bucket/x"] {
            assert_eq!(of_url(plain), [""; 0], "{plain}");
        }
    }
}
