//! The Schema Registry beside the broker: its listeners, its files, its task.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::StartError;
use crate::broker::Broker;
use crate::config::{RegistryConfig, UsersFile};
use crate::server::{Listener, ListenerSpec, SocketOptions};
use crate::services::client::Client;
use crate::services::http::{self, Bound, Limits, TlsSettings};
use crate::services::registry::access::{Access, jaas};
use crate::services::registry::rest::{Rest, ServerInfo};
use crate::services::registry::{self, Registry};

/// What is asked for before the broker opens its data: what is wrong with it is told at once.
pub struct Prepared {
    bound: Vec<Bound>,
    access: Option<Access>,
    /// Of its first listener, for a client on this machine.
    url: String,
}

/// Binds its listeners and reads its files. None: it is turned off; or nobody asked for it, and its port is taken.
pub async fn prepare(config: &RegistryConfig, socket: SocketOptions) -> Result<Option<Prepared>, StartError> {
    if config.listeners.is_empty() {
        return Ok(None);
    }
    let tls = config.tls.as_ref().map(TlsSettings::load).transpose();
    let tls = tls.map_err(|error| StartError::Registry(error.to_string()))?;
    let access = access(config)?;
    let (mut bound, mut url) = (Vec::new(), None);
    for listener in &config.listeners {
        let scheme = if listener.is_https { "https" } else { "http" };
        let spec = ListenerSpec {
            name: Arc::from(format!("{scheme} of the schema registry")),
            host: listener.host.clone(),
            port: listener.port,
            advertised: None,
            socket,
        };
        let listener_bound = match Listener::bind(&spec).await {
            Ok(listener_bound) => listener_bound,
            Err(error) if !config.is_asked_for => {
                warn!(
                    "{error}: the broker goes on without a schema registry (--no-registry says so, --registry another address)"
                );
                return Ok(None);
            }
            Err(error) => return Err(StartError::Listener(error)),
        };
        let addresses: Vec<String> = listener_bound.addresses().iter().map(ToString::to_string).collect();
        info!("schema registry on {} ({scheme})", addresses.join(" and "));
        url.get_or_insert_with(|| format!("{scheme}://{}", listener_bound.endpoint()));
        let tls = tls.as_ref().filter(|_| listener.is_https);
        let sockets = listener_bound.into_sockets().into_iter();
        bound.extend(sockets.map(|socket| Bound { socket, tls: tls.cloned() }));
    }
    Ok(Some(Prepared { bound, access, url: url.unwrap_or_default() }))
}

/// A registry that serves.
pub struct Serving {
    pub url: String,
    pub task: JoinHandle<()>,
}

impl Prepared {
    pub fn serve(self, broker: &Arc<Broker>, config: RegistryConfig, stop: watch::Receiver<bool>) -> Serving {
        let settings = registry::RegistryConfig {
            topic: config.topic,
            compatibility_level: config.compatibility_level.parse().unwrap_or_default(),
            mode_mutability: config.mode_mutability,
            ..registry::RegistryConfig::default()
        };
        let registry = Registry::new(settings, Client::new(Arc::clone(broker), "schema-registry"));
        let asked: Weak<Registry> = Arc::downgrade(&registry);
        broker.schemas.set_registry(asked);
        let server = ServerInfo { group_id: config.group_id };
        let rest = Rest::new(Arc::clone(&registry), server, self.access, config.cors);
        let task = tokio::spawn(async move {
            // The first request need not wait for what can be read now.
            let loading = tokio::spawn(async move {
                if let Err(error) = registry.load().await {
                    warn!(%error, "the schemas cannot be read yet");
                }
            });
            http::run(self.bound, rest, Limits::default(), stop).await;
            loading.abort();
        });
        Serving { url: self.url, task }
    }
}

fn access(config: &RegistryConfig) -> Result<Option<Access>, StartError> {
    let Some(basic) = &config.authentication else { return Ok(None) };
    let users_file = match &basic.users {
        UsersFile::Lines(file) => file.clone(),
        UsersFile::Jaas(file) => {
            jaas::users_file(&read(file)?, &basic.realm).map(PathBuf::from).ok_or_else(|| {
                let (file, realm) = (file.display(), &basic.realm);
                StartError::Registry(format!("{file}: no file of PropertyFileLoginModule for {realm}"))
            })?
        }
    };
    let users = read(&users_file)?;
    let permissions = basic.permissions_file.as_deref().map(read).transpose()?;
    let access = Access::new(basic.realm.clone(), basic.roles.clone(), &users, permissions.as_deref());
    access.map(Some).map_err(|error| {
        let files = [Some(&users_file), basic.permissions_file.as_ref()];
        let files: Vec<String> = files.into_iter().flatten().map(|file| file.display().to_string()).collect();
        StartError::Registry(format!("{}: {error}", files.join(", ")))
    })
}

fn read(file: &Path) -> Result<String, StartError> {
    fs::read_to_string(file).map_err(|error| StartError::Registry(format!("{}: {error}", file.display())))
}
