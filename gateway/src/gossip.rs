//! `Gossip.Read`: a cluster of one, which leads.

use std::net::SocketAddr;

use crate::{
    Gateway, event,
    messages::gossip::{ClusterInfo, EndPoint, LEADER, MemberInfo},
    names,
};

/// `local` is the address at which the client that asks has found the gateway.
pub(crate) fn read(gateway: &Gateway, local: SocketAddr) -> ClusterInfo {
    ClusterInfo {
        members: vec![MemberInfo {
            instance_id: Some(names::structured(gateway.instance)),
            time_stamp: event::now().as_micros() * 10,
            state: LEADER,
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: local.ip().to_string(),
                port: local.port().into(),
            }),
        }],
    }
}
