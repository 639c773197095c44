//! Certificates by the wall clock, and the one that TLS handshakes are answered with.

pub mod served;
pub mod time;
pub mod validity;
