//! Every call and every error path, asked by requests made by hand.

mod appending;
mod batches;
mod deleting;
mod hostile;
mod metadata_hides;
mod model;
mod raw;
mod reading;
mod subscribing;
mod support;
