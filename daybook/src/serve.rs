//! `daybook serve`: opens the shop, serves it, and closes it clean.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use infra::http::HttpOptions;
use tokio::net::TcpListener;

use crate::{
    demo::{self, Shelves},
    engines,
    failure::Failure,
    opening, output, routes,
    settings::{EventStoreUrl, KeysUrl, Settings},
    signals::{Asked, Signals},
    wire::Shop,
};

/// Requests that are under way when the end is asked for have so long.
const DRAIN: Duration = Duration::from_secs(4);
/// From the signal to the end of the process, at most.
const SHUTDOWN: Duration = Duration::from_secs(9);

/// Serves until a signal asks for the end; a second one ends the process at once.
pub(crate) async fn run(settings: &Settings, demo: bool) -> Result<(), Failure> {
    settings.check_anonymous()?;
    settings.check_embedded(demo)?;
    let mut signals = Signals::new()?;
    // Before anything is at work that sets one: a relay says once that it works.
    routes::metrics()?;
    let (shop, listeners) = tokio::select! {
        asked = signals.next() => return asked.ended(),
        opened = open(settings, demo) => opened?,
    };
    serve(settings, shop, listeners, demo, signals).await
}

/// Where clients come in.
struct Listeners {
    http: TcpListener,
    /// For EventStoreDB's clients.
    eventstore: Option<TcpListener>,
}

impl Listeners {
    fn open(settings: &Settings) -> Result<Self, Failure> {
        let listen = |address| {
            infra::http::listen(address).with_context(|| format!("cannot listen on {address}"))
        };
        let eventstore = settings.eventstore_listen.map(listen).transpose()?;
        Ok(Self { http: listen(settings.listen)?, eventstore })
    }
}

async fn open(settings: &Settings, demo: bool) -> Result<(Shop, Listeners), Failure> {
    // Before anything is made: a port that is taken is the most usual mistake.
    let listeners = Listeners::open(settings)?;
    engines::make_data_directory(&settings.data)?;
    let shelves = if demo { Some(demo::prepare(&settings.data)?) } else { None };
    let (shop, listeners) = open_shop(settings, listeners).await?;
    let filled = match shelves {
        None | Some(Shelves::Filled) => Ok(()),
        Some(shelves) => fill(settings, &shop, shelves).await,
    };
    if let Err(failure) = filled {
        // The failure says more than a second one could.
        let _ = shop.close().await;
        return Err(failure);
    }
    Ok((shop, listeners))
}

/// Opens the shop. A server that holds the event store or the keys may be away: it is waited for,
/// and whoever asks meanwhile is told so.
async fn open_shop(
    settings: &Settings,
    listeners: Listeners,
) -> Result<(Shop, Listeners), Failure> {
    if matches!(settings.event_store, EventStoreUrl::Sqlite(_))
        && matches!(settings.keys, KeysUrl::Sqlite(_))
    {
        return Ok((Shop::open(settings).await?, listeners));
    }
    let address = listeners.http.local_addr().context("the port is unknown")?;
    let here = format!("http://{}", host_and_port(address));
    let open = |told| opening::open(settings, here, told);
    let (http, opened) =
        opening::meanwhile(listeners.http, http_options(settings, address), open).await?;
    Ok((opened?, Listeners { http, ..listeners }))
}

async fn fill(settings: &Settings, shop: &Shop, shelves: Shelves) -> Result<(), Failure> {
    if shelves == Shelves::Fresh {
        demo::claim(&settings.data, &shop.store).await?;
    }
    let frame = infra::http::frame(commands::router(shop.commands()?.clone()), None);
    demo::fill(settings, &frame).await?;
    shop.posted(Duration::from_secs(30)).await
}

async fn serve(
    settings: &Settings,
    shop: Shop,
    listeners: Listeners,
    demo: bool,
    mut signals: Signals,
) -> Result<(), Failure> {
    let address = listeners.http.local_addr().context("the port is unknown")?;
    let router = routes::router(settings, &shop)?;
    let gateway = gateway(settings, &shop, listeners.eventstore)?;
    announce(address, demo);
    let options = http_options(settings, address);
    let mut ending = Ending::Asked(Asked::Terminate);
    let draining = shop.draining.clone();
    let store = shop.store.clone();
    let http = infra::http::serve(listeners.http, router, options, async {
        ending = tokio::select! {
            asked = signals.next() => Ending::Asked(asked),
            difference = store.replaced() => Ending::Replaced(difference),
        };
        draining.send_replace(true);
        tracing::info!("the shop is closing: requests under way are answered first");
        tokio::spawn(async move { std::process::exit(signals.next().await.exit_code()) });
    });
    tokio::join!(http, gateway);
    match tokio::time::timeout(SHUTDOWN.saturating_sub(DRAIN), shop.close()).await {
        Ok(closed) => closed?,
        Err(_) => {
            return Err(Failure::failed(
                "the shop did not close in time; what was acknowledged is durable, and the next \
                 start goes on from there",
            ));
        }
    }
    match ending {
        Ending::Asked(asked) => asked.ended(),
        Ending::Replaced(difference) => Err(Failure::failed(format!(
            "the event store does not hold any more what it held: {difference}. Nothing that is in \
             memory can be trusted; started again, everything is read anew, and what was posted \
             from the other history waits for `daybook rebuild --all`"
        ))),
    }
}

/// Why the shop closes.
enum Ending {
    Asked(Asked),
    /// The event store is not the one that it was.
    Replaced(String),
}

fn http_options(settings: &Settings, address: SocketAddr) -> HttpOptions {
    let loopback = address.ip().is_loopback();
    HttpOptions {
        hosts: loopback.then(|| HttpOptions::loopback_hosts(settings.host.clone())),
        drain: DRAIN,
        ..HttpOptions::default()
    }
}

/// Speaks EventStoreDB's protocol, if it was asked for, until the shop closes.
fn gateway(
    settings: &Settings,
    shop: &Shop,
    listener: Option<TcpListener>,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let access = settings.eventstore_access;
    if let Some(listener) = &listener {
        let address = listener.local_addr().context("the port is unknown")?;
        let url = format!("esdb://{}?tls=false", host_and_port(address));
        let _ = output::line(&format!("EventStoreDB's clients may {access} at {url}"));
    }
    let store = shop.store.clone();
    let mut draining = shop.draining.subscribe();
    Ok(async move {
        let Some(listener) = listener else { return };
        let options = gateway::Options { access, drain: DRAIN, ..gateway::Options::default() };
        let closing = async move {
            // A sender that is gone says the same.
            let _ = draining.wait_for(|draining| *draining).await;
        };
        if let Err(error) = gateway::serve(store, listener, options, closing).await {
            tracing::error!(%error, "EventStoreDB's protocol is not spoken");
        }
    })
}

/// Says where the shop is. Whoever started the server may not be listening.
fn announce(address: SocketAddr, demo: bool) {
    let url = format!("http://{}", host_and_port(address));
    let _ = output::line(&format!("Daybook is open at {url}"));
    if demo {
        let _ = demo::print_first_order(&url);
    }
}

/// Where a client on this machine finds what listens here.
fn host_and_port(address: SocketAddr) -> String {
    let host = match address {
        // Everywhere is also here.
        SocketAddr::V4(a) if a.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(a) if a.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(a) => a.ip().to_string(),
        SocketAddr::V6(a) => format!("[{}]", a.ip()),
    };
    format!("{host}:{}", address.port())
}
