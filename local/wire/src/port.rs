//! Ports for servers that aren't up yet.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::net::TcpSocket;

/// A port of this machine that is kept for one server: whoever is told its number may listen on it, again and
/// again, and nobody is given it by chance while this value lives.
///
/// A socket is bound to it and never listens. The kernel gives such a port to no other socket, neither to
/// listen on nor to call from; but who binds it by its number may, where both sockets allow it
/// (`SO_REUSEADDR`, which servers set).
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _socket: TcpSocket,
}

impl ReservedPort {
    /// Takes a free port.
    pub fn take() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            number: socket.local_addr()?.port(),
            _socket: socket,
        })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_is_told_a_port_listens_on_it_again_and_again() {
        let port = ReservedPort::take().unwrap();
        let address = (Ipv4Addr::LOCALHOST, port.number());
        for anywhere in [false, true, false] {
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let from = if anywhere {
                Ipv4Addr::UNSPECIFIED
            } else {
                Ipv4Addr::LOCALHOST
            };
            let server = TcpListener::bind((from, port.number())).unwrap();
            let call = TcpStream::connect(address).unwrap();
            assert_eq!(
                server.accept().unwrap().1.port(),
                call.local_addr().unwrap().port()
            );
        }
    }
}
