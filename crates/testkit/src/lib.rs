//! placeholder

pub mod programs;
pub mod wild_tree;
