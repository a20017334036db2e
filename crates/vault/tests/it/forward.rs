//! Forward authentication: what proxies are answered, the way of a browser, and real proxies.

mod asking;
mod gate;
mod way;
