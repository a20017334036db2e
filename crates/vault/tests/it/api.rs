//! The API over real sockets, by each principal, and against its own description.

mod administrators;
mod description;
mod hung_storage;
mod load;
mod machines;
mod server;
mod slow_lists;
mod strangers;
