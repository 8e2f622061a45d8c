use std::collections::{BTreeMap, HashSet};

use event_schemas::{
    ClaimAbandoned, MAX_AMOUNT, Money, ProductCreated, ProductDescribed, ProductEvent,
    ProductPutOnShelf, ProductTakenOffShelf, Variant, VariantAdded, VariantPriced,
    resource::ProductStatus,
};
use uuid::Uuid;

use super::{AttributesPatch, Change, Command, Rejection, State};

/// The most attributes that a product may have.
pub const MAX_ATTRIBUTES: usize = 32;

type Decision = Result<Vec<ProductEvent>, Rejection>;

pub(super) fn decide(state: &State, command: Command) -> Decision {
    match command {
        Command::Create {
            command_id,
            product_id,
            title,
            brand,
            department,
            category,
            attributes,
            on_shelf,
            variants,
        } => create(
            state,
            command_id,
            ProductCreated {
                product_id,
                title,
                brand,
                department,
                category,
                attributes,
                status: ProductStatus::of(on_shelf),
                variants,
            },
        ),
        Command::Change(wanted) => change(state, wanted),
        Command::AddVariant { command_id, variant } => add_variant(state, command_id, variant),
        Command::Price { sku, price } => set_price(state, sku, price),
        Command::AbandonClaim { command_id, sku } => abandon_claim(state, command_id, sku),
    }
}

fn create(state: &State, command_id: Uuid, product: ProductCreated) -> Decision {
    not_abandoned(state, command_id)?;
    if state.created {
        return Err(Rejection::AlreadyExists);
    }
    check_attributes(&product.attributes)?;
    let mut skus = HashSet::new();
    for variant in &product.variants {
        check_price(&variant.sku, variant.price)?;
        if !skus.insert(&variant.sku) {
            return Err(Rejection::VariantExists { sku: variant.sku.clone() });
        }
    }
    Ok(vec![product.into()])
}

fn change(state: &State, wanted: Change) -> Decision {
    created(state)?;
    let now = ProductDescribed {
        title: wanted.title.unwrap_or_else(|| state.title.clone()),
        brand: wanted.brand.unwrap_or_else(|| state.brand.clone()),
        department: wanted.department.unwrap_or_else(|| state.department.clone()),
        category: wanted.category.unwrap_or_else(|| state.category.clone()),
        attributes: merged(&state.attributes, wanted.attributes),
    };
    check_attributes(&now.attributes)?;
    let same = now.title == state.title
        && now.brand == state.brand
        && now.department == state.department
        && now.category == state.category
        && now.attributes == state.attributes;
    let mut events = Vec::new();
    if !same {
        events.push(now.into());
    }
    match wanted.on_shelf {
        Some(true) if !state.on_shelf => events.push(ProductPutOnShelf {}.into()),
        Some(false) if state.on_shelf => events.push(ProductTakenOffShelf {}.into()),
        _ => {}
    }
    Ok(events)
}

fn add_variant(state: &State, command_id: Uuid, variant: Variant) -> Decision {
    not_abandoned(state, command_id)?;
    created(state)?;
    check_price(&variant.sku, variant.price)?;
    if state.variant(&variant.sku).is_some() {
        return Err(Rejection::VariantExists { sku: variant.sku });
    }
    Ok(vec![VariantAdded { variant }.into()])
}

fn set_price(state: &State, sku: String, price: Money) -> Decision {
    created(state)?;
    check_price(&sku, price)?;
    match state.variant(&sku) {
        None => Err(Rejection::UnknownVariant { sku }),
        Some(variant) if variant.price == price => Ok(vec![]),
        Some(_) => Ok(vec![VariantPriced { sku, price }.into()]),
    }
}

fn abandon_claim(state: &State, command_id: Uuid, sku: String) -> Decision {
    if state.variant(&sku).is_some() {
        return Err(Rejection::ClaimStands { sku });
    }
    if state.abandoned.contains(&command_id) {
        return Ok(vec![]);
    }
    Ok(vec![ClaimAbandoned { command_id }.into()])
}

fn merged(
    attributes: &BTreeMap<String, String>,
    patch: Option<AttributesPatch>,
) -> BTreeMap<String, String> {
    let patch = match patch {
        None => return attributes.clone(),
        Some(AttributesPatch::Clear) => return BTreeMap::new(),
        Some(AttributesPatch::Merge(patch)) => patch,
    };
    let mut merged = attributes.clone();
    for (name, value) in patch {
        match value {
            Some(value) => merged.insert(name, value),
            None => merged.remove(&name),
        };
    }
    merged
}

fn created(state: &State) -> Result<(), Rejection> {
    if state.created { Ok(()) } else { Err(Rejection::NotFound) }
}

fn not_abandoned(state: &State, command_id: Uuid) -> Result<(), Rejection> {
    if state.abandoned.contains(&command_id) { Err(Rejection::ClaimAbandoned) } else { Ok(()) }
}

fn check_price(sku: &str, price: Money) -> Result<(), Rejection> {
    if (0..=MAX_AMOUNT).contains(&price.amount) {
        Ok(())
    } else {
        Err(Rejection::Price { sku: sku.to_owned(), amount: price.amount })
    }
}

fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Rejection> {
    match attributes.len() {
        0..=MAX_ATTRIBUTES => Ok(()),
        count => Err(Rejection::TooManyAttributes { count }),
    }
}
