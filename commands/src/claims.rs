//! What only one in the shop can have is a stream of its own, claimed before its owner is made.
//! A claim whose owner never came to be gives way once it is old enough: the owner's stream is
//! told so first, so that the owner cannot come after all.

use std::time::Duration;

use domain::{
    Decider,
    email::{self, EmailClaim},
    product,
    stock::{self, StockItem},
    user,
};
use event_schemas::{
    Decoded, EmailEvent, Event, Position, Revision, StockEvent, StreamName, Timestamp,
};
use futures::future::join_all;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    Commands, clock,
    context::Context,
    executor::{ExecuteError, Failure},
    streams,
};

/// Why a claim is not granted.
#[derive(Debug, Error)]
pub enum NotClaimed {
    /// Another claim stands.
    #[error("{0:?} is taken")]
    Taken(String),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Commands {
    /// Claims skus for a product under the command's id. If one is taken, the claims that this
    /// command made are given back, and the command can never be done. If an engine was in the
    /// way they are not: the same command sent again goes on with them.
    ///
    /// # Errors
    /// [`NotClaimed`] with the first sku that is taken.
    pub(crate) async fn claim_skus(
        &self,
        product_id: &str,
        skus: &[&str],
        context: &Context,
    ) -> Result<(), NotClaimed> {
        // The usual case is told without any event: the sku belongs to a product that exists.
        if let Some(taken) = skus.iter().find(|sku| self.catalogue().offer(sku).is_some()) {
            return Err(NotClaimed::Taken((*taken).to_owned()));
        }
        let claims = join_all(skus.iter().map(|sku| self.claim_sku(product_id, sku, context)));
        let mut taken = None;
        for claim in claims.await {
            match claim {
                Ok(()) => {}
                Err(NotClaimed::Taken(sku)) => taken = taken.or(Some(sku)),
                Err(failed @ NotClaimed::Failed(_)) => return Err(failed),
            }
        }
        let Some(sku) = taken else { return Ok(()) };
        self.give_back(product_id, skus, context).await?;
        Err(NotClaimed::Taken(sku))
    }

    /// Gives back the claims of a command that will not be done. The product's stream is told
    /// first, so that the same command on another node cannot make the product after all.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn give_back(
        &self,
        product_id: &str,
        skus: &[&str],
        context: &Context,
    ) -> Result<(), Failure> {
        let claim = context.command_id();
        for sku in skus {
            if self.abandon_sku(product_id, sku, claim, context).await? {
                let command = stock::Command::ReleaseSku { claim };
                let released = self.0.stock.execute(sku, command, context.clone()).await;
                released.map_err(unless_failed)?;
            }
        }
        Ok(())
    }

