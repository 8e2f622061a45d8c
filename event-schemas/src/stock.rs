use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{RequestHash, codec::events};

events! {
    /// What happens to the stock of a sku. Each change of a number carries on hand and reserved
    /// as they are after it: available is their difference.
    StockEvent in "stock" {
        Introduced(StockIntroduced) = "StockIntroduced" 1,
        SkuReleased(SkuReleased) = "SkuReleased" 1,
        Received(StockReceived) = "StockReceived" 1,
        Reserved(StockReserved) = "StockReserved" 1,
        Released(StockReleased) = "StockReleased" 1,
        Dispatched(StockDispatched) = "StockDispatched" 1,
        Adjusted(StockAdjusted) = "StockAdjusted" 1,
    }
}

/// A product claimed the sku; met a second time, another product took the claim over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockIntroduced {
    /// The sku.
    pub sku: String,
    /// The product that owns the sku.
    pub product_id: String,
    /// The command that claims it.
    pub claim: Uuid,
}

/// The claim of the sku was given back by the command that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkuReleased {
    /// The command that had claimed it.
    pub claim: Uuid,
}

/// Units came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReceived {
    /// How many, 1 or more.
    pub quantity: i64,
    /// The batch that an import named; a batch is received once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// On hand after it.
    pub on_hand: i64,
    /// Reserved after it.
    pub reserved: i64,
}

/// Units are held for an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReserved {
    /// The order.
    pub order_id: String,
    /// How many, 1 or more.
    pub quantity: i64,
    /// The number of this hold among all that this sku ever had, from 1.
    pub hold: u64,
    /// The keyed hash of the request that asked for it: the same order asking for something else
    /// is told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<RequestHash>,
    /// On hand after it.
    pub on_hand: i64,
    /// Reserved after it.
    pub reserved: i64,
}

/// A hold ended and its units are available again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockReleased {
    /// The order.
    pub order_id: String,
    /// How many.
    pub quantity: i64,
    /// The hold's number.
    pub hold: u64,
    /// On hand after it.
    pub on_hand: i64,
    /// Reserved after it.
    pub reserved: i64,
}

/// A hold ended and its units left the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockDispatched {
    /// The order.
    pub order_id: String,
    /// How many.
    pub quantity: i64,
    /// The hold's number.
    pub hold: u64,
    /// On hand after it.
    pub on_hand: i64,
    /// Reserved after it.
    pub reserved: i64,
}

/// On hand was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdjusted {
    /// By how much, not 0.
    pub delta: i64,
    /// Why.
    pub reason: String,
    /// On hand after it.
    pub on_hand: i64,
    /// Reserved after it.
    pub reserved: i64,
}
