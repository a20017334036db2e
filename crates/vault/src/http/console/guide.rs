//! What leads from the first link to the first protected folder: who else is needed, a token, commands
//! to paste on the machine that has something to lose, and that its first backup has come.

use maud::{Markup, html};
use strongroom_access::{Right, Standing};

use crate::Result;
use crate::http::console::asking;
use crate::http::console::look::Scene;
use crate::records::repositories::Repository;
use crate::rules::clock::DAY_MS;

/// The repository of the commands, until somebody says which one it shall be.
const REPOSITORY: &str = "acme/repos";

/// The guide, where nothing has come so far; that something has, for a day after the first. `page` is
/// the first page of the overview.
pub(super) fn draw(scene: &Scene<'_>, page: &[Repository]) -> Result<Markup> {
    let arrived: Vec<(&Repository, i64)> = page
        .iter()
        .filter_map(|repository| Some((repository, repository.arrived_at_ms?)))
        .collect();
    match arrived.as_slice() {
        [] => guide(scene),
        [(repository, at_ms)] => Ok(has_come(scene, repository, *at_ms)),
        _ => Ok(html! {}),
    }
}

/// The first backup, where it came within a day.
fn has_come(scene: &Scene<'_>, repository: &Repository, at_ms: i64) -> Markup {
    let ago_ms = scene.people.vault().now().recorded_ms - at_ms;
    html! {
        @if ago_ms < DAY_MS {
            div data-live="" aria-live="polite" {
                p.note.good {
                    strong { "The first backup has arrived" } ", in " (repository.path.as_str()) ". "
                    "See on the machine how far the plan is met: " code { "strongroom status" }
                }
            }
        }
    }
}

fn guide(scene: &Scene<'_>) -> Result<Markup> {
    let counting = scene.known.operators.iter();
    let others = counting
        .filter(|operator| operator.standing == Standing::Active && operator.id != scene.me())
        .count();
    let has_token = !scene.people.vault().tokens_below(i64::MAX, 1)?.is_empty();
    let origin = scene
        .people
        .origin()
        .unwrap_or("https://vault.example.net:8000");
    Ok(html! {
        div.card {
            h2 { "To the first protected folder" }
            ol.steps {
                li {
                    h3 { "Somebody who agrees" (tick(others > 0)) }
                    p { "Whoever is alone agrees to everything himself, after 14 days; whom you invite "
                        "agrees, and stops. " a href="/-/operators" { "Invite somebody" } }
                }
                li {
                    h3 { "A token for the machine" (tick(has_token)) }
                    p { "It puts files and reads them, and deletes nothing. It is shown once: keep it "
                        "for the next step." }
                    (asking::form(scene, "/-/tokens", &token()))
                }
                li {
                    h3 { "On the machine, as root" }
                    p { "With its token in place of srt-…, a folder of yours in place of /srv/git, and "
                        "the fingerprint that " code { "strongroom-vault serve" } " has printed; where "
                        "the vault has a certificate that the machine trusts anyway, without that line." }
                    pre { (commands(origin)) }
                    details {
                        summary { "With restic alone" }
                        p { code { "tls.crt" } " is a copy of the vault's " code { "keys/tls.crt" } "." }
                        pre { (restic(origin)) }
                    }
                    p { "Keep a copy of /etc/strongroom/password where neither an attacker nor a fire "
                        "reaches it: nothing opens the repository without it." }
                }
                li {
                    h3 { "The first backup" }
                    div data-live="" aria-live="polite" {
                        p { "Nothing has arrived so far. This line says it when something has." }
                    }
                }
            }
        }
    })
}

fn tick(is_done: bool) -> Markup {
    html! { @if is_done { " " span.tag.is-good { "done" } } }
}

fn token() -> Markup {
    html! {
        input type="hidden" name="deed" value="make";
        input type="hidden" name="back" value="guide";
        input type="hidden" name="right" value=(Right::Append.word());
        label for="prefix" { "For which repository" }
        input id="prefix" name="prefix" value=(REPOSITORY) required maxlength="129"
            autocapitalize="none";
        label for="lasts" { "For how long" }
        input id="lasts" name="lasts" value="90d" maxlength="12";
        button { "Make the token" }
    }
}

/// The address of a repository, for the user `backup` with a password.
fn store(origin: &str, password: &str) -> String {
    let (scheme, host) = origin.split_once("://").unwrap_or(("https", origin));
    format!("rest:{scheme}://backup:{password}@{host}/{REPOSITORY}/")
}

/// The configuration that the commands write.
fn config(origin: &str) -> String {
    let fingerprint = match origin.starts_with("https://") {
        true => "fingerprint = \"5A:0C:…\"\n",
        false => "",
    };
    format!(
        "password_file = \"/etc/strongroom/password\"\n\
         \n\
         [[source]]\n\
         name = \"repos\"\n\
         path = \"/srv/git\"\n\
         \n\
         [[copy]]\n\
         name = \"vault\"\n\
         store = \"{}\"\n\
         {fingerprint}\
         medium = \"disk\"\n\
         site = \"vault\"\n\
         domain = \"vault-team\"\n",
        store(origin, "${VAULT_TOKEN}")
    )
}

fn commands(origin: &str) -> String {
    format!(
        "install -d -m 755 /etc/strongroom\n\
         (umask 077; head -c 32 /dev/urandom | base64 > /etc/strongroom/password)\n\
         cat > /etc/strongroom/strongroom.toml <<'END'\n\
         {}END\n\
         export VAULT_TOKEN=srt-…\n\
         strongroom init\n\
         strongroom backup\n\
         strongroom status\n",
        config(origin)
    )
}

fn restic(origin: &str) -> String {
    let store = store(origin, "TOKEN");
    format!(
        "restic --cacert tls.crt -r {store} init\n\
         restic --cacert tls.crt -r {store} backup /srv/git\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_that_is_pasted_is_one() {
        for origin in ["https://vault.example.net:8000", "http://localhost:8000"] {
            let text = config(origin).replace("5A:0C:…", &["5A"; 32].join(":"));
            let variables = |name: &str| (name == "VAULT_TOKEN").then(|| "srt-a-b".to_owned());
            let config = strongroom_model::Config::parse(&text, &variables);
            assert!(config.is_ok(), "{config:?}\n{text}");
        }
    }
}
