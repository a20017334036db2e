//! Where set-up stands, how many have to agree, and the way back in.

use strongroom_access::setup::Recovery;
use strongroom_access::{OperatorId, Rule, Setup};

use crate::Result;
use crate::database::{Row, Transaction, Value};
use crate::records::people::digest;
use crate::records::{damaged, maybe};

/// The one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regime {
    /// Where set-up stands.
    pub setup: Setup,
    /// How many have to agree.
    pub rule: Rule,
    /// The SHA-256 of the code on paper, by which all operators can be recovered.
    pub paper: Option<[u8; 32]>,
    /// A recovery of the operators, where one was announced.
    pub recovery: Option<Recovery>,
    /// Who has come by the link of the last recovery.
    pub recovered: Option<OperatorId>,
}

fn read(row: &dyn Row) -> Result<Regime> {
    let setup = match (row.text(0)?.as_str(), row.maybe_int(1)?, row.maybe_int(2)?) {
        ("unclaimed", ..) => Setup::Unclaimed,
        ("under-way", Some(since_ms), Some(first)) => Setup::UnderWay {
            since_ms,
            first: OperatorId(first),
        },
        ("established", ..) => Setup::Established,
        _ => return Err(damaged("set-up stands nowhere")),
    };
    let rule = usize::try_from(row.int(3)?).ok().and_then(Rule::new);
    let paper = match row.maybe_bytes(4)? {
        Some(_) => Some(digest(row, 4)?),
        None => None,
    };
    let recovery = match (row.text(5)?.as_str(), row.maybe_int(6)?) {
        ("none", _) => None,
        ("announced", Some(at_ms)) => Some(Recovery::Announced { at_ms }),
        ("stopped", _) => Some(Recovery::Stopped),
        ("used", _) => Some(Recovery::Used),
        _ => return Err(damaged("a recovery stands nowhere")),
    };
    Ok(Regime {
        setup,
        rule: rule.ok_or_else(|| damaged("too few have to agree"))?,
        paper,
        recovery,
        recovered: row.maybe_int(7)?.map(OperatorId),
    })
}

/// What holds.
///
/// # Errors
/// Those of the database.
pub fn get(transaction: &mut dyn Transaction) -> Result<Regime> {
    let statement = "SELECT setup, setup_ms, setup_first, rule, paper, recovery, recovery_ms, \
                     recovery_first FROM regime WHERE one = 1";
    let regime = transaction.first(statement, &[], read)?;
    regime.ok_or_else(|| damaged("nothing says how many have to agree"))
}

/// Notes where set-up stands.
///
/// # Errors
/// Those of the database.
pub fn set_setup(transaction: &mut dyn Transaction, setup: Setup) -> Result<()> {
    let (word, since_ms, first) = match setup {
        Setup::Unclaimed => ("unclaimed", None, None),
        Setup::UnderWay { since_ms, first } => ("under-way", Some(since_ms), Some(first.0)),
        Setup::Established => ("established", None, None),
    };
    let statement = "UPDATE regime SET setup = $1, setup_ms = $2, setup_first = $3 WHERE one = 1";
    transaction.execute(
        statement,
        &[Value::Text(word), maybe(since_ms), maybe(first)],
    )?;
    Ok(())
}

/// Sets how many have to agree.
///
/// # Errors
/// Those of the database.
pub fn set_rule(transaction: &mut dyn Transaction, rule: Rule) -> Result<()> {
    let yeses = i64::try_from(rule.yeses()).map_err(|_| damaged("too many have to agree"))?;
    transaction.execute(
        "UPDATE regime SET rule = $1 WHERE one = 1",
        &[Value::Int(yeses)],
    )?;
    Ok(())
}

/// Sets the code on paper.
///
/// # Errors
/// Those of the database.
pub fn set_paper(transaction: &mut dyn Transaction, paper: &[u8; 32]) -> Result<()> {
    let statement = "UPDATE regime SET paper = $1 WHERE one = 1";
    transaction.execute(statement, &[Value::Bytes(paper)])?;
    Ok(())
}

/// Notes who has come by the link of a recovery.
///
/// # Errors
/// Those of the database.
pub fn set_recovered(transaction: &mut dyn Transaction, who: OperatorId) -> Result<()> {
    let statement = "UPDATE regime SET recovery_first = $1 WHERE one = 1";
    transaction.execute(statement, &[Value::Int(who.0)])?;
    Ok(())
}

/// Notes that whoever came by the link of a recovery has all that he needs.
///
/// # Errors
/// Those of the database.
pub fn end_recovered(transaction: &mut dyn Transaction, who: OperatorId) -> Result<()> {
    let statement = "UPDATE regime SET recovery_first = NULL WHERE one = 1 AND recovery_first = $1";
    transaction.execute(statement, &[Value::Int(who.0)])?;
    Ok(())
}

/// Notes where a recovery of the operators stands.
///
/// # Errors
/// Those of the database.
pub fn set_recovery(transaction: &mut dyn Transaction, recovery: Recovery) -> Result<()> {
    let (word, at_ms) = match recovery {
        Recovery::Announced { at_ms } => ("announced", Some(at_ms)),
        Recovery::Stopped => ("stopped", None),
        Recovery::Used => ("used", None),
    };
    let statement = "UPDATE regime SET recovery = $1, recovery_ms = $2 WHERE one = 1";
    let values = [Value::Text(word), maybe(at_ms)];
    transaction.execute(statement, &values)?;
    Ok(())
}