    async fn claim_sku(
        &self,
        product_id: &str,
        sku: &str,
        context: &Context,
    ) -> Result<(), NotClaimed> {
        let (claim, owner) = (context.command_id(), product_id.to_owned());
        let command = stock::Command::Introduce { sku: sku.to_owned(), product_id: owner, claim };
        let held = match self.0.stock.execute(sku, command, context.clone()).await {
            Ok(_) => return Ok(()),
            Err(ExecuteError::Rejected(stock::Rejection::SkuTaken { product_id, claim })) => {
                (product_id, claim)
            }
            Err(error) => return Err(unless_failed(error).into()),
        };
        let taken = || NotClaimed::Taken(sku.to_owned());
        let stream = StreamName::new(StockItem::CATEGORY, sku);
        let made_at = self.claimed_at(&stream, held.1).await?;
        if !self.is_old(made_at) || !self.abandon_sku(&held.0, sku, held.1, context).await? {
            return Err(taken());
        }
        let command = stock::Command::TakeOver {
            abandoned: held.1,
            sku: sku.to_owned(),
            product_id: product_id.to_owned(),
            claim,
        };
        match self.0.stock.execute(sku, command, context.clone()).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Rejected(stock::Rejection::SkuTaken { .. })) => Err(taken()),
            Err(error) => Err(unless_failed(error).into()),
        }
    }

    /// Rules out that a product fulfils a claim; false if it has.
    async fn abandon_sku(
        &self,
        owner: &str,
        sku: &str,
        claim: Uuid,
        context: &Context,
    ) -> Result<bool, Failure> {
        let command = product::Command::AbandonClaim { command_id: claim, sku: sku.to_owned() };
        let part = context.part(&format!("abandon-{claim}"));
        match self.0.products.execute(owner, command, part).await {
            Ok(_) => Ok(true),
            Err(ExecuteError::Rejected(product::Rejection::ClaimStands { .. })) => Ok(false),
            Err(error) => Err(unless_failed(error)),
        }
    }

    /// Claims an e-mail address, named by its keyed hash, for a user.
    ///
    /// # Errors
    /// [`NotClaimed`]
    pub(crate) async fn claim_email(
        &self,
        user_id: &str,
        hash: &str,
        context: &Context,
    ) -> Result<(), NotClaimed> {
        let (claim, owner) = (context.command_id(), user_id.to_owned());
        let command = email::Command::Claim { user_id: owner, claim };
        let held = match self.0.emails.execute(hash, command, context.clone()).await {
            Ok(_) => return Ok(()),
            Err(ExecuteError::Rejected(email::Rejection::EmailTaken { user_id, claim })) => {
                (user_id, claim)
            }
            Err(error) => return Err(unless_failed(error).into()),
        };
        let taken = || NotClaimed::Taken(String::new());
        let stream = StreamName::new(EmailClaim::CATEGORY, hash);
        let made_at = self.claimed_at(&stream, held.1).await?;
        if !self.is_old(made_at) || !self.abandon_email(&held.0, held.1, context).await? {
            return Err(taken());
        }
        let command =
            email::Command::TakeOver { abandoned: held.1, user_id: user_id.to_owned(), claim };
        match self.0.emails.execute(hash, command, context.clone()).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Rejected(email::Rejection::EmailTaken { .. })) => Err(taken()),
            Err(error) => Err(unless_failed(error).into()),
        }
    }

    /// Gives an e-mail address back that a command claimed for a user it will not register.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn give_email_back(
        &self,
        user_id: &str,
        hash: &str,
        context: &Context,
    ) -> Result<(), Failure> {
        let claim = context.command_id();
        if self.abandon_email(user_id, claim, context).await? {
            let command = email::Command::Release { claim };
            let released = self.0.emails.execute(hash, command, context.clone()).await;
            released.map_err(unless_failed)?;
        }
        Ok(())
    }

    /// Frees the e-mail address of a user who was forgotten. Where that was not come to, whoever
    /// wants the address next takes it over: the claim stands no more in its owner's stream.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn release_email(
        &self,
        hash: &str,
        claim: Uuid,
        context: &Context,
    ) -> Result<Option<Position>, Failure> {
        let command = email::Command::Release { claim };
        let released = self.0.emails.execute(hash, command, context.clone()).await;
        released.map(|released| released.position).map_err(unless_failed)
    }

    async fn abandon_email(
        &self,
        owner: &str,
        claim: Uuid,
        context: &Context,
    ) -> Result<bool, Failure> {
        let command = user::Command::AbandonClaim { command_id: claim };
        let part = context.part(&format!("abandon-{claim}"));
        match self.0.users.execute(owner, command, part).await {
            Ok(_) => Ok(true),
            Err(ExecuteError::Rejected(user::Rejection::ClaimStands)) => Ok(false),
            Err(error) => Err(unless_failed(error)),
        }
    }

    /// When a claim was made. Only a claim that nobody fulfilled is asked for: its stream is short.
    async fn claimed_at(
        &self,
        stream: &StreamName,
        claim: Uuid,
    ) -> Result<Option<Timestamp>, Failure> {
        let store = &self.0.engines.store;
        let find = |found: Option<Timestamp>, decoded: &Decoded| match &decoded.event {
            Event::Stock(StockEvent::Introduced(event)) if event.claim == claim => {
                Some(decoded.metadata.recorded_at)
            }
            Event::Email(EmailEvent::Claimed(event)) if event.claim == claim => {
                Some(decoded.metadata.recorded_at)
            }
            _ => found,
        };
        streams::fold_until(store, stream, Revision(u64::MAX), None, find).await
    }

    /// Whether a claim is older than the timeout. No clock has to be right for it to be safe: a
    /// claim falls only after its owner's stream was told.
    fn is_old(&self, made_at: Option<Timestamp>) -> bool {
        let Some(made_at) = made_at else { return false };
        let age = clock::now().as_micros().saturating_sub(made_at.as_micros());
        let timeout = self.0.settings.reservation_timeout;
        Duration::from_micros(u64::try_from(age).unwrap_or(0)) > timeout
    }
}

/// What remains of an error where no rejection is expected.
fn unless_failed<R: std::fmt::Display>(error: ExecuteError<R>) -> Failure {
    match error {
        ExecuteError::Failed(failure) => failure,
        ExecuteError::Rejected(rejection) => Failure::Unreadable(rejection.to_string()),
        ExecuteError::KeyReused | ExecuteError::Changed { .. } => Failure::Contended(1),
    }
}
