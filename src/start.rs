//! Puts the rooms together: configuration, data directory, metadata, listeners; in a test or in the binary.

mod registry;
mod topics;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::StrBytes;
use ottla_storage::{LocalSettings, Logs, StorageError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::accepting;
use crate::broker::cluster::{self, Cluster, ClusterError, ClusterSettings, DataDirError, Given, Identity};
use crate::broker::{Broker, Endpoint, TableRules};
use crate::clock::{self, Clock};
use crate::config::{Advertised, ConfigError, Loaded, SecurityProtocol, ServerConfig, Sources};
use crate::coordinator::runtime::TransactionCoordinator;
use crate::memory::Trimming;
use crate::metadata::{self, CreateTopicsSettings, RegisterBroker, TopicError};
use crate::server::{self, Admission, Limits, Listener, ListenerSpec, SocketOptions};

/// What a broker is started with.
pub struct Builder {
    clock: Clock,
    memory: bool,
    settings: Settings,
}

enum Settings {
    /// `key=value` each, over the defaults.
    Overrides(Vec<String>),
    Loaded(Box<Loaded>),
}

impl Broker {
    /// A broker in memory, on loopback and a free port, for a Rust test.
    pub fn builder() -> Builder {
        let overrides = ["listeners=PLAINTEXT://127.0.0.1:0", "schema.registry.enable=false"];
        let settings = Settings::Overrides(overrides.map(str::to_owned).into());
        Builder { clock: Clock::default(), memory: true, settings }
    }
}

impl Builder {
    /// Keeps its data in a directory, in Kafka's file formats.
    pub fn data(mut self, dir: impl Into<PathBuf>) -> Builder {
        self.memory = false;
        let dir: PathBuf = dir.into();
        self.set("log.dirs", dir.display())
    }

    /// Keeps everything in memory and touches no disk.
    pub fn memory(mut self) -> Builder {
        self.memory = true;
        self
    }

    /// Listens on `port` of the loopback address; 0 takes a free one.
    pub fn port(self, port: u16) -> Builder {
        self.set("listeners", format_args!("PLAINTEXT://127.0.0.1:{port}"))
    }

    /// With a Schema Registry on loopback and a free port ([`Running::registry_url`]).
    pub fn registry(self) -> Builder {
        self.set("schema.registry.enable", true).set("schema.registry.listeners", "http://127.0.0.1:0")
    }

    /// One setting, by Kafka's name; those of the Schema Registry by Confluent's, after `schema.registry.`.
    pub fn set(mut self, key: &str, value: impl fmt::Display) -> Builder {
        if let Settings::Overrides(overrides) = &mut self.settings {
            overrides.push(format!("{key}={value}"));
        }
        self
    }

    /// The whole configuration, read from its sources; [`Builder::set`] no longer counts.
    pub fn loaded(mut self, loaded: Loaded) -> Builder {
        self.memory = false;
        self.settings = Settings::Loaded(Box::new(loaded));
        self
    }

    pub fn clock(mut self, clock: Clock) -> Builder {
        self.clock = clock;
        self
    }

    /// Opens the data, binds, and serves until [`Running::stop`].
    pub async fn start(self) -> Result<Running, StartError> {
        let loaded = match self.settings {
            Settings::Loaded(loaded) => *loaded,
            Settings::Overrides(overrides) => Sources { overrides, ..Sources::default() }.load()?,
        };
        let config = Arc::new(loaded.config);
        let listeners = bind(&config).await?;
        let registry = registry::prepare(&loaded.registry, socket_options(&config)).await?;
        let limits = limits(&config, Admission::new(&config).await.map_err(StartError::Listener)?);
        let (logs, cluster) = open(&config, loaded.cluster_id, self.memory, &self.clock).await?;
        cluster.place_logs(&logs);
        cluster.register_broker(registration(&config, &cluster, &logs, &listeners)).await?;
        let endpoint = listeners.first().map(Listener::endpoint).ok_or(StartError::NoListener)?;

        let broker = Broker::new(Arc::clone(&config), self.clock, cluster, logs);
        topics::create(&broker, &loaded.create_topics).await?;
        let (stop, stopping) = watch::channel(false);
        // First, so that no record comes before the broker knows of it.
        let registry = registry.map(|it| it.serve(&broker, loaded.registry, stopping.clone()));
        let serving = tokio::spawn(server::run(Arc::clone(&broker), listeners, limits, stopping.clone()));
        let (fail, failure) = watch::channel(None);
        let upkeep = tokio::spawn(upkeep(Arc::clone(&broker), stopping, fail));
        Ok(Running { broker, endpoint, stop, serving, registry, upkeep, failure })
    }
}

/// A broker that serves.
pub struct Running {
    broker: Arc<Broker>,
    endpoint: Endpoint,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    registry: Option<registry::Serving>,
    upkeep: JoinHandle<()>,
    failure: watch::Receiver<Option<String>>,
}

impl Running {
    /// `host:port` for a client's `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        self.endpoint.to_string()
    }

    /// The Schema Registry's, if there is one: `http://host:port`.
    pub fn registry_url(&self) -> Option<&str> {
        self.registry.as_ref().map(|registry| registry.url.as_str())
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Ends when this broker cannot go on, and says why. It has to be stopped then.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // It is being stopped: nothing fails any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Answers what has been accepted, closes the connections, flushes, and ends.
    pub async fn stop(self) -> Result<(), StorageError> {
        // First, so that members who wait for each other are answered before their connections close.
        self.broker.groups().close();
        self.stop.send_replace(true);
        // What asks the broker ends before it.
        let registry = self.registry.map(|registry| registry.task);
        for task in registry.into_iter().chain([self.serving, self.upkeep]) {
            if let Err(error) = task.await {
                error!(%error, "a task did not end as it should");
            }
        }
        let broker = self.broker;
        broker.cluster.settle().await;
        let closed = tokio::task::spawn_blocking(move || broker.close()).await;
        closed.unwrap_or_else(|stopped| {
            error!(error = %stopped, "closing the logs was cut short");
            Ok(())
        })
    }
}

/// Why a broker did not start, in words for the one who started it.
#[derive(Debug)]
pub enum StartError {
    Config(ConfigError),
    Listener(io::Error),
    NoListener,
    /// SSL and SASL are not built yet.
    Protocol(String),
    DataDir(DataDirError),
    Storage(StorageError),
    Cluster(ClusterError),
    /// A file of the Schema Registry.
    Registry(String),
    /// A topic of `KAFKA_CREATE_TOPICS`.
    Topic(String, TopicError),
    Interrupted,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Listener(error) => error.fmt(f),
            StartError::NoListener => f.write_str("there is no listener"),
            StartError::Protocol(listener) => {
                write!(f, "listener {listener}: only PLAINTEXT is served by this version")
            }
            StartError::DataDir(error) => error.fmt(f),
            StartError::Storage(error) => error.fmt(f),
            StartError::Cluster(error) => error.fmt(f),
            StartError::Registry(why) => write!(f, "schema registry: {why}"),
            StartError::Topic(name, error) => write!(f, "KAFKA_CREATE_TOPICS: topic {name}: {error}"),
            StartError::Interrupted => f.write_str("the start was interrupted"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        StartError::Config(error)
    }
}

impl From<ClusterError> for StartError {
    fn from(error: ClusterError) -> Self {
        StartError::Cluster(error)
    }
}

async fn bind(config: &ServerConfig) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        if listener.protocol != SecurityProtocol::Plaintext {
            return Err(StartError::Protocol(listener.name.clone()));
        }
        let advertised = match &listener.advertised {
            Advertised::Fixed { host, port } => Some(Endpoint { host: host.clone(), port: *port }),
            Advertised::AsReached => None,
        };
        let spec = ListenerSpec {
            name: Arc::from(listener.name.as_str()),
            host: listener.host.clone(),
            port: listener.port,
            advertised,
            socket: socket_options(config),
        };
        let listener = Listener::bind(&spec).await.map_err(StartError::Listener)?;
        let addresses = listener.addresses();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        info!(
            "listener {} on {}: {}",
            listener.name(),
            addresses.join(" and "),
            listener.advertised().rule()
        );
        listeners.push(listener);
    }
    Ok(listeners)
}

