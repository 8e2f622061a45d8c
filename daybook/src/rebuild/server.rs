//! A rebuild by the server that has the data directory.

use std::time::Duration;

use event_schemas::StoreId;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    bench::client::{Answer, Connection, Lost, Target},
    failure::Failure,
    output,
    progress::Progress,
    settings::Settings,
};

/// How often it is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Asks the server to rebuild one after the other, and tells how far it is. `taken` says who has the
/// data directory.
pub(super) async fn hand_over(
    settings: &Settings,
    url: Option<&str>,
    (store, names): (StoreId, &[&str]),
    quiet: bool,
    taken: &Failure,
) -> Result<(), Failure> {
    let (target, shown) = match url {
        Some(url) => (Target::parse(url).await?, url.to_owned()),
        None => (Target::at(settings.listen), format!("http://{}", settings.listen)),
    };
    let mut connection = Connection::open(&target).await.map_err(|lost| {
        Failure::failed(format!(
            "{taken}, and no server answers at {shown} ({}): name its address with --server URL",
            lost.kind()
        ))
    })?;
    is_ours(&mut connection, &target, &shown, store).await?;
    let mut failed = Vec::new();
    for name in names {
        let begun = rebuild(&mut connection, &target, name, quiet).await;
        match begun.map_err(|lost| gone(&shown, lost))? {
            Ok(position) if !quiet => {
                output::say(&format!("{name} is posted up to position {position}"));
            }
            Ok(_) => {}
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let text = format!("not rebuilt:\n{}", failed.join("\n"));
    if failed.len() < names.len() {
        return Err(Failure::InPart(text));
    }
    Err(Failure::failed(text))
}

/// Whatever answers there has to be the server of this very log.
async fn is_ours(
    connection: &mut Connection,
    target: &Target,
    shown: &str,
    store: StoreId,
) -> Result<(), Failure> {
    let answer = connection.send(target.get("/v1/projections")).await;
    let answer = answer.map_err(|lost| gone(shown, lost))?;
    let told = answer.position().and_then(|position| position.split_once(':'));
    match told {
        Some((id, _)) if id == store.to_string() => Ok(()),
        Some((id, _)) => Err(Failure::failed(format!(
            "the server at {shown} is another shop's: its event store is {id}, and this data \
             directory's is {store}; name the right one with --server URL"
        ))),
        None => Err(Failure::failed(format!(
            "{shown}: {}; name the server of this data directory with --server URL",
            refused(&answer)
        ))),
    }
}

fn gone(shown: &str, lost: Lost) -> Failure {
    Failure::failed(format!(
        "the server at {shown} went away ({}); what it has built is gone on with when you run this \
         again",
        lost.kind()
    ))
}

/// The position that it was posted up to, or why it was not.
async fn rebuild(
    connection: &mut Connection,
    target: &Target,
    name: &str,
    quiet: bool,
) -> Result<Result<u64, String>, Lost> {
    let path = format!("/v1/projections/{name}/rebuild");
    let key = Uuid::new_v4().to_string();
    let asked = connection.send(target.post(&path, &key, "{}")).await?;
    // One that is under way is waited for like one of our own.
    if asked.status != 202 && asked.kind() != "409 already-rebuilding" {
        return Ok(Err(refused(&asked)));
    }
    let mut progress: Option<Progress> = None;
    loop {
        let answer = connection.send(target.get("/v1/projections")).await?;
        if answer.status != 200 {
            return Ok(Err(refused(&answer)));
        }
        let document = answer.json();
        let items = document["items"].as_array();
        let item = items.and_then(|items| items.iter().find(|item| item["name"] == name));
        let Some(item) = item else { return Ok(Err("the server has it no more".to_owned())) };
        let building = &item["rebuilding"];
        if building.is_null() {
            let ended = &item["rebuilt"];
            if let Some(mut progress) = progress {
                // It may have ended before it was first looked at.
                ended["position"].as_u64().into_iter().for_each(|end| progress.at(end));
                progress.finish();
            }
            return Ok(match (&ended["position"], &ended["error"]) {
                (Value::Number(position), _) => Ok(position.as_u64().unwrap_or_default()),
                (_, Value::String(error)) => Err(error.clone()),
                _ => Err("the server was started anew meanwhile; run this again".to_owned()),
            });
        }
        // Positions of the embedded store count its events.
        let head = item["head"].as_u64();
        let progress = progress.get_or_insert_with(|| Progress::new("positions", head, quiet));
        let lag = item["lag"]["events"].as_u64();
        progress.note(lag.map_or_else(String::new, |lag| format!("the live side {lag} behind")));
        progress.at(building["position"].as_u64().unwrap_or_default());
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn refused(answer: &Answer) -> String {
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap_or("(it says nothing more)");
    format!("the server answers {}: {detail}", answer.kind())
}
