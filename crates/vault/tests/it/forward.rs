//! Forward authentication: what proxies are answered, the way of a browser, and real proxies.

mod asking;
pub(crate) mod gate;
mod pages;
mod proxies;
mod street;
mod way;
