//! The command line.
//! Enters: arguments. Leaves: a `Command`, or one line that says what is wrong with them (exit code 2).

use crate::config::{ConfigError, Loaded, Sources};
use crate::log_dump;
use std::fmt;
use std::path::PathBuf;

pub const HELP: &str = "\
Ottla, an Apache Kafka broker

  ottla serve [options]     runs the broker
    --config FILE           settings of a server.properties file
    --override KEY=VALUE    one setting; wins over the file and the environment; may come again
    --data DIR              where the data are kept, as --override log.dirs=DIR
    --listen HOST:PORT      where to listen, as --override listeners=PLAINTEXT://HOST:PORT
    --memory                keeps everything in memory and touches no disk
    --registry HOST:PORT    where the Schema Registry listens, as --override schema.registry.listeners=http://HOST:PORT
                            (by default on port 8081, beside the broker)
    --no-registry           runs none, as --override schema.registry.enable=false
  ottla health [--bootstrap-server HOST:PORT]
                            asks a broker whether it serves; exit code 0 if so
                            (by default the one that this environment configures)
  ottla log dump PATH...    shows what the files of a log hold, as Kafka's dump-log does (`ottla log dump --help`)
  ottla version
  ottla help

The environment is read as the images of Apache Kafka, Confluent and Bitnami do: KAFKA_NUM_PARTITIONS, KAFKA_CFG_NUM_PARTITIONS,
SCHEMA_REGISTRY_LISTENERS.
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Serve(Serve),
    Health { bootstrap_server: Option<String> },
    LogDump(log_dump::Options),
    LogDumpHelp,
    Version,
    Help,
}

/// `ottla serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serve {
    pub config_file: Option<PathBuf>,
    /// `key=value` each, in their order.
    pub overrides: Vec<String>,
    pub memory: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

/// Reads the arguments after the program's name.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Command, UsageError> {
    let mut args = Args { rest: args.into_iter().collect::<Vec<_>>().into_iter() };
    let Some(name) = args.rest.next() else {
        return Err(UsageError("say what to do: serve, health, log dump, version or help".to_owned()));
    };
    match name.as_str() {
        "serve" => serve(args).map(Command::Serve),
        "health" => health(args),
        "log" => log(args),
        "version" | "--version" | "-V" => args.nothing_more().map(|()| Command::Version),
        "help" | "--help" | "-h" => Ok(Command::Help),
        other => {
            Err(UsageError(format!("unknown command {other}: serve, health, log dump, version or help")))
        }
    }
}

impl Serve {
    /// Reads the file and the environment, and makes the configuration of all.
    pub fn load(&self, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
        let read = |path: &PathBuf| match std::fs::read_to_string(path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(error) => Err(ConfigError::new(format!("--config {}: {error}", path.display()))),
        };
        let file = self.config_file.as_ref().map(read).transpose()?;
        Sources { file, environment: environment.collect(), overrides: self.overrides.clone() }.load()
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ottla: {} (`ottla help` tells more)", self.0)
    }
}

impl std::error::Error for UsageError {}

struct Args {
    rest: std::vec::IntoIter<String>,
}

impl Args {
    /// The next option and what follows its `=`, if it has one.
    fn next(&mut self) -> Option<(String, Option<String>)> {
        let arg = self.rest.next()?;
        Some(match arg.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (arg, None),
        })
    }

    fn value(&mut self, option: &str, inline: Option<String>) -> Result<String, UsageError> {
        inline.or_else(|| self.rest.next()).ok_or_else(|| UsageError(format!("{option} needs a value")))
    }

    fn nothing_more(mut self) -> Result<(), UsageError> {
        self.rest.next().map_or(Ok(()), |arg| Err(UsageError(format!("unexpected argument {arg}"))))
    }
}

fn serve(mut args: Args) -> Result<Serve, UsageError> {
    let mut serve = Serve::default();
    while let Some((option, inline)) = args.next() {
        match option.as_str() {
            "--config" => serve.config_file = Some(args.value(&option, inline)?.into()),
            "--override" => serve.overrides.push(args.value(&option, inline)?),
            "--data" => serve.overrides.push(format!("log.dirs={}", args.value(&option, inline)?)),
            "--listen" => {
                serve.overrides.push(format!("listeners=PLAINTEXT://{}", args.value(&option, inline)?));
            }
            "--registry" => {
                let address = args.value(&option, inline)?;
                serve.overrides.push(format!("schema.registry.listeners=http://{address}"));
            }
            "--no-registry" if inline.is_none() => {
                serve.overrides.push("schema.registry.enable=false".to_owned());
            }
            "--memory" if inline.is_none() => serve.memory = true,
            _ => return Err(UsageError(format!("serve has no option {option}"))),
        }
    }
    Ok(serve)
}

fn health(mut args: Args) -> Result<Command, UsageError> {
    let mut bootstrap_server = None;
    while let Some((option, inline)) = args.next() {
        match option.as_str() {
            "--bootstrap-server" => bootstrap_server = Some(args.value(&option, inline)?),
            _ => return Err(UsageError(format!("health has no option {option}"))),
        }
    }
    Ok(Command::Health { bootstrap_server })
}

fn log(args: Args) -> Result<Command, UsageError> {
    let mut args = args.rest;
    match args.next().as_deref() {
        Some("dump") => {}
        _ => return Err(UsageError("log has one command: dump".to_owned())),
    }
    let args: Vec<String> = args.collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(Command::LogDumpHelp);
    }
    log_dump::Options::parse(args).map(Command::LogDump).map_err(|error| UsageError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Command, &str>) {
        let found = parse(line.split_whitespace().map(str::to_owned));
        assert_eq!(found, expected.map_err(|message| UsageError(message.to_owned())), "{line}");
    }

    #[test]
    fn arguments_are_commands() {
        let serve = |config_file: Option<&str>, overrides: &[&str], memory| {
            let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
            Ok(Command::Serve(Serve { config_file: config_file.map(PathBuf::from), overrides, memory }))
        };
        check("serve", serve(None, &[], false));
        check("serve --config f --override a=b --override=c=d=e", serve(Some("f"), &["a=b", "c=d=e"], false));
        check(
            "serve --memory --data=/d --listen :9",
            serve(None, &["log.dirs=/d", "listeners=PLAINTEXT://:9"], true),
        );
        check("serve --no-registry", serve(None, &["schema.registry.enable=false"], false));
        check("serve --registry=:9", serve(None, &["schema.registry.listeners=http://:9"], false));
        check("health", Ok(Command::Health { bootstrap_server: None }));
        check("health --bootstrap-server a:1", Ok(Command::Health { bootstrap_server: Some("a:1".into()) }));
        check("--version", Ok(Command::Version));
        check("help me", Ok(Command::Help));
        check("log dump a --help", Ok(Command::LogDumpHelp));
        check("log show", Err("log has one command: dump"));
        check("log dump --fast a", Err("log dump has no option --fast"));
        check("", Err("say what to do: serve, health, log dump, version or help"));
        check("run", Err("unknown command run: serve, health, log dump, version or help"));
        check("serve --config", Err("--config needs a value"));
        check("serve --memory=yes", Err("serve has no option --memory"));
        check("serve fast", Err("serve has no option fast"));
        check("version x", Err("unexpected argument x"));
    }
}
