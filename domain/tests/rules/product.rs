use std::collections::BTreeMap;

use crate::support::{Given, given, given_nothing, id, usd, variant};
use domain::product::{AttributesPatch, Change, Command, MAX_ATTRIBUTES, Product, Rejection};
use event_schemas::{
    ClaimAbandoned, MAX_AMOUNT, ProductCreated, ProductDescribed, ProductEvent, ProductPutOnShelf,
    ProductTakenOffShelf, Variant, VariantAdded, VariantPriced, resource::ProductStatus,
};

fn created() -> ProductCreated {
    ProductCreated {
        product_id: "mug".into(),
        title: "Mug".into(),
        brand: "Acme".into(),
        department: "HOME".into(),
        category: "CUPS".into(),
        attributes: attributes([("size", "300 ml")]),
        status: ProductStatus::OnShelf,
        variants: vec![variant("mug-red", 1099)],
    }
}

fn described() -> ProductDescribed {
    let ProductCreated { title, brand, department, category, attributes, .. } = created();
    ProductDescribed { title, brand, department, category, attributes }
}

fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn many_attributes(count: usize) -> BTreeMap<String, String> {
    (0..count).map(|n| (n.to_string(), "x".into())).collect()
}

fn patch<const N: usize>(pairs: [(&str, Option<&str>); N]) -> Change {
    let patch = pairs.into_iter().map(|(name, value)| (name.into(), value.map(Into::into)));
    Change { attributes: Some(AttributesPatch::Merge(patch.collect())), ..Change::default() }
}

fn a_mug() -> Given<Product> {
    given([created().into()])
}

fn create(command: u128, product: ProductCreated) -> Command {
    let ProductCreated {
        product_id,
        title,
        brand,
        department,
        category,
        attributes,
        status,
        variants,
    } = product;
    Command::Create {
        command_id: id(command),
        product_id,
        title,
        brand,
        department,
        category,
        attributes,
        on_shelf: status == ProductStatus::OnShelf,
        variants,
    }
}

fn add(command: u128, variant: Variant) -> Command {
    Command::AddVariant { command_id: id(command), variant }
}

fn price(sku: &str, amount: i64) -> Command {
    Command::Price { sku: sku.into(), price: usd(amount) }
}

fn abandon(command: u128, sku: &str) -> Command {
    Command::AbandonClaim { command_id: id(command), sku: sku.into() }
}

fn abandoned(command: u128) -> ProductEvent {
    ClaimAbandoned { command_id: id(command) }.into()
}

#[test]
fn a_product_is_created() {
    given_nothing::<Product>().when(create(1, created())).then([created()]);
}

#[test]
fn a_product_is_created_once() {
    a_mug().when(create(2, created())).then_refused(Rejection::AlreadyExists);
}

#[test]
fn a_product_has_a_sku_once() {
    let twice = vec![variant("mug-red", 1), variant("mug-red", 2)];
    given_nothing::<Product>()
        .when(create(1, ProductCreated { variants: twice, ..created() }))
        .then_refused(Rejection::VariantExists { sku: "mug-red".into() });
    a_mug()
        .when(add(2, variant("mug-red", 5)))
        .then_refused(Rejection::VariantExists { sku: "mug-red".into() });
}

#[test]
fn what_was_never_created_is_not_found() {
    let nothing = given_nothing::<Product>;
    nothing().when(Command::Change(Change::default())).then_refused(Rejection::NotFound);
    nothing().when(add(1, variant("mug-blue", 1))).then_refused(Rejection::NotFound);
    nothing().when(price("mug-red", 1)).then_refused(Rejection::NotFound);
    given::<Product>([abandoned(1)]).when(price("mug-red", 1)).then_refused(Rejection::NotFound);
}

#[test]
fn each_part_of_the_description_changes() {
    let title = Change { title: Some("Cup".into()), ..Change::default() };
    a_mug()
        .when(Command::Change(title))
        .then([ProductDescribed { title: "Cup".into(), ..described() }]);
    let brand = Change { brand: Some(String::new()), ..Change::default() };
    a_mug()
        .when(Command::Change(brand))
        .then([ProductDescribed { brand: String::new(), ..described() }]);
    let department = Change { department: Some("BAR".into()), ..Change::default() };
    a_mug()
        .when(Command::Change(department))
        .then([ProductDescribed { department: "BAR".into(), ..described() }]);
    let category = Change { category: Some("JUGS".into()), ..Change::default() };
    a_mug()
        .when(Command::Change(category))
        .then([ProductDescribed { category: "JUGS".into(), ..described() }]);
}