/// What Java takes a backlog of 0 or less to mean.
const DEFAULT_BACKLOG: u32 = 50;

fn socket_options(config: &ServerConfig) -> SocketOptions {
    let given = |bytes: i32| u32::try_from(bytes).ok();
    SocketOptions {
        backlog: given(config.socket_listen_backlog_size).filter(|size| *size > 0).unwrap_or(DEFAULT_BACKLOG),
        receive_buffer_bytes: given(config.socket_receive_buffer_bytes),
        send_buffer_bytes: given(config.socket_send_buffer_bytes),
    }
}

/// Opens the data and loads the metadata, which reads the disk.
async fn open(
    config: &Arc<ServerConfig>,
    cluster_id: Option<String>,
    memory: bool,
    clock: &Clock,
) -> Result<(Arc<Logs>, Cluster), StartError> {
    let (config, clock) = (Arc::clone(config), clock.clone());
    let opening = tokio::task::spawn_blocking(move || {
        if !memory {
            return open_local(&config, cluster_id.as_deref(), clock);
        }
        let identity = Identity::in_memory(config.node_id, cluster_id.as_deref());
        let logs = Arc::new(Logs::memory());
        let cluster = Cluster::open(identity, cluster_settings(&config), Arc::clone(&logs), clock)?;
        Ok((logs, cluster))
    });
    opening.await.map_err(|_| StartError::Interrupted)?
}

