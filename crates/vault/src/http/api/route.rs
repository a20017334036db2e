//! All endpoints, and which of them a path means.

use strongroom_model::{Id, RepositoryPath};

/// The longest name of a token.
const LONGEST_NAME: usize = 64;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Anybody.
    Anybody,
    /// Whoever has a token of a machine.
    Token,
    /// Whoever has the administrator's token, on this machine.
    Administrator,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The description of the API.
    Description,
    /// Which vault it is.
    Vault,
    /// A proof that the log goes on.
    Consistency,
    /// A proof that a leaf is in the log.
    Inclusion,
    /// To take a receipt.
    Receipt,
    /// To take the statement of a drill.
    Drill,
    /// A repository as a whole.
    Repository,
    /// The snapshots of a repository.
    Snapshots,
    /// Its objects that are rotten.
    Rotten,
    /// When its snapshots came.
    Arrivals,
    /// All tokens.
    Tokens,
    /// To make a token.
    MakeToken,
    /// To set what a token may do in a day.
    TokenDay,
    /// To end a token.
    RevokeToken,
    /// To take out of sight what a token has put.
    Hide,
    /// To show it again.
    Unhide,
    /// To purge before its time what a token has put.
    PurgeEarly,
    /// To let the key go that is bound to a token.
    ForgetClientKey,
    /// All repositories.
    Repositories,
    /// To keep things longer.
    Keeping,
    /// To bound what a repository may hold.
    Quota,
    /// To take back deletions.
    Undelete,
    /// To let a key in.
    AdmitKey,
    /// To agree to many deletions.
    AgreeToPurge,
    /// To remove a repository.
    RemoveRepository,
    /// To believe the clock.
    ConfirmClock,
    /// What somebody should look at.
    Doctor,
}

/// One way to ask.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// By which method; what GET answers, HEAD does as well.
    pub method: &'static str,
    /// The path. `{repository}` stands for one or two folders, `{token}` for the name of a token,
    /// `{key}` for the id of a key.
    pub path: &'static str,
    /// Who may.
    pub principal: Principal,
    /// What it means.
    pub call: Call,
    /// The class for log and metrics.
    pub note: &'static str,
}

const fn anybody(path: &'static str, call: Call) -> Endpoint {
    Endpoint {
        method: "GET",
        path,
        principal: Principal::Anybody,
        call,
        note: "api_description",
    }
}

const fn machine(
    method: &'static str,
    path: &'static str,
    call: Call,
    note: &'static str,
) -> Endpoint {
    Endpoint {
        method,
        path,
        principal: Principal::Token,
        call,
        note,
    }
}

const fn admin(method: &'static str, path: &'static str, call: Call) -> Endpoint {
    Endpoint {
        method,
        path,
        principal: Principal::Administrator,
        call,
        note: "api_admin",
    }
}

/// All endpoints. No path means two of them.
pub const ENDPOINTS: &[Endpoint] = &[
    anybody("/v1/openapi.json", Call::Description),
    machine("GET", "/v1/vault", Call::Vault, "api_vault"),
    machine("GET", "/v1/log/consistency", Call::Consistency, "api_log"),
    machine("GET", "/v1/log/inclusion", Call::Inclusion, "api_log"),
    machine(
        "POST",
        "/v1/receipts/{repository}",
        Call::Receipt,
        "api_receipt",
    ),
    machine("POST", "/v1/drills/{repository}", Call::Drill, "api_drill"),
    machine(
        "GET",
        "/v1/repositories/{repository}",
        Call::Repository,
        "api_repository",
    ),
    machine(
        "GET",
        "/v1/repositories/{repository}/snapshots",
        Call::Snapshots,
        "api_snapshots",
    ),
    machine(
        "GET",
        "/v1/repositories/{repository}/rotten",
        Call::Rotten,
        "api_rotten",
    ),
    machine(
        "GET",
        "/v1/repositories/{repository}/arrivals",
        Call::Arrivals,
        "api_arrivals",
    ),
    admin("GET", "/v1/tokens", Call::Tokens),
    admin("POST", "/v1/tokens", Call::MakeToken),
    admin("POST", "/v1/tokens/{token}/day", Call::TokenDay),
    admin("POST", "/v1/tokens/{token}/revoke", Call::RevokeToken),
    admin("POST", "/v1/tokens/{token}/hide", Call::Hide),
    admin("POST", "/v1/tokens/{token}/unhide", Call::Unhide),
    admin("POST", "/v1/tokens/{token}/purge", Call::PurgeEarly),
    admin(
        "POST",
        "/v1/tokens/{token}/forget-client-key",
        Call::ForgetClientKey,
    ),
    admin("GET", "/v1/repositories", Call::Repositories),
    admin(
        "POST",
        "/v1/repositories/{repository}/keeping",
        Call::Keeping,
    ),
    admin("POST", "/v1/repositories/{repository}/quota", Call::Quota),
    admin(
        "POST",
        "/v1/repositories/{repository}/undelete",
        Call::Undelete,
    ),
    admin(
        "POST",
        "/v1/repositories/{repository}/keys/{key}/admit",
        Call::AdmitKey,
    ),
    admin(
        "POST",
        "/v1/repositories/{repository}/agree-to-purge",
        Call::AgreeToPurge,
    ),
    admin(
        "DELETE",
        "/v1/repositories/{repository}",
        Call::RemoveRepository,
    ),
    admin("POST", "/v1/clock/confirm", Call::ConfirmClock),
    admin("GET", "/v1/doctor", Call::Doctor),
];

/// What a path names, parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Captured {
    pub(super) repository: Option<RepositoryPath>,
    pub(super) token: Option<String>,
    pub(super) key: Option<Id>,
}

