//! Sockets are found by their peer's port.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, TcpStream};

#[test]
fn connections_to_the_port_are_set_and_no_other() {
    let (listener, other) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap());
    let (port, other_port) =
        (listener.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let outgoing = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let second = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let elsewhere = TcpStream::connect(("::1", other_port)).unwrap();
    let (accepted, _) = listener.accept().unwrap();

    assert_eq!(nodelay::set(&[port]), 2);
    assert!(outgoing.nodelay().unwrap() && second.nodelay().unwrap());
    assert!(!accepted.nodelay().unwrap(), "its peer's port is another");
    assert!(!elsewhere.nodelay().unwrap());
    assert_eq!(nodelay::set(&[port]), 0, "nothing is left to do");
    assert_eq!(nodelay::set(&[port, other_port]), 1);
    assert!(elsewhere.nodelay().unwrap());
}
