use event_schemas::{
    AccessEvent, EmailEvent, Event, Money, OrderBody, OrderEvent, ProductEvent, StockEvent,
    UserEvent,
};

/// What somebody did, in plain words, such as `placed an order of 2 lines for 21.98 USD`. What it was
/// done to is the event's stream.
pub fn deed(event: &Event) -> String {
    match event {
        Event::Order(event) => order(event),
        Event::Stock(event) => stock(event),
        Event::Product(event) => product(event),
        Event::User(UserEvent::Registered(_)) => "registered".to_owned(),
        Event::User(UserEvent::ClaimAbandoned(_)) => "gave up a claim".to_owned(),
        Event::User(UserEvent::Forgotten(event)) => match &event.reason {
            Some(reason) => format!("forgot the person: {reason}"),
            None => "forgot the person".to_owned(),
        },
        Event::Access(AccessEvent::Opened(event)) => match &event.reason {
            Some(reason) => format!("opened what is personal by {}: {reason}", event.route),
            None => format!("opened what is personal by {}", event.route),
        },
        Event::Email(EmailEvent::Claimed(event)) => {
            format!("claimed an e-mail address for user {}", event.user_id)
        }
        Event::Email(EmailEvent::Released(_)) => "released an e-mail address".to_owned(),
    }
}

fn order(event: &OrderEvent) -> String {
    match event {
        OrderEvent::Placed(event) => format!("placed {}", whole(&event.order)),
        OrderEvent::Refused(event) => {
            let short: Vec<_> = event.short.iter().map(|line| line.sku.as_str()).collect();
            format!("was refused {}: {} short", whole(&event.order), short.join(", "))
        }
        OrderEvent::Abandoned(_) => "gave up an order that came to no end".to_owned(),
        OrderEvent::Cancelled(event) => format!("cancelled the order: {}", event.reason),
        OrderEvent::Dispatched(event) => match (&event.carrier, &event.tracking) {
            (Some(carrier), Some(tracking)) => {
                format!("dispatched the order with {carrier}, {tracking}")
            }
            (Some(carrier), None) => format!("dispatched the order with {carrier}"),
            (None, Some(tracking)) => format!("dispatched the order, {tracking}"),
            (None, None) => "dispatched the order".to_owned(),
        },
        OrderEvent::Delivered(_) => "delivered the order".to_owned(),
    }
}

fn whole(order: &OrderBody) -> String {
    let (lines, total) = (order.lines.len(), money(order.currency.money(order.total)));
    format!("an order of {} for {total}", counted(lines, "line"))
}

fn stock(event: &StockEvent) -> String {
    let units = |quantity: i64| counted(quantity, "unit");
    match event {
        StockEvent::Introduced(event) => {
            format!("introduced the sku of product {}", event.product_id)
        }
        StockEvent::SkuReleased(_) => "released the sku".to_owned(),
        StockEvent::Received(event) => format!("received {}", units(event.quantity)),
        StockEvent::Reserved(event) => {
            format!("reserved {} for order {}", units(event.quantity), event.order_id)
        }
        StockEvent::Released(event) => {
            format!("released {} of order {}", units(event.quantity), event.order_id)
        }
        StockEvent::Dispatched(event) => {
            format!("dispatched {} of order {}", units(event.quantity), event.order_id)
        }
        StockEvent::Adjusted(event) => {
            format!("corrected the stock by {:+}: {}", event.delta, event.reason)
        }
    }
}

fn product(event: &ProductEvent) -> String {
    match event {
        ProductEvent::Created(event) => {
            let variants = counted(event.variants.len(), "variant");
            format!("made the product {:?} with {variants}", event.title)
        }
        ProductEvent::Described(event) => format!("described the product as {:?}", event.title),
        ProductEvent::VariantAdded(event) => {
            format!("added the variant {} for {}", event.variant.sku, money(event.variant.price))
        }
        ProductEvent::VariantPriced(event) => {
            format!("set the price of {} to {}", event.sku, money(event.price))
        }
        ProductEvent::PutOnShelf(_) => "put the product on the shelf".to_owned(),
        ProductEvent::TakenOffShelf(_) => "took the product off the shelf".to_owned(),
        ProductEvent::ClaimAbandoned(_) => "gave up a claim".to_owned(),
    }
}

/// Minor units, since how many make a unit is not known here.
fn money(money: Money) -> String {
    format!("{} minor units of {}", money.amount, money.currency)
}

fn counted<T: PartialEq + From<u8> + std::fmt::Display>(count: T, what: &str) -> String {
    let s = if count == T::from(1) { "" } else { "s" };
    format!("{count} {what}{s}")
}
