use crate::support::{given, given_nothing, id};
use domain::email::{Command, EmailClaim, Rejection};
use event_schemas::{EmailClaimed, EmailEvent, EmailReleased};

fn claimed(user: &str, claim: u128) -> EmailEvent {
    EmailClaimed { user_id: user.into(), claim: id(claim) }.into()
}

fn released(claim: u128) -> EmailEvent {
    EmailReleased { claim: id(claim) }.into()
}

fn claim(user: &str, claim: u128) -> Command {
    Command::Claim { user_id: user.into(), claim: id(claim) }
}

fn take_over(abandoned: u128, user: &str, claim: u128) -> Command {
    Command::TakeOver { abandoned: id(abandoned), user_id: user.into(), claim: id(claim) }
}

fn taken(user: &str, claim: u128) -> Rejection {
    Rejection::EmailTaken { user_id: user.into(), claim: id(claim) }
}

#[test]
fn a_free_address_is_claimed() {
    given_nothing::<EmailClaim>().when(claim("ada", 1)).then([claimed("ada", 1)]);
}

#[test]
fn a_claim_met_again_by_its_owner_stands() {
    given::<EmailClaim>([claimed("ada", 1)]).when(claim("ada", 1)).then_nothing();
}

#[test]
fn a_claimed_address_is_refused_to_others() {
    given::<EmailClaim>([claimed("ada", 1)]).when(claim("bob", 2)).then_refused(taken("ada", 1));
    given::<EmailClaim>([claimed("ada", 1)]).when(claim("ada", 2)).then_refused(taken("ada", 1));
}

#[test]
fn an_abandoned_claim_is_taken_over_and_no_other() {
    given::<EmailClaim>([claimed("ada", 1)]).when(take_over(1, "bob", 2)).then([claimed("bob", 2)]);
    given::<EmailClaim>([claimed("ada", 1)])
        .when(take_over(7, "bob", 2))
        .then_refused(taken("ada", 1));
    given::<EmailClaim>([claimed("ada", 1), claimed("bob", 2)])
        .when(take_over(1, "bob", 2))
        .then_nothing();
}

#[test]
fn a_released_address_is_free() {
    given::<EmailClaim>([claimed("ada", 1)])
        .when(Command::Release { claim: id(1) })
        .then([released(1)]);
    given::<EmailClaim>([claimed("ada", 1), released(1)])
        .when(claim("bob", 2))
        .then([claimed("bob", 2)]);
}

#[test]
fn nobody_releases_a_claim_of_another_command() {
    given::<EmailClaim>([claimed("ada", 1)]).when(Command::Release { claim: id(2) }).then_nothing();
    given_nothing::<EmailClaim>().when(Command::Release { claim: id(2) }).then_nothing();
}
