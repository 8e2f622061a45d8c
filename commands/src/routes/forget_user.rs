use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use domain::user;
use http::StatusCode;
use infra::http::{Caller, NOT_FOUND, Problem, ProblemKind};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use super::register_user::{UserAfter, email_hash};
use crate::{
    Commands,
    context::Context,
    crash::crash_point,
    executor::{ExecuteError, Failure},
    forgotten,
    http::{Answer, JSON, read},
    problems::{failed, key_reused, unexpected},
};

/// Why a person is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ForgetUser {
    /// Why. It is kept in the clear for ever, so it names nobody.
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    pub reason: Option<String>,
}

/// What it may be refused with, beside what any command may.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[];

/// Why a person is not forgotten.
#[derive(Debug, Error)]
pub enum NotForgotten {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// The user refuses.
    #[error(transparent)]
    Rejected(#[from] user::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Forgets a person: first the fact, then the key, then the address. Whoever is forgotten already
/// is forgotten: the key is destroyed once more, in case that it came back.
///
/// # Errors
/// [`NotForgotten`]
pub async fn forget_user(
    commands: &Commands,
    id: &str,
    asked: ForgetUser,
    context: Context,
) -> Result<UserAfter, NotForgotten> {
    // The address is known for the last time.
    let registered = commands.registered(id).await?.ok_or(user::Rejection::NotFound)?;
    let email = registered.user.personal.as_ref().and_then(|personal| personal.email.as_deref());
    let claimed = email.map(|email| email_hash(commands, email)).zip(registered.claim);

    let command = user::Command::Forget { user_id: id.to_owned(), reason: asked.reason };
    let executed = match commands.0.users.execute(id, command, context.clone()).await {
        Ok(executed) => executed,
        Err(ExecuteError::KeyReused) => return Err(NotForgotten::KeyReused),
        Err(ExecuteError::Rejected(rejection)) => return Err(rejection.into()),
        Err(ExecuteError::Changed { .. }) => return Err(Failure::Contended(1).into()),
        Err(ExecuteError::Failed(failure)) => return Err(failure.into()),
    };
    crash_point("after-forgotten");
    forgotten::destroy(commands.keys(), vec![id.to_owned()]).await?;
    crash_point("after-key");
    let mut position = executed.position;
    if let Some((hash, claim)) = claimed {
        position = position.max(commands.release_email(&hash, claim, &context).await?);
    }
    let mut user = registered.user;
    user.personal = None;
    user.revision = executed.revision.unwrap_or(user.revision);
    Ok(UserAfter { user, position, replayed: executed.replayed })
}

/// Forget a person
///
/// Destroys the key that the person's name and e-mail address are sealed under, wherever they
/// stand: in the log, in backups, in exports. It is answered once that is done and cannot be taken
/// back. The user's id, orders and sums stay, and the address can be registered anew.
#[utoipa::path(
    post, path = "/v1/users/{id}/forget", tag = "users", operation_id = "forget_user",
    params(("id" = String, Path, description = "The user's id")),
    request_body(content = ForgetUser, description = "Why", example = json!({ "reason": "asked by letter" })),
    responses(
        (status = 200, description = "The user; `personal` is null", body = ref("#/components/schemas/User"),
            headers(("ETag" = String, description = "Its revision, quoted"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, _| {
        let reason = fields.optional_text("reason", 1..=200);
        Some(ForgetUser { reason })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let after = forget_user(&commands, &id, asked, context).await.map_err(problem)?;
    let answer = Answer::of(StatusCode::OK, &after.user)?;
    Ok(Answer {
        position: after.position,
        replayed: after.replayed,
        revision: Some(after.user.revision),
        personal: true,
        ..answer
    }
    .into_response())
}

fn problem(error: NotForgotten) -> Problem {
    match error {
        NotForgotten::KeyReused => key_reused(),
        NotForgotten::Rejected(user::Rejection::NotFound) => {
            Problem::new(&NOT_FOUND, "There is no user with this id.")
        }
        NotForgotten::Rejected(rejection) => unexpected(rejection),
        NotForgotten::Failed(failure) => failed(&failure),
    }
}
