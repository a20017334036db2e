//! placeholder
mod gojson;
pub mod node;
pub mod tree;
