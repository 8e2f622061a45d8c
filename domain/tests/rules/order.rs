use crate::support::{given, given_nothing, line, order};
use domain::order::{Command, MAX_LINES, MAX_QUANTITY, Order, Rejection, Status, line_total};
use event_schemas::{
    LineHold, MAX_AMOUNT, OrderAbandoned, OrderBody, OrderCancelled, OrderDelivered,
    OrderDispatched, OrderEvent, OrderLine, OrderPlaced, OrderRefused, ShortLine,
};

fn two_lines() -> OrderBody {
    order([line("mug-red", 2, 1099), line("mug-blue", 1, 999)])
}

fn placed() -> OrderEvent {
    OrderPlaced { order: two_lines(), holds: vec![7, 3] }.into()
}

fn short() -> Vec<ShortLine> {
    vec![ShortLine { sku: "mug-red".into(), requested: 2, available: 1 }]
}

fn refused() -> OrderEvent {
    OrderRefused { order: two_lines(), short: short() }.into()
}

fn abandoned() -> OrderEvent {
    OrderAbandoned {}.into()
}

fn cancelled() -> OrderEvent {
    OrderCancelled { reason: "changed my mind".into(), order: two_lines() }.into()
}

fn dispatched() -> OrderEvent {
    let hold = |sku: &str, hold| LineHold { sku: sku.into(), hold };
    OrderDispatched {
        carrier: Some("ACME Post".into()),
        tracking: None,
        holds: vec![hold("mug-red", 7), hold("mug-blue", 3)],
    }
    .into()
}

fn delivered() -> OrderEvent {
    OrderDelivered {}.into()
}

fn place(order: OrderBody) -> Command {
    let holds = if order.lines.len() == 2 { vec![7, 3] } else { vec![1; order.lines.len()] };
    Command::Place { order_id: "o1".into(), order, holds }
}

fn refuse() -> Command {
    Command::Refuse { order_id: "o1".into(), order: two_lines(), short: short() }
}

fn cancel() -> Command {
    Command::Cancel { reason: "changed my mind".into() }
}

fn dispatch() -> Command {
    Command::Dispatch { carrier: Some("ACME Post".into()), tracking: None }
}

#[test]
fn an_order_is_placed() {
    given_nothing::<Order>().when(place(two_lines())).then([placed()]);
}

#[test]
fn an_order_is_refused() {
    given_nothing::<Order>().when(refuse()).then([refused()]);
}

#[test]
fn an_order_is_abandoned() {
    given_nothing::<Order>().when(Command::Abandon).then([abandoned()]);
}

#[test]
fn an_order_has_one_outcome() {
    for (outcome, status) in
        [(placed(), Status::Placed), (refused(), Status::Refused), (abandoned(), Status::Abandoned)]
    {
        for command in [place(two_lines()), refuse(), Command::Abandon] {
            given::<Order>([outcome.clone()])
                .when(command)
                .then_refused(Rejection::HasOutcome { status });
        }
    }
}

#[test]
fn a_placed_order_is_cancelled_and_says_what_it_takes_back() {
    given::<Order>([placed()]).when(cancel()).then([cancelled()]);
}

#[test]
fn a_placed_order_is_dispatched_and_names_its_holds() {
    given::<Order>([placed()]).when(dispatch()).then([dispatched()]);
}

#[test]
fn a_dispatched_order_is_delivered() {
    given::<Order>([placed(), dispatched()]).when(Command::Deliver).then([delivered()]);
}

#[test]
fn every_other_status_refuses() {
    let placed_only = &[Status::Placed][..];
    let dispatched_only = &[Status::Dispatched][..];
    for (events, status) in [
        (vec![placed()], Status::Placed),
        (vec![refused()], Status::Refused),
        (vec![abandoned()], Status::Abandoned),
        (vec![placed(), cancelled()], Status::Cancelled),
        (vec![placed(), dispatched()], Status::Dispatched),
        (vec![placed(), dispatched(), delivered()], Status::Delivered),
    ] {
        let refused = |command, allowed| {
            given::<Order>(events.clone())
                .when(command)
                .then_refused(Rejection::Status { status, allowed });
        };
        if status != Status::Placed {
            refused(cancel(), placed_only);
            refused(dispatch(), placed_only);
        }
        if status != Status::Dispatched {
            refused(Command::Deliver, dispatched_only);
        }
    }
}