#[test]
fn attributes_are_merged() {
    a_mug()
        .when(Command::Change(patch([("size", None), ("glaze", Some("matt"))])))
        .then([ProductDescribed { attributes: attributes([("glaze", "matt")]), ..described() }]);
    let clear = Change { attributes: Some(AttributesPatch::Clear), ..Change::default() };
    a_mug()
        .when(Command::Change(clear))
        .then([ProductDescribed { attributes: BTreeMap::new(), ..described() }]);
}

#[test]
fn what_changes_nothing_appends_nothing() {
    a_mug().when(Command::Change(Change::default())).then_nothing();
    let same = Change { title: Some("Mug".into()), on_shelf: Some(true), ..Change::default() };
    a_mug().when(Command::Change(same)).then_nothing();
    a_mug().when(Command::Change(patch([("size", Some("300 ml")), ("x", None)]))).then_nothing();
    a_mug().when(price("mug-red", 1099)).then_nothing();
}

#[test]
fn a_product_goes_off_the_shelf_and_on_again() {
    let off = Change { on_shelf: Some(false), ..Change::default() };
    let on = Change { on_shelf: Some(true), ..Change::default() };
    a_mug().when(Command::Change(off.clone())).then([ProductTakenOffShelf {}]);
    let off_shelf = || given::<Product>([created().into(), ProductTakenOffShelf {}.into()]);
    off_shelf().when(Command::Change(off)).then_nothing();
    off_shelf().when(Command::Change(on)).then([ProductPutOnShelf {}]);
}

#[test]
fn one_change_can_be_two_events() {
    let change = Change { title: Some("Cup".into()), on_shelf: Some(false), ..Change::default() };
    a_mug().when(Command::Change(change)).then([
        ProductEvent::from(ProductDescribed { title: "Cup".into(), ..described() }),
        ProductTakenOffShelf {}.into(),
    ]);
}

#[test]
fn a_product_has_so_many_attributes_and_no_more() {
    let with = |count| ProductCreated { attributes: many_attributes(count), ..created() };
    let nothing = given_nothing::<Product>;
    nothing().when(create(1, with(MAX_ATTRIBUTES))).then([with(MAX_ATTRIBUTES)]);
    let refused = Rejection::TooManyAttributes { count: MAX_ATTRIBUTES + 1 };
    nothing().when(create(1, with(MAX_ATTRIBUTES + 1))).then_refused(refused.clone());
    given::<Product>([with(MAX_ATTRIBUTES).into()])
        .when(Command::Change(patch([("one more", Some("x"))])))
        .then_refused(refused);
}

#[test]
fn a_variant_is_added() {
    a_mug()
        .when(add(2, variant("mug-blue", 0)))
        .then([VariantAdded { variant: variant("mug-blue", 0) }]);
}

#[test]
fn a_variant_is_priced() {
    a_mug()
        .when(price("mug-red", MAX_AMOUNT))
        .then([VariantPriced { sku: "mug-red".into(), price: usd(MAX_AMOUNT) }]);
    given::<Product>([
        created().into(),
        VariantPriced { sku: "mug-red".into(), price: usd(5) }.into(),
    ])
    .when(price("mug-red", 5))
    .then_nothing();
    a_mug()
        .when(price("mug-blue", 1))
        .then_refused(Rejection::UnknownVariant { sku: "mug-blue".into() });
}

#[test]
fn a_price_is_within_its_bounds() {
    for amount in [-1, MAX_AMOUNT + 1, i64::MIN] {
        let refused = Rejection::Price { sku: "mug-red".into(), amount };
        a_mug().when(price("mug-red", amount)).then_refused(refused.clone());
        a_mug().when(add(2, variant("mug-red", amount))).then_refused(refused.clone());
        let variants = vec![variant("mug-red", amount)];
        given_nothing::<Product>()
            .when(create(1, ProductCreated { variants, ..created() }))
            .then_refused(refused);
    }
}

#[test]
fn an_unfulfilled_claim_is_abandoned_once() {
    given_nothing::<Product>().when(abandon(1, "mug-red")).then([abandoned(1)]);
    given::<Product>([abandoned(1)]).when(abandon(1, "mug-red")).then_nothing();
    a_mug().when(abandon(2, "mug-blue")).then([abandoned(2)]);
}

#[test]
fn a_fulfilled_claim_stands() {
    a_mug()
        .when(abandon(1, "mug-red"))
        .then_refused(Rejection::ClaimStands { sku: "mug-red".into() });
}

#[test]
fn the_command_of_an_abandoned_claim_is_refused_and_no_other() {
    given::<Product>([abandoned(1)])
        .when(create(1, created()))
        .then_refused(Rejection::ClaimAbandoned);
    given::<Product>([abandoned(1)]).when(create(2, created())).then([created()]);
    given::<Product>([created().into(), abandoned(2)])
        .when(add(2, variant("mug-blue", 1)))
        .then_refused(Rejection::ClaimAbandoned);
}
