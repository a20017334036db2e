//! What everybody who is told over a channel hears of people.

use strongroom_access::{Act, OperatorId};

use crate::Result;
use crate::database::Transaction;
use crate::people::Known;
use crate::records::leaves::Moment;
use crate::records::notices::{self, Notice};
use crate::rules::notices::{Kind, Level};

/// Tells it, in the transaction of the act.
pub(super) fn notify(
    transaction: &mut dyn Transaction,
    now: Moment,
    kind: Kind,
    subject: String,
    body: String,
) -> Result<()> {
    let level = match kind {
        Kind::Seal | Kind::Unseal | Kind::Recovery => Level::Critical,
        _ => Level::Ordinary,
    };
    let notice = Notice {
        kind,
        level,
        subject,
        body,
    };
    notices::tell(transaction, now, &notice)?;
    Ok(())
}

/// What an operator is called.
pub(super) fn name(known: &Known, who: OperatorId) -> String {
    let operator = known.operator(who);
    operator.map_or_else(
        || format!("operator {who}"),
        |operator| operator.name.as_str().to_owned(),
    )
}

/// The exact contents of an act, for people.
pub(super) fn contents(act: &Act) -> String {
    serde_json::to_string_pretty(act).unwrap_or_default()
}
