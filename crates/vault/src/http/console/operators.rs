//! Operators: who they are, and what is asked for about them.

use maud::{Markup, html};
use serde_json::json;
use strongroom_access::{Act, Operator, Role, Roles, Rule, Setup, Standing};

use crate::http::console::look::{Scene, nothing};
use crate::http::console::operations::{given, shown};
use crate::http::console::reply::Reply;
use crate::http::console::words;
use crate::{Error, Result};

/// The pages of operators, and what they post.
pub(super) fn page(scene: &Scene<'_>, rest: &[&str]) -> Result<Reply> {
    match (scene.ask.is_post, rest) {
        (false, [] | [""]) => list(scene),
        (true, ["invite", "passkey"]) => {
            let act = invitation(scene)?;
            let (handle, options) = scene.people.ask_to_show(scene.me(), &act)?;
            let asked = json!({ "handle": handle.reveal(), "options": options });
            Ok(Reply::json(&asked))
        }
        (true, ["invite"]) => {
            let act = invitation(scene)?;
            let who = shown(scene, &act)?;
            match is_set_up(scene) {
                true => {
                    let done = scene.people.act(who, &act)?;
                    Ok(given(scene, "/-/operators", &done))
                }
                false => {
                    let reason = scene.ask.field("reason");
                    let number = scene.people.ask(who, &act, reason)?;
                    Ok(Reply::see(&format!("/-/operations/{number}")))
                }
            }
        }
        (true, ["end-set-up"]) => {
            scene.people.close_setup(scene.me())?;
            Ok(Reply::see("/-/operators"))
        }
        (true, ["stop-recovery"]) => {
            scene.people.stop_recovery(scene.me())?;
            Ok(Reply::see("/-/operators"))
        }
        (true, ["sessions"]) => {
            let of = scene.ask.field("operator").parse();
            let of = of.map_err(|_| Error::Unknown {
                what: "operator",
                name: scene.ask.field("operator").to_owned(),
            })?;
            let of = strongroom_access::OperatorId(of);
            scene.people.end_sessions(scene.signed_in.who(), of)?;
            Ok(Reply::see("/-/operators"))
        }
        _ => Ok(nothing(scene)),
    }
}

/// Whether the first operator still invites alone.
fn is_set_up(scene: &Scene<'_>) -> bool {
    let setup = scene.known.regime.setup.at(scene.now_ms);
    matches!(setup, Setup::UnderWay { .. })
}

/// Who shall be added, as a form says it.
fn invitation(scene: &Scene<'_>) -> Result<Act> {
    let malformed = |reason: String| Error::Malformed {
        what: "invitation",
        reason,
    };
    let name = scene.ask.field("name").trim().to_lowercase();
    let name = name
        .parse()
        .map_err(|error: strongroom_model::Error| malformed(error.to_string()))?;
    let roles = scene.ask.fields("role").map(str::parse);
    let roles: Roles = roles
        .collect::<std::result::Result<Roles, String>>()
        .map_err(malformed)?;
    if roles == Roles::NONE {
        return Err(malformed("it names no role".to_owned()));
    }
    Ok(Act::AddOperator { name, roles })
}

fn list(scene: &Scene<'_>) -> Result<Reply> {
    let present = |operator: &&Operator| operator.standing != Standing::Removed;
    let rule = scene.known.regime.rule;
    let mut cards = Vec::new();
    for operator in scene.known.operators.iter().filter(present) {
        cards.push(card(scene, operator)?);
    }
    let is_first = matches!(
        scene.known.regime.setup.at(scene.now_ms),
        Setup::UnderWay { first, .. } if first == scene.me()
    );
    let content = html! {
        div.cards { @for card in cards { (card) } }
        br;
        @if !scene.known.seal.is_closed() { (invite(scene)) }
        @if is_first {
            div.card {
                h2 { "Set-up" }
                p { "When everybody is there, end it: from then on others agree to whatever lowers "
                    "protection." }
                (scene.form("/-/operators/end-set-up", &html! { button.quiet { "End set-up now" } }))
            }
        } @else if !is_set_up(scene) && scene.is(Role::Security) && !scene.known.seal.is_closed() {
            div.card {
                h2 { "The rule" }
                p { "With three security operators or more, " strong { (rule.yeses()) }
                    " others have to agree." }
                @if let Some(more) = Rule::new(rule.yeses() + 1) {
                    (scene.act_form("/-/operations", &Act::SetRule { rule: more }, &html! {
                        button.quiet { "Ask for " (more.yeses()) }
                    })?)
                }
            }
        }
    };
    Ok(scene.page("Operators", &content))
}

