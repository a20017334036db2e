//! What the fuzzer found stays fixed: the corpus is replayed on stable Rust.

#[cfg(test)]
mod replay;
