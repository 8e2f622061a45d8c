//! `ServerFeatures.GetSupportedMethods`: what is here, and nothing that is not.

use crate::{
    messages::features::{SupportedMethod, SupportedMethods},
    route::STREAMS,
};

/// The server version whose protocol is spoken.
const VERSION: &str = "24.10.0";

pub(crate) fn supported() -> SupportedMethods {
    let method = |(name, features): (&str, &[&str])| SupportedMethod {
        method_name: name.to_owned(),
        service_name: STREAMS.to_lowercase(),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
    };
    let methods = [("read", &["position", "events"][..]), ("append", &[])];
    SupportedMethods {
        methods: methods.into_iter().map(method).collect(),
        event_store_server_version: VERSION.to_owned(),
    }
}