fn invite(scene: &Scene<'_>) -> Markup {
    let at_once = is_set_up(scene);
    let content = html! {
        label for="name" { "Name" }
        input id="name" name="name" required maxlength="64" autocapitalize="none";
        fieldset {
            legend { "What for" }
            @for (role, what) in [
                (Role::Viewer, "looks"),
                (Role::Restorer, "restores"),
                (Role::Keeper, "undeletes, raises, makes tokens"),
                (Role::Security, "approves"),
            ] {
                label.check {
                    input type="checkbox" name="role" value=(role.word());
                    span { strong { (role.word()) } ": " (what) }
                }
            }
        }
        @if !at_once {
            label for="why" { "Why?" }
            input id="why" name="reason" maxlength="500";
        }
        button { @if at_once { "Invite" } @else { "Ask to add" } }
    };
    html! {
        div.card {
            h2 { "Add somebody" }
            (scene.passkey_form("/-/operators/invite", "/-/operators/invite/passkey", &content))
        }
    }
}

fn card(scene: &Scene<'_>, operator: &Operator) -> Result<Markup> {
    let (word, kind) = match operator.standing {
        Standing::Active if operator.factors.are_enough() => ("active", "is-good"),
        Standing::Active => ("too few factors", "is-bad"),
        Standing::Invited { until_ms } if until_ms <= scene.now_ms => {
            ("invitation lapsed", "is-bad")
        }
        Standing::Invited { .. } => ("invited", "is-warn"),
        Standing::Suspended => ("suspended", "is-bad"),
        Standing::Removed => ("removed", ""),
    };
    let id = operator.id;
    let acts: Vec<(Act, &str)> = match operator.standing {
        Standing::Active => vec![
            (Act::Suspend { operator: id }, "Ask to suspend"),
            (
                Act::RecoverOperator { operator: id },
                "Ask to let enrol anew",
            ),
            (Act::RemoveOperator { operator: id }, "Ask to remove"),
        ],
        Standing::Suspended => vec![
            (Act::Reinstate { operator: id }, "Ask to reinstate"),
            (Act::RemoveOperator { operator: id }, "Ask to remove"),
        ],
        Standing::Invited { .. } => vec![(Act::RemoveOperator { operator: id }, "Ask to remove")],
        Standing::Removed => Vec::new(),
    };
    let may_ask = !is_set_up(scene) && id != scene.me();
    let under_seal = scene.known.seal.is_closed();
    let acts = acts
        .into_iter()
        .filter(|(act, _)| may_ask && (!under_seal || matches!(act, Act::Suspend { .. })));
    let mut forms = Vec::new();
    for (act, label) in acts {
        forms.push(scene.act_form(
            "/-/operations",
            &act,
            &html! {
                button.quiet aria-label={ (label) " " (operator.name.as_str()) } { (label) }
            },
        )?);
    }
    let factors = operator.factors;
    Ok(html! {
        section.card aria-label=(operator.name.as_str()) {
            h2 { (operator.name.as_str()) @if id == scene.me() { " (you)" } }
            p { span class={ "tag " (kind) } { (word) } }
            dl {
                dt { "There for" } dd { (words::spoken(operator.roles)) }
                dt { "Factors" }
                dd {
                    (factors.passkeys) @if factors.passkeys == 1 { " passkey" } @else { " passkeys" }
                    @if factors.has_password { ", a password with codes" }
                }
            }
            @if id != scene.me() && operator.standing == Standing::Active {
                (scene.form("/-/operators/sessions", &html! {
                    input type="hidden" name="operator" value=(id);
                    button.quiet aria-label={ "End sessions of " (operator.name.as_str()) } {
                        "End sessions"
                    }
                }))
            }
            @for form in forms { (form) }
        }
    })
}
