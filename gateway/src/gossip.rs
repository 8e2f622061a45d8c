//! `Gossip.Read`: a cluster of one, which leads.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    Gateway,
    messages::gossip::{ClusterInfo, EndPoint, LEADER, MemberInfo},
    names,
};

pub(crate) fn read(gateway: &Gateway) -> ClusterInfo {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClusterInfo {
        members: vec![MemberInfo {
            instance_id: Some(names::structured(gateway.instance)),
            time_stamp: i64::try_from(now.as_nanos() / 100).unwrap_or(i64::MAX),
            state: LEADER,
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: gateway.address.ip().to_string(),
                port: gateway.address.port().into(),
            }),
        }],
    }
}
