//! Drills: rehearsals of what must work on the day it is needed.

pub mod attack;
pub mod restore;
