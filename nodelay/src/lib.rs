//! Sends what a client wants to send at once, where the client itself does not know how to.
//!
//! The official EventStoreDB client writes a request in two pieces and leaves Nagle's algorithm on:
//! the second piece waits for the server's delayed acknowledgement of the first, 40 ms on Linux.
//! It makes its sockets itself and takes no connector. So they are found from outside: Linux lists
//! a process's descriptors in `/proc/self/fd`. Elsewhere nothing is done.
//!
//! This is the one crate with an unsafe line in it; it is kept apart so that all others forbid it.

/// Turns TCP_NODELAY on for every TCP connection of this process to one of these ports, and says
/// for how many it was off. Blocks for some microseconds a descriptor.
///
/// That a connection to the same port of another server is found too does no harm: the option only
/// costs a small packet more.
pub fn set(peer_ports: &[u16]) -> usize {
    #[cfg(target_os = "linux")]
    return linux::set(peer_ports);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = peer_ports;
        0
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs, io,
        os::fd::{BorrowedFd, RawFd},
    };

    use socket2::SockRef;

    pub(super) fn set(peer_ports: &[u16]) -> usize {
        // Without /proc nothing is found, and requests take their 40 ms.
        let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return 0 };
        descriptors
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&descriptor| set_one(descriptor, peer_ports).unwrap_or(false))
            .count()
    }

    /// Whether the option was off and is on now. Most descriptors are no connected socket: that is
    /// an error of the first call and no more.
    fn set_one(descriptor: RawFd, peer_ports: &[u16]) -> io::Result<bool> {
        // SAFETY: the number is not -1, and it is only given to getpeername, getsockopt and
        // setsockopt, which take any number and touch no memory of its owner. Should the owner
        // close it meanwhile, they answer EBADF; should it be another socket by then, the option
        // set on it is harmless.
        #[allow(unsafe_code)]
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = SockRef::from(&borrowed);
        let peer = socket.peer_addr()?.as_socket().map(|peer| peer.port());
        if !peer.is_some_and(|port| peer_ports.contains(&port)) || socket.tcp_nodelay()? {
            return Ok(false);
        }
        socket.set_tcp_nodelay(true)?;
        Ok(true)
    }
}
