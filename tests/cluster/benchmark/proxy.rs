//! A way to the API server that counts the bytes on it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::cluster::loopback;

/// Bytes in one piece.
const PIECE: usize = 64 << 10;

/// Passes bytes on, as they are, encrypted. Dropping it ends all connections.
pub(super) struct Proxy {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

// === impl Proxy ===

impl Proxy {
    pub(super) async fn start(to: SocketAddr) -> Result<Self> {
        let address = loopback();
        let listener = TcpListener::bind(address).await?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                connections.spawn(async move { connect(from, to, &counted).await });
            }
        });
        Ok(Self { address, bytes, task })
    }

    /// Where to connect instead.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bytes of both directions until now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(from: TcpStream, to: SocketAddr, bytes: &AtomicU64) -> io::Result<()> {
    let to = TcpStream::connect(to).await?;
    for stream in [&from, &to] {
        stream.set_nodelay(true)?;
    }
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::try_join!(pass(from_read, to_write, bytes), pass(to_read, from_write, bytes))?;
    Ok(())
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
        bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}