/// What is refused is refused before the first write.
fn open_local(
    config: &Arc<ServerConfig>,
    cluster_id: Option<&str>,
    clock: Clock,
) -> Result<(Arc<Logs>, Cluster), StartError> {
    let given = Given {
        log_dirs: &config.log_dirs,
        metadata_log_dir: &config.metadata_log_dir,
        node_id: config.node_id,
        cluster_id,
    };
    cluster::examine(&given).map_err(StartError::DataDir)?;
    let open = |dirs, metadata_dir| {
        let settings = LocalSettings { metadata_dir, ..local_settings(config) };
        Logs::local(dirs, settings).map(Arc::new).map_err(StartError::Storage)
    };
    let metadata_dir = config.log_dirs.iter().position(|dir| *dir == config.metadata_log_dir);
    let logs = open(config.log_dirs.clone(), metadata_dir)?;
    let metadata_logs = match metadata_dir {
        Some(_) => Arc::clone(&logs),
        None => open(vec![config.metadata_log_dir.clone()], Some(0))?,
    };
    let identity = cluster::prepare(&given).map_err(StartError::DataDir)?;
    let cluster = Cluster::open(identity, cluster_settings(config), metadata_logs, clock)?;
    cluster.begin_directories(&logs);
    Ok((logs, cluster))
}

fn local_settings(config: &ServerConfig) -> LocalSettings {
    LocalSettings {
        checkpoint_interval_ms: i64::from(config.log_flush_offset_checkpoint_interval_ms),
        ..LocalSettings::default()
    }
}

fn cluster_settings(config: &Arc<ServerConfig>) -> ClusterSettings {
    ClusterSettings {
        create_topics: CreateTopicsSettings {
            num_partitions: config.num_partitions,
            default_replication_factor: config.default_replication_factor,
        },
        max_record_bytes_between_snapshots: u64::try_from(
            config.metadata_log_max_record_bytes_between_snapshots,
        )
        .unwrap_or(u64::MAX),
        max_snapshot_interval_ms: config.metadata_log_max_snapshot_interval_ms,
        segment_bytes: u32::try_from(config.metadata_log_segment_bytes).unwrap_or(u32::MAX),
        segment_ms: config.metadata_log_segment_ms,
        config_rules: Arc::new(TableRules::new(config.as_ref().clone())),
    }
}

fn registration(
    config: &ServerConfig,
    cluster: &Cluster,
    logs: &Logs,
    listeners: &[Listener],
) -> RegisterBroker {
    let endpoints = listeners
        .iter()
        .map(|listener| {
            let Endpoint { host, port } = listener.endpoint();
            metadata::Endpoint {
                listener: StrBytes::from_string(listener.name().to_string()),
                host: StrBytes::from_string(host),
                port,
                security_protocol: 0,
            }
        })
        .collect();
    RegisterBroker {
        broker_id: config.node_id,
        incarnation_id: clock::random_id(),
        endpoints,
        rack: config.rack.clone().map(StrBytes::from_string),
        directories: cluster.directories(logs),
    }
}

/// Requests of all connections that are being handled at once, in bytes, where `queued.max.request.bytes` sets no limit.
const MAX_IN_FLIGHT_BYTES: usize = 256 * 1024 * 1024;

fn limits(config: &ServerConfig, admission: Admission) -> Limits {
    let queued = usize::try_from(config.queued_max_request_bytes).ok().filter(|bytes| *bytes > 0);
    let in_flight_bytes = queued.unwrap_or(MAX_IN_FLIGHT_BYTES).min(Semaphore::MAX_PERMITS);
    Limits {
        max_request_bytes: usize::try_from(config.socket_request_max_bytes).unwrap_or(0),
        in_flight_bytes: Arc::new(Semaphore::new(in_flight_bytes)),
        max_in_flight_bytes: in_flight_bytes,
        max_idle: u64::try_from(config.connections_max_idle_ms).map_or(Duration::MAX, Duration::from_millis),
        admission: Arc::new(admission),
    }
}

/// How often the logs are looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
const TICKS_PER_TRIMMING: u64 = 10;

/// What the logs need from time to time: flushes that are due, retention, files of deleted topics.
async fn upkeep(broker: Arc<Broker>, mut stop: watch::Receiver<bool>, fail: watch::Sender<Option<String>>) {
    let searching = Arc::clone(&broker);
    if let Err(error) = tokio::task::spawn_blocking(move || searching.settle_strays()).await {
        warn!(%error, "the search for deleted topics' logs failed");
    }
    tokio::spawn(TransactionCoordinator::keep_loaded(Arc::downgrade(broker.transactions())));
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut trimming = Trimming::default();
    for tick in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = accepting::stopped(&mut stop) => return,
        }
        if let Err(why) = broker.check_log_dirs().await {
            fail.send_replace(Some(why));
        }
        let broker = Arc::clone(&broker);
        let mut trimmed = std::mem::take(&mut trimming);
        let done = tokio::task::spawn_blocking(move || {
            broker.maintain();
            if tick.is_multiple_of(TICKS_PER_TRIMMING) {
                trimmed.look(broker.logs().open_count());
            }
            trimmed
        });
        match done.await {
            Ok(trimmed) => trimming = trimmed,
            Err(error) => warn!(%error, "the logs' upkeep failed; it is tried again"),
        }
    }
}
