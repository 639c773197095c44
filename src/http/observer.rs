//! The events of a listener's connections.

use axum::{
    body::Body,
    http::{Response, StatusCode},
};

/// Receives the events of a listener's connections. No method may block.
pub trait Observer: Send + Sync + 'static {
    /// A connection was accepted.
    fn opened(&self) {}

    /// A connection is closed.
    fn closed(&self) {}

    /// An idle connection was closed because the listener is near its limit.
    fn evicted(&self) {}

    /// A connection could not be accepted, for example because no file descriptor was free.
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

/// Ignores all events.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

/// Why a TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client closed the connection or violated the protocol.
    Protocol,
    /// It took longer than the limit.
    TimedOut,
}

impl Observer for Unobserved {}
