//! The `ottla` command.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use ottla::cli::{self, Command, Serve};
use ottla::log_dump::{self, DumpError};
use ottla::{Broker, clock, health};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

/// The same number on all systems that this runs on.
const SIGXFSZ: i32 = 25;

fn main() -> ExitCode {
    let started = clock::monotonic();
    let command = match cli::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match command {
        Command::Help => print!("{}", cli::HELP),
        Command::Version => println!("ottla {}", env!("CARGO_PKG_VERSION")),
        Command::Health { bootstrap_server } => return health(bootstrap_server),
        Command::LogDump(options) => return log_dump(&options),
        Command::LogDumpHelp => print!("{}", log_dump::HELP),
        Command::Serve(serve) => return run(serve, started),
    }
    ExitCode::SUCCESS
}

/// Asks the broker that is named, or the one that this environment configures, as a container's check does.
fn health(bootstrap_server: Option<String>) -> ExitCode {
    let asked = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let address = match bootstrap_server {
                Some(address) => address,
                None => configured_address()?,
            };
            health::check(&address).await.map_err(|unhealthy| unhealthy.to_string())
        }),
        Err(error) => Err(format!("no thread to ask on: {error}")),
    };
    match asked {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(line) => {
            eprintln!("{line}");
            ExitCode::FAILURE
        }
    }
}

fn log_dump(options: &log_dump::Options) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let dumped = log_dump::dump(options, &mut out, &mut io::stderr().lock());
    // What was read before an error is shown before it is told.
    let dumped = dumped.and(out.flush().map_err(DumpError::Write));
    match dumped {
        Ok(()) => ExitCode::SUCCESS,
        // Who closes a pipe has seen enough.
        Err(DumpError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn configured_address() -> Result<String, String> {
    let loaded = Serve::default().load(environment()).map_err(|error| error.to_string())?;
    health::address_of(&loaded)
        .ok_or_else(|| "the broker takes a free port: say --bootstrap-server HOST:PORT".to_owned())
}

fn run(serve: Serve, started: std::time::Instant) -> ExitCode {
    let apply_levels = init_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "no threads to run on");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve_until_told(serve, started, apply_levels)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_until_told(
    serve: Serve,
    started: std::time::Instant,
    apply_levels: impl Fn(&str) + Send + 'static,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Asked for first: a signal during the start must not kill a broker that has begun to write.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A file may have a largest size (ulimit -f): then a write is to fail, and not the process.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    let loaded = serve.load(environment())?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let data = match serve.memory {
        true => "memory".to_owned(),
        false => {
            loaded.config.log_dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(",")
        }
    };
    let mut builder = Broker::builder().loaded(loaded);
    if serve.memory {
        builder = builder.memory();
    }
    let running = builder.start().await?;
    running.broker().loggers.on_change(apply_levels);
    info!(
        "ready: bootstrap.servers={} data={data} in {} ms",
        running.bootstrap_servers(),
        started.elapsed().as_millis()
    );
    let failure = tokio::select! {
        _ = terminate.recv() => {
            info!("SIGTERM: stopping");
            None
        }
        _ = interrupt.recv() => {
            info!("SIGINT: stopping");
            None
        }
        why = running.failed() => Some(why),
    };
    // The system takes back the memory of a million partitions quicker than we could.
    std::mem::forget(std::sync::Arc::clone(running.broker()));
    let stopped = running.stop().await;
    if let Some(why) = failure {
        return Err(why.into());
    }
    stopped?;
    match serve.memory {
        true => info!("stopped"),
        false => info!("stopped, everything is on the disk"),
    }
    Ok(())
}

/// The variables that are text; no key has another value.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Lines for people on standard error; `RUST_LOG` sets what is told, until somebody alters the levels of a broker's
/// loggers, which is what the result is for.
fn init_logging() -> impl Fn(&str) + Send + 'static {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_filter_reloading();
    let handle = lines.reload_handle();
    lines.init();
    move |directives| match EnvFilter::try_new(directives).map(|filter| handle.reload(filter)) {
        Ok(Ok(())) => info!("levels of the log: {directives}"),
        Ok(Err(error)) => warn!(%error, "the levels of the log stay"),
        Err(error) => warn!(%error, "the levels of the log stay"),
    }
}
