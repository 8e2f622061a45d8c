use crate::support::{given, given_nothing, id};
use domain::user::{Command, Rejection, User};
use event_schemas::{ClaimAbandoned, Personal, UserEvent, UserForgotten, UserRegistered};

fn registered() -> UserRegistered {
    UserRegistered {
        user_id: "ada".into(),
        personal: Some(Personal::Sealed("c2VhbGVk".into())),
        claim: Some(id(1)),
    }
}

fn register(command: u128) -> Command {
    let UserRegistered { user_id, personal, claim } = registered();
    Command::Register { command_id: id(command), user_id, personal, claim }
}

fn abandon(command: u128) -> Command {
    Command::AbandonClaim { command_id: id(command) }
}

fn abandoned(command: u128) -> UserEvent {
    ClaimAbandoned { command_id: id(command) }.into()
}

#[test]
fn a_user_is_registered_once() {
    given_nothing::<User>().when(register(1)).then([registered()]);
    given::<User>([registered().into()]).when(register(2)).then_refused(Rejection::AlreadyExists);
}

#[test]
fn an_unfulfilled_claim_is_abandoned_once() {
    given_nothing::<User>().when(abandon(1)).then([abandoned(1)]);
    given::<User>([abandoned(1)]).when(abandon(1)).then_nothing();
    given::<User>([registered().into()]).when(abandon(2)).then([abandoned(2)]);
}

#[test]
fn a_fulfilled_claim_stands() {
    given::<User>([registered().into()]).when(abandon(1)).then_refused(Rejection::ClaimStands);
}

#[test]
fn the_command_of_an_abandoned_claim_is_refused_and_no_other() {
    given::<User>([abandoned(1)]).when(register(1)).then_refused(Rejection::ClaimAbandoned);
    given::<User>([abandoned(1)]).when(register(2)).then([registered()]);
}

fn forget(reason: Option<&str>) -> Command {
    Command::Forget { user_id: "ada".into(), reason: reason.map(str::to_owned) }
}

fn forgotten(reason: Option<&str>) -> UserEvent {
    UserForgotten { user_id: "ada".into(), reason: reason.map(str::to_owned) }.into()
}

#[test]
fn who_is_registered_is_forgotten_once() {
    given_nothing::<User>().when(forget(None)).then_refused(Rejection::NotFound);
    given::<User>([abandoned(1)]).when(forget(None)).then_refused(Rejection::NotFound);
    given::<User>([registered().into()])
        .when(forget(Some("asked")))
        .then([forgotten(Some("asked"))]);
    given::<User>([registered().into(), forgotten(None)])
        .when(forget(Some("asked")))
        .then_nothing();
}

#[test]
fn after_it_the_stream_takes_no_personal_data_and_the_address_is_free() {
    let past = || given::<User>([registered().into(), forgotten(None)]);
    past().when(register(1)).then_refused(Rejection::AlreadyExists);
    past().when(register(2)).then_refused(Rejection::AlreadyExists);
    past().when(abandon(1)).then([abandoned(1)]);
}
