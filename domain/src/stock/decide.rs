use event_schemas::{
    MAX_AMOUNT, RequestHash, SkuReleased, StockAdjusted, StockDispatched, StockEvent,
    StockIntroduced, StockReceived, StockReleased, StockReserved,
};
use uuid::Uuid;

use super::{Command, Hold, Rejection, State};
use crate::claim::{self, Claim, Claiming};

type Decision = Result<Vec<StockEvent>, Rejection>;

pub(super) fn decide(state: &State, command: Command) -> Decision {
    match command {
        Command::Introduce { sku, product_id, claim } => {
            introduce(state, sku, Claim { owner: product_id, command: claim }, None)
        }
        Command::TakeOver { abandoned, sku, product_id, claim } => {
            introduce(state, sku, Claim { owner: product_id, command: claim }, Some(abandoned))
        }
        Command::ReleaseSku { claim } => match &state.claim {
            Some(held) if held.command == claim => Ok(vec![SkuReleased { claim }.into()]),
            _ => Ok(vec![]),
        },
        Command::Receive { quantity, batch } => receive(state, quantity, batch),
        Command::Adjust { delta, reason } => adjust(state, delta, reason),
        Command::Reserve { order_id, quantity, request_hash } => {
            reserve(state, order_id, quantity, request_hash)
        }
        Command::Release { order_id } => match state.holds.get(&order_id) {
            Some(&hold) => Ok(vec![release(state, order_id, hold)]),
            None => Ok(vec![]),
        },
        Command::Dispatch { order_id, hold: number } => match state.holds.get(&order_id) {
            Some(&hold) if hold.number == number => Ok(vec![dispatch(state, order_id, hold)]),
            _ => Ok(vec![]),
        },
    }
}

fn introduce(state: &State, sku: String, wanted: Claim, abandoned: Option<Uuid>) -> Decision {
    match claim::claim(state.claim.as_ref(), &wanted, abandoned) {
        Ok(Claiming::Granted) => {
            let Claim { owner: product_id, command: claim } = wanted;
            Ok(vec![StockIntroduced { sku, product_id, claim }.into()])
        }
        Ok(Claiming::Stands) => Ok(vec![]),
        Err(held) => Err(Rejection::SkuTaken { product_id: held.owner, claim: held.command }),
    }
}

fn receive(state: &State, quantity: i64, batch: Option<String>) -> Decision {
    let received = batch.as_ref().and_then(|batch| state.batches.get(batch).copied());
    match (received, batch) {
        (Some(received), _) if received == quantity => Ok(vec![]),
        (Some(received), Some(batch)) => Err(Rejection::BatchReused { batch, received }),
        (_, batch) => {
            introduced(state)?;
            let quantity = one_or_more(quantity)?;
            let on_hand = on_hand_after(state, quantity)?;
            Ok(vec![StockReceived { quantity, batch, on_hand, reserved: state.reserved }.into()])
        }
    }
}

fn adjust(state: &State, delta: i64, reason: String) -> Decision {
    introduced(state)?;
    if delta == 0 {
        return Ok(vec![]);
    }
    let on_hand = on_hand_after(state, delta)?;
    if on_hand < state.reserved {
        return Err(Rejection::BelowZero { available: state.available() });
    }
    Ok(vec![StockAdjusted { delta, reason, on_hand, reserved: state.reserved }.into()])
}

fn reserve(
    state: &State,
    order_id: String,
    quantity: i64,
    request_hash: Option<RequestHash>,
) -> Decision {
    if let Some(hold) = state.holds.get(&order_id) {
        let same = hold.quantity == quantity && hold.request_hash == request_hash;
        return if same { Ok(vec![]) } else { Err(Rejection::KeyReused) };
    }
    introduced(state)?;
    let quantity = one_or_more(quantity)?;
    if quantity > state.available() {
        return Err(Rejection::Short { available: state.available() });
    }
    let reserved = StockReserved {
        order_id,
        quantity,
        hold: state.last_hold + 1,
        request_hash,
        on_hand: state.on_hand,
        reserved: state.reserved + quantity,
    };
    Ok(vec![reserved.into()])
}

fn release(state: &State, order_id: String, Hold { quantity, number, .. }: Hold) -> StockEvent {
    let (on_hand, reserved) = (state.on_hand, state.reserved - quantity);
    StockReleased { order_id, quantity, hold: number, on_hand, reserved }.into()
}

fn dispatch(state: &State, order_id: String, Hold { quantity, number, .. }: Hold) -> StockEvent {
    let (on_hand, reserved) = (state.on_hand - quantity, state.reserved - quantity);
    StockDispatched { order_id, quantity, hold: number, on_hand, reserved }.into()
}

fn introduced(state: &State) -> Result<(), Rejection> {
    state.claim.as_ref().map(|_| ()).ok_or(Rejection::NotIntroduced)
}

fn one_or_more(quantity: i64) -> Result<i64, Rejection> {
    if quantity >= 1 { Ok(quantity) } else { Err(Rejection::Quantity { quantity }) }
}

/// May be below what is reserved, or below zero.
fn on_hand_after(state: &State, delta: i64) -> Result<i64, Rejection> {
    // Only a delta above zero can overflow: on hand is never below it.
    state
        .on_hand
        .checked_add(delta)
        .filter(|&on_hand| on_hand <= MAX_AMOUNT)
        .ok_or(Rejection::TooMany { on_hand: state.on_hand })
}
