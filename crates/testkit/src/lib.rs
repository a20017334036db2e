//! placeholder

pub mod programs;