#[test]
fn a_refusal_says_the_way_in_words() {
    let refused = Rejection::Status { status: Status::Cancelled, allowed: &[Status::Placed] };
    assert_eq!(
        refused.to_string(),
        "the order is cancelled; this is possible only while it is placed"
    );
}

#[test]
fn without_an_outcome_there_is_no_order() {
    for command in [cancel(), dispatch(), Command::Deliver] {
        given_nothing::<Order>().when(command).then_refused(Rejection::NotFound);
    }
}

#[test]
fn an_order_has_so_many_lines_and_no_more() {
    let with = |count: usize| order((0..count).map(|n| line(&n.to_string(), 1, 1)));
    for count in [1, MAX_LINES] {
        let holds = vec![1; count];
        given_nothing::<Order>()
            .when(Command::Place {
                order_id: "o1".into(),
                order: with(count),
                holds: holds.clone(),
            })
            .then([OrderPlaced { order: with(count), holds }]);
    }
    for count in [0, MAX_LINES + 1] {
        given_nothing::<Order>()
            .when(place(with(count)))
            .then_refused(Rejection::LineCount { count });
    }
}

#[test]
fn an_order_has_a_sku_once() {
    given_nothing::<Order>()
        .when(place(order([line("mug-red", 1, 1), line("mug-red", 1, 1)])))
        .then_refused(Rejection::SkuTwice { sku: "mug-red".into() });
}

#[test]
fn a_quantity_is_within_its_bounds() {
    let of = |quantity| order([line("mug-red", quantity, 1)]);
    for quantity in [1, MAX_QUANTITY] {
        given_nothing::<Order>()
            .when(place(of(quantity)))
            .then([OrderPlaced { order: of(quantity), holds: vec![1] }]);
    }
    for quantity in [0, -1, MAX_QUANTITY + 1] {
        given_nothing::<Order>()
            .when(place(of(quantity)))
            .then_refused(Rejection::Quantity { sku: "mug-red".into(), quantity });
    }
}

#[test]
fn each_line_is_held() {
    given_nothing::<Order>()
        .when(Command::Place { order_id: "o1".into(), order: two_lines(), holds: vec![7] })
        .then_refused(Rejection::Unheld);
}

#[test]
fn no_amount_goes_beyond_what_the_contract_can_say() {
    let full = || order([line("mug-red", 1, MAX_AMOUNT)]);
    given_nothing::<Order>()
        .when(place(full()))
        .then([OrderPlaced { order: full(), holds: vec![1] }]);
    let over = order([line("mug-red", 1, MAX_AMOUNT), line("mug-blue", 1, 1)]);
    given_nothing::<Order>().when(place(over)).then_refused(Rejection::Overflow);
    let over = order([line("mug-red", MAX_QUANTITY, MAX_AMOUNT)]);
    given_nothing::<Order>().when(place(over)).then_refused(Rejection::Overflow);
}

#[test]
fn a_total_that_is_no_sum_is_refused() {
    let wrong_sum = OrderBody { total: 1, ..two_lines() };
    given_nothing::<Order>().when(place(wrong_sum)).then_refused(Rejection::Totals);
    let wrong_line = order([OrderLine { total: 1, ..line("mug-red", 2, 1) }]);
    given_nothing::<Order>().when(place(wrong_line.clone())).then_refused(Rejection::Totals);
    given_nothing::<Order>()
        .when(Command::Refuse { order_id: "o1".into(), order: wrong_line, short: short() })
        .then_refused(Rejection::Totals);
}

#[test]
fn a_line_costs_its_quantity_times_the_price_less_the_discount() {
    assert_eq!(line_total(3, 1099, 97), Some(3200));
    assert_eq!(line_total(1, 10, 20), Some(-10));
    assert_eq!(line_total(i64::MAX, 2, 0), None);
    assert_eq!(line_total(1, MAX_AMOUNT, -1), None);
    assert_eq!(line_total(0, MAX_AMOUNT + 1, 0), None);
}
