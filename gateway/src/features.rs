//! `ServerFeatures.GetSupportedMethods`: what is here, and nothing that is not.

use crate::messages::features::{SupportedMethod, SupportedMethods};

/// The version of the server whose protocol is spoken.
const VERSION: &str = "24.10.0";

const STREAMS: &str = "event_store.client.streams.streams";
/// Service, method, features.
const METHODS: [(&str, &str, &[&str]); 7] = [
    (STREAMS, "read", &["position", "events"]),
    (STREAMS, "append", &[]),
    (STREAMS, "batchappend", &["deadline_duration"]),
    (STREAMS, "delete", &[]),
    (STREAMS, "tombstone", &[]),
    ("event_store.client.gossip.gossip", "read", &[]),
    ("event_store.client.server_features.serverfeatures", "getsupportedmethods", &[]),
];

pub(crate) fn supported() -> SupportedMethods {
    let methods = METHODS.iter().map(|&(service, method, features)| SupportedMethod {
        method_name: method.to_owned(),
        service_name: service.to_owned(),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
    });
    SupportedMethods { methods: methods.collect(), event_store_server_version: VERSION.to_owned() }
}
