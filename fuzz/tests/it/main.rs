//! What the fuzzer found stays fixed: the corpus is replayed on stable Rust.

mod replay;
