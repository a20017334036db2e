//! Several processes of one vault, on one PostgreSQL and one storage, any of which may die.

mod acts;
mod bucket;
mod client;
mod log;
mod outage;
mod pairs;
mod pause;
mod process;
mod refusals;
mod storage;
mod updating;
mod witness;
