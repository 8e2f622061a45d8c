use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use domain::{
    Decider,
    user::{self, User},
};
use event_schemas::{
    Event, Personal, PersonalData, Position, Revision, StreamName, Timestamp, UserEvent,
};
use http::StatusCode;
use infra::{
    http::{Caller, Problem, ProblemKind},
    keys::associated_data,
};
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use super::create_product::RESERVED;
use crate::{
    Commands,
    claims::NotClaimed,
    context::Context,
    executor::{ExecuteError, Failure},
    http::{Answer, JSON, read},
    problems::{ALREADY_EXISTS, CLAIM_LOST, EMAIL_TAKEN, failed, key_reused, unexpected},
    streams,
};

/// A user as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisterUser {
    /// The user's id; without one it is the command's.
    pub id: Option<String>,
    /// Name and e-mail address; imported customers have none.
    pub personal: Option<PersonalData>,
}

/// A user to be registered.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisterUser)]
pub struct UserBody {
    /// Neither `search` nor `live`; a UUID unless given.
    #[schema(nullable = false, pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$")]
    id: Option<String>,
    personal: PersonalBody,
}

/// The personal values of a user to be registered.
#[derive(Serialize, ToSchema)]
#[schema(as = RegisterPersonal)]
pub struct PersonalBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 3, max_length = 254)]
    email: String,
}

/// What it may be refused with.
pub(crate) static PROBLEMS: &[&ProblemKind] = &[&ALREADY_EXISTS, &EMAIL_TAKEN, &CLAIM_LOST];

/// A user after registration.
#[derive(Clone, Debug)]
pub struct UserAfter {
    /// The user.
    pub user: UserResource,
    /// A position at or behind the registration; `None` if it was there before.
    pub position: Option<Position>,
    /// Whether the command came before.
    pub replayed: bool,
}

/// What `GET /v1/users/{id}` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserResource {
    /// The user's id.
    pub id: String,
    /// Name and e-mail address; `null` where there is none, or where it was forgotten.
    pub personal: Option<PersonalData>,
    /// When the user was registered.
    pub registered_at: Timestamp,
    /// The revision of the user's stream.
    #[serde(skip)]
    pub revision: Revision,
}

/// A user as it was registered.
pub(super) struct Registered {
    pub(super) user: UserResource,
    /// The command that claimed the e-mail address.
    pub(super) claim: Option<Uuid>,
}

