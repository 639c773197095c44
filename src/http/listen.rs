//! Opens a port for IPv6 and IPv4.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// The most connections that the kernel queues before they are accepted.
const BACKLOG: u32 = 1024;

/// Listens on `address`. `[::]` serves IPv4 as well, and is `0.0.0.0` where the kernel has no IPv6.
///
/// # Errors
///
/// If the address is in use, or is not one of this machine.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match open(address) {
        Err(error) if is_any_v6(address) && !has_family(&error) => {
            open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        result => result,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    if is_any_v6(address) {
        // Independent of net.ipv6.bindv6only.
        set_ipv6_v6only(&socket, false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_any_v6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn has_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
    error.raw_os_error().is_none_or(|code| !missing.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_address_serves_both_families() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (_, client) = listener.accept().await.unwrap();
        assert_eq!(client.ip().to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_also_where_ipv4_would_be_free() {
        let taken = listen("[::]:0".parse().unwrap()).unwrap().local_addr().unwrap();
        let first = listen(taken).unwrap();
        assert_eq!(listen(taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
    }

    #[test]
    fn without_ipv6_the_other_family_is_taken() {
        let error = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(!has_family(&error(rustix::io::Errno::AFNOSUPPORT)));
        assert!(has_family(&error(rustix::io::Errno::ADDRINUSE)));
    }
}
