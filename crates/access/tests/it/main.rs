//! The deciders, attacked.

mod attacks;
mod powers;
mod scene;
