//! `Streams.Read`: a stream or `$all`, forwards or backwards, or a subscription.

use std::sync::Arc;

use infra::event_store::Direction;

use crate::{
    Gateway,
    deadline::Call,
    event::Ids,
    failure::Failure,
    filter::Filter,
    messages::read::{Count, Filtered, Options, ReadReq, ReadResp, What},
    pages::Answers,
    read_all, read_stream, subscribe_all, subscribe_stream,
};

pub(crate) async fn read(
    gateway: Arc<Gateway>,
    request: ReadReq,
    call: Call,
) -> Result<Answers<ReadResp>, Failure> {
    let options = request.options.ok_or_else(|| Failure::missing("options"))?;
    let ids = Ids::asked(options.uuid_option.ok_or_else(|| Failure::missing("uuidOption"))?);
    let direction = match options.read_direction {
        0 => Direction::Forwards,
        1 => Direction::Backwards,
        other => return Err(Failure::Invalid(format!("{other} is no direction"))),
    };
    let compatible = options.control_option.is_some_and(|option| option.compatibility >= 1);
    let filter = match options.filter {
        Some(Filtered::Filter(filter)) => Some(Filter::new(filter)?),
        Some(Filtered::NoFilter(())) | None => None,
    };
    let Options { what, count, .. } = options;
    let what = what.ok_or_else(|| Failure::missing("streamOption"))?;
    let count = count.ok_or_else(|| Failure::missing("countOption"))?;
    match (what, count, direction, filter) {
        (What::Stream(options), Count::Count(count), direction, None) => {
            read_stream::read(gateway, &options, direction, count, compatible, ids, call)
        }
        (What::All(options), Count::Count(count), direction, filter) => {
            read_all::read(gateway, options, direction, count, filter, ids, call)
        }
        (What::Stream(options), Count::Subscription(()), Direction::Forwards, None) => {
            subscribe_stream::subscribe(gateway, &options, ids, call).await
        }
        (What::All(options), Count::Subscription(()), Direction::Forwards, filter) => {
            subscribe_all::subscribe(gateway, options, filter, ids, call).await
        }
        (_, Count::Subscription(()), Direction::Backwards, _) => {
            Err(Failure::Invalid("a subscription goes forwards".to_owned()))
        }
        (What::Stream(_), _, _, Some(_)) => {
            Err(Failure::Invalid("only $all can be filtered".to_owned()))
        }
    }
}
