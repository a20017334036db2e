//! The listener against real clients, kind and unkind, over real sockets.

mod bodies;
mod floods;
mod log;
mod logins;
mod server;
mod slow;
mod stop;
mod tls;