/// What a method and a path mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An endpoint.
    Call(&'static Endpoint, Captured),
    /// One by other methods.
    Others(Vec<&'static str>),
    /// None.
    Nothing,
}

/// Finds what is asked for.
pub(super) fn find(method: &str, path: &str) -> Found {
    let mut others = Vec::new();
    for endpoint in ENDPOINTS {
        let Some(captured) = matches(endpoint.path, path) else {
            continue;
        };
        if endpoint.method == method {
            return Found::Call(endpoint, captured);
        }
        others.push(endpoint.method);
    }
    match others.is_empty() {
        true => Found::Nothing,
        false => Found::Others(others),
    }
}

/// What a path names, where it has the form of a template.
fn matches(template: &str, path: &str) -> Option<Captured> {
    let template: Vec<&str> = template.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    fit(&template, &path, Captured::default())
}

fn fit(template: &[&str], path: &[&str], mut captured: Captured) -> Option<Captured> {
    let Some((first, rest)) = template.split_first() else {
        return path.is_empty().then_some(captured);
    };
    if *first == "{repository}" {
        // What stands behind it decides whether it is two folders or one.
        return [2, 1].into_iter().find_map(|folders| {
            let (repository, behind) = path.split_at_checked(folders)?;
            let mut captured = captured.clone();
            captured.repository = RepositoryPath::of_record(&repository.join("/")).ok();
            captured.repository.as_ref()?;
            fit(rest, behind, captured)
        });
    }
    let (part, behind) = path.split_first()?;
    match *first {
        "{token}" => {
            let is_name = (1..=LONGEST_NAME).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
            captured.token = is_name.then(|| (*part).to_owned());
            captured.token.as_ref()?;
        }
        "{key}" => captured.key = Some(part.parse().ok()?),
        plain if plain == *part => {}
        _ => return None,
    }
    fit(rest, behind, captured)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "c2a6bd9a1d3f3d6a1f7f0d7b0b2a4c9d8e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";

    fn call(method: &str, path: &str) -> Option<(Call, String)> {
        match find(method, path) {
            Found::Call(endpoint, captured) => {
                let repository = captured.repository.map(|path| path.to_string());
                Some((endpoint.call, repository.unwrap_or_default()))
            }
            Found::Others(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn what_stands_behind_a_repository_decides_where_its_path_ends() {
        for (method, path, expected, repository) in [
            ("GET", "acme", Call::Repository, "acme"),
            ("GET", "acme/repos", Call::Repository, "acme/repos"),
            ("GET", "acme/snapshots", Call::Snapshots, "acme"),
            ("GET", "acme/repos/snapshots", Call::Snapshots, "acme/repos"),
            ("GET", "acme/repos/rotten", Call::Rotten, "acme/repos"),
            ("GET", "acme/rotten", Call::Rotten, "acme"),
            ("GET", "acme/arrivals", Call::Arrivals, "acme"),
            ("GET", "acme/repos/arrivals", Call::Arrivals, "acme/repos"),
            ("POST", "acme/quota", Call::Quota, "acme"),
            ("POST", "acme/quota/quota", Call::Quota, "acme/quota"),
            ("GET", "acme/quota", Call::Repository, "acme/quota"),
            ("GET", "v1/repos", Call::Repository, "v1/repos"),
            ("DELETE", "acme/repos", Call::RemoveRepository, "acme/repos"),
        ] {
            let found = call(method, &format!("/v1/repositories/{path}"));
            assert_eq!(found, Some((expected, repository.to_owned())), "{path}");
        }
        let admit = format!("/v1/repositories/acme/repos/keys/{ID}/admit");
        assert_eq!(
            call("POST", &admit),
            Some((Call::AdmitKey, "acme/repos".to_owned()))
        );
    }

    #[test]
    fn tricks_mean_nothing() {
        for path in [
            "/v1",
            "/v1/",
            "/v1//vault",
            "/v1/vault/",
            "/v1/vault/x",
            "/v1/receipts/",
            "/v1/receipts/../tokens",
            "/v1/receipts/a/b/c",
            "/v1/receipts/data",
            "/v1/receipts/acme%2frepos",
            "/v1/repositories/",
            "/v1/repositories/acme/../quota",
            "/v1/repositories/acme/keys/xyz/admit",
            "/v1/tokens/",
            "/v1/tokens//revoke",
            "/v1/tokens/../revoke",
            "/v1/tokens/a b/revoke",
            "/V1/vault",
        ] {
            for method in ["GET", "POST", "DELETE"] {
                assert_eq!(call(method, path), None, "{method} {path}");
            }
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        assert_eq!(
            find("PUT", "/v1/tokens"),
            Found::Others(vec!["GET", "POST"])
        );
        assert_eq!(find("GET", "/v1/nothing"), Found::Nothing);
    }

    #[test]
    fn no_path_means_two_endpoints() {
        for one in ENDPOINTS {
            let path = one
                .path
                .replace("{repository}", "acme/repos")
                .replace("{token}", "abc")
                .replace("{key}", ID);
            let fitting = ENDPOINTS
                .iter()
                .filter(|other| other.method == one.method)
                .filter(|other| matches(other.path, &path).is_some());
            assert_eq!(fitting.count(), 1, "{} {path}", one.method);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_only_plain_names_come_out(path in "/v1/[a-z/.%0-9]{0,60}") {
            for method in ["GET", "POST", "DELETE"] {
                if let Found::Call(_, captured) = find(method, &path)
                    && let Some(repository) = captured.repository
                {
                    let repository = repository.to_string();
                    prop_assert!(RepositoryPath::of_record(&repository).is_ok());
                    prop_assert!(!repository.contains(".."));
                }
            }
        }
    }
}
