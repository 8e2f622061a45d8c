//! The program: command line, settings, and the one place where all is wired.

mod audit;
mod backup;
mod bench;
mod cli;
mod config;
mod demo;
mod engines;
mod failure;
mod health;
mod import;
mod keys;
mod logging;
mod opening;
mod output;
mod progress;
mod rebuild;
mod replay;
mod routes;
mod schemas;
mod serve;
mod settings;
mod show;
mod signals;
mod status;
mod times;
mod wire;

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser};

use cli::{BenchCommand, Cli, Command, CommonFlags, ImportKind, KeysCommand};
use failure::Failure;
use settings::{Flags, Roles, Settings, Sources};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is no error; a closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output::say(&message);
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Serve(args) => {
            let flags = Flags::default().http(&args.http).shop(&args.shop);
            let flags = flags.audit(&args.audit).engines(&args.engines);
            let settings = load(&common, flags)?;
            on_all_cores(serve::run(&settings, args.demo))
        }
        Command::Import(args) => {
            let flags = Flags::default().shop(&args.shop).audit(&args.audit).engines(&args.engines);
            // An import is a process of its own, whatever a server's roles are set to.
            let settings = Settings { roles: Roles::ALL, ..load(&common, flags)? };
            if args.kind == ImportKind::Events {
                return on_all_cores(interruptible(audit::import(&settings, args, common.quiet)));
            }
            on_all_cores(import::run(&settings, args, common.quiet))
        }
        Command::Bench(command) => {
            start(&common, Flags::default())?;
            match command {
                BenchCommand::Constant { .. } | BenchCommand::Eventstore(_) => {
                    on_all_cores(bench::run(command))
                }
                _ => on_one_thread(bench::run(command)),
            }
        }
        Command::Replay(args) => {
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_all_cores(interruptible(replay::run(&settings, args)))
        }
        Command::Show(args) => {
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_one_thread(show::run(&settings, args))
        }
        Command::Rebuild(args) => {
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_all_cores(interruptible(rebuild::run(&settings, args, common.quiet)))
        }
        Command::Audit(command) => audit::start(&common, command),
        Command::Backup(args) => {
            let flags = Flags::default().audit(&args.audit).engines(&args.engines);
            let settings = load(&common, flags)?;
            on_all_cores(interruptible(backup::backup(&settings, args, common.quiet)))
        }
        Command::Restore(args) => {
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_all_cores(interruptible(backup::restore(&settings, args, common.quiet)))
        }
        Command::Keys(command) => {
            let KeysCommand::Rotate(args) = &command;
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_one_thread(keys::run(&settings, command, common.quiet))
        }
        Command::Status(args) => {
            let settings = load(&common, Flags::default().engines(&args.engines))?;
            on_one_thread(status::run(&settings, args.format))
        }
        Command::Schemas(command) => {
            start(&common, Flags::default())?;
            schemas::run(command)
        }
        Command::Openapi => output::json(&routes::openapi()),
        Command::Config(args) => {
            let flags = Flags::default().http(&args.http).shop(&args.shop);
            let flags = flags.audit(&args.audit).engines(&args.engines);
            config::run(&start(&common, flags)?, args.format)
        }
        Command::Completion { shell } => completion(shell),
    }
}

/// Every setting, checked.
fn load(common: &CommonFlags, flags: Flags) -> Result<Settings, Failure> {
    Settings::load(&start(common, flags)?)
}

/// Reads whatever can set something and starts the log.
fn start(common: &CommonFlags, flags: Flags) -> Result<Sources, Failure> {
    let sources = flags.log_format(common.log_format.as_ref()).sources(common.config.as_deref())?;
    let loudness = i8::try_from(common.verbose).unwrap_or(i8::MAX) - i8::from(common.quiet);
    logging::start(settings::log_format(&sources)?, loudness);
    Ok(sources)
}

/// Runs a command on one thread per core.
fn on_all_cores(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    run_on(tokio::runtime::Builder::new_multi_thread(), work)
}

/// Runs a command on one thread: it shares the machine with the server that it looks at.
fn on_one_thread(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    run_on(tokio::runtime::Builder::new_current_thread(), interruptible(work))
}

/// Ctrl-C ends the work between two steps.
async fn interruptible(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        done = work => done,
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    }
}

fn run_on(
    mut builder: tokio::runtime::Builder,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no threads could be started: {error}")))?;
    let done = runtime.block_on(work);
    if matches!(done, Err(Failure::Interrupted)) {
        // Threads that still post would meet the end of their timers: they end with the process.
        std::mem::forget(runtime);
    } else {
        // What is still blocked on a file has had its chance: nothing acknowledged waits for it.
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    done
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    use std::io::Write;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "daybook", &mut script);
    let mut out = output::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}
