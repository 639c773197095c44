//! The `pullcred` binary.

fn main() {}