/// Why a user is not registered.
#[derive(Debug, Error)]
pub enum NotRegistered {
    /// The same key came with another payload.
    #[error("the same key came with another payload before")]
    KeyReused,
    /// The address belongs to another user.
    #[error("the e-mail address belongs to another user")]
    EmailTaken,
    /// The user refuses.
    #[error(transparent)]
    Rejected(#[from] user::Rejection),
    /// An engine was in the way.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<NotClaimed> for NotRegistered {
    fn from(error: NotClaimed) -> Self {
        match error {
            NotClaimed::Taken(_) => Self::EmailTaken,
            NotClaimed::Failed(failure) => Self::Failed(failure),
        }
    }
}

/// Claims the e-mail address, then registers the user.
///
/// # Errors
/// [`NotRegistered`]
pub async fn register_user(
    commands: &Commands,
    asked: RegisterUser,
    context: Context,
) -> Result<UserAfter, NotRegistered> {
    let id = asked.id.unwrap_or_else(|| context.command_id().to_string());
    let stream = StreamName::new(User::CATEGORY, &id);
    let store = &commands.0.engines.store;
    match streams::repeated(store, &stream, context.command_id()).await? {
        Some((_, hash)) if hash != context.request_hash() => return Err(NotRegistered::KeyReused),
        Some(_) => return after(commands, &id, None, true).await,
        None => {}
    }
    if commands.is_user(&id).await? {
        return Err(user::Rejection::AlreadyExists.into());
    }
    let email = asked.personal.as_ref().and_then(|personal| personal.email.as_deref());
    let hash = email.map(|email| email_hash(commands, email));
    if let Some(hash) = &hash {
        commands.claim_email(&id, hash, &context).await?;
    }
    let command = user::Command::Register {
        command_id: context.command_id(),
        user_id: id.clone(),
        personal: asked.personal.map(Personal::Open),
        claim: hash.as_ref().map(|_| context.command_id()),
    };
    match commands.0.users.execute(&id, command, context.clone()).await {
        Ok(executed) => after(commands, &id, executed.position, executed.replayed).await,
        Err(ExecuteError::Rejected(rejection)) => {
            if let Some(hash) = &hash {
                commands.give_email_back(&id, hash, &context).await?;
            }
            Err(rejection.into())
        }
        Err(ExecuteError::KeyReused) => Err(NotRegistered::KeyReused),
        Err(ExecuteError::Changed { .. }) => Err(Failure::Contended(1).into()),
        Err(ExecuteError::Failed(failure)) => Err(failure.into()),
    }
}

/// The name of an address's claim: the keyed hash of the address in lower case.
pub(super) fn email_hash(commands: &Commands, email: &str) -> String {
    let digest = commands.keys().keyed_hash("email", email.to_lowercase().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn after(
    commands: &Commands,
    id: &str,
    position: Option<Position>,
    replayed: bool,
) -> Result<UserAfter, NotRegistered> {
    commands.note_user(id);
    let registered = commands.registered(id).await?;
    let user = registered.ok_or_else(|| Failure::Unreadable(format!("user {id} is gone")))?.user;
    Ok(UserAfter { user, position, replayed })
}

impl Commands {
    /// A registered user, by its own stream, with its personal data opened. Nothing of a
    /// registration comes behind the first page.
    ///
    /// # Errors
    /// [`Failure`]
    pub(super) async fn registered(&self, id: &str) -> Result<Option<Registered>, Failure> {
        let stream = StreamName::new(User::CATEGORY, id);
        let store = &self.0.engines.store;
        let direction = infra::event_store::Direction::Forwards;
        let page = store.read_stream(&stream, Revision(0), direction, 1_000).await?;
        for recorded in &page.events {
            let decoded = streams::decode(recorded)?;
            let Event::User(UserEvent::Registered(registered)) = &decoded.event else { continue };
            let personal = match &registered.personal {
                Some(Personal::Sealed(sealed)) => {
                    let associated = associated_data(&stream, recorded.id);
                    let plain = self.keys().unseal(id, &associated, sealed).await;
                    let plain = plain.map_err(|error| Failure::Unavailable(error.to_string()))?;
                    plain.and_then(|plain| serde_json::from_slice(&plain).ok())
                }
                Some(Personal::Open(_)) | None => None,
            };
            let user = UserResource {
                id: id.to_owned(),
                personal,
                registered_at: decoded.metadata.occurred_at,
                revision: recorded.revision,
            };
            return Ok(Some(Registered { user, claim: registered.claim }));
        }
        Ok(None)
    }
}

/// Register a user
///
/// Name and e-mail address are kept sealed. An address belongs to one user.
#[utoipa::path(
    post, path = "/v1/users", tag = "users", operation_id = "register_user",
    request_body(content = UserBody, description = "The user", example = json!({
        "id": "u1", "personal": { "name": "Ada", "email": "ada@example.com" }
    })),
    responses(
        (status = 201, description = "The user", body = ref("#/components/schemas/User"),
            headers(("Location" = String, description = "Where it is to be found"),
                ("ETag" = String, description = "Its revision, quoted"))),
    )
)]
pub(crate) async fn route(
    State(commands): State<Commands>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut incoming = read(caller, request, JSON).await?;
    let asked = incoming.parse(|fields, _| {
        let id = fields.optional_id("id");
        if id.as_deref().is_some_and(|id| RESERVED.contains(&id)) {
            fields.fault("id", "is a path of its own; choose another id");
        }
        let mut personal = fields.object("personal")?;
        let name = personal.text("name", 1..=200);
        let email = personal.text("email", 3..=254);
        if email.as_deref().is_some_and(|email| !is_address(email)) {
            personal.fault("email", "must be an e-mail address such as ada@example.com");
        }
        personal.finish();
        let personal = PersonalData { name: Some(name?), email: Some(email?) };
        Some(RegisterUser { id, personal: Some(personal) })
    })?;
    let (context, _entered) = incoming.enter(&commands, &asked)?;
    let made = register_user(&commands, asked, context).await.map_err(problem)?;
    let answer = Answer::of(StatusCode::CREATED, &made.user)?;
    Ok(Answer {
        location: Some(format!("/v1/users/{}", made.user.id)),
        position: made.position,
        replayed: made.replayed,
        revision: Some(made.user.revision),
        personal: true,
        ..answer
    }
    .into_response())
}

/// One `@` with something on both sides and no white space: whether mail arrives, only mail tells.
fn is_address(text: &str) -> bool {
    let sides = text.split_once('@');
    sides.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.chars().any(char::is_whitespace)
}

fn problem(error: NotRegistered) -> Problem {
    match error {
        NotRegistered::KeyReused => key_reused(),
        NotRegistered::EmailTaken => {
            Problem::new(&EMAIL_TAKEN, "Another user has this e-mail address. Use another one.")
        }
        NotRegistered::Rejected(user::Rejection::AlreadyExists) => Problem::new(
            &ALREADY_EXISTS,
            "There is a user with this id already. Choose another id, or leave it out.",
        ),
        NotRegistered::Rejected(rejection @ user::Rejection::ClaimAbandoned) => {
            Problem::new(&CLAIM_LOST, rejection.to_string())
        }
        NotRegistered::Rejected(rejection) => unexpected(rejection),
        NotRegistered::Failed(failure) => failed(&failure),
    }
}
