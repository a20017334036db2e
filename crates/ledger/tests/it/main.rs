//! The ledger as an auditor, a publisher and a client use it.

#[cfg(test)]
mod auditing;
#[cfg(test)]
mod growing;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod remembering;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod witnesses;
