//! What a listener reports of its connections, to whom it concerns.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};

/// Hears what happens to the connections of a listener. Every method returns at once.
pub trait Observer: Send + Sync + 'static {
    /// A connection was accepted.
    fn opened(&self) {}

    /// A connection is closed.
    fn closed(&self) {}

    /// A connection was closed to make place for others.
    fn evicted(&self) {}

    /// A connection could not be accepted, for want of file descriptors for instance.
    fn accept_failed(&self) {}

    /// A TLS handshake failed.
    fn handshake_failed(&self, _failure: HandshakeFailure) {}

    /// A request's handler panicked; the returned answer is sent to its client.
    fn panicked(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// An observer that ignores all of it.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client broke it off, or broke the protocol.
    Protocol,
    /// It took longer than the limit.
    TimedOut,
}

impl Observer for Unobserved {}
