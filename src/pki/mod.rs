//! The validity of certificates, the wall clock, and the certificate that the webhook serves.

pub mod served;
pub mod time;
pub mod validity;
