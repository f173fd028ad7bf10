//! Who may connect: `max.connections`, `max.connections.per.ip` and its overrides.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::lookup_host;
use tokio::sync::Notify;

use crate::config::ServerConfig;

/// Counts the connections of all listeners.
#[derive(Debug, Default)]
pub struct Admission {
    /// `max.connections.per.ip.overrides`, its names resolved.
    overrides: HashMap<IpAddr, usize>,
    counts: Mutex<Counts>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// The address has all the connections that it may have.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany {
    pub limit: usize,
}

/// One connection's place; dropping it makes room for another.
#[derive(Debug)]
pub struct Slot {
    admission: Arc<Admission>,
    ip: IpAddr,
}

impl Admission {
    /// Looks up the hosts that have limits of their own; one that is not found stops the start, as in Kafka.
    pub async fn new(config: &ServerConfig) -> io::Result<Admission> {
        let mut overrides = HashMap::new();
        for (host, limit) in &config.max_connections_per_ip_overrides {
            let what =
                |error| io::Error::other(format!("max.connections.per.ip.overrides={host}:{limit}: {error}"));
            for address in lookup_host((host.as_str(), 0)).await.map_err(what)? {
                overrides.insert(address.ip().to_canonical(), at_most(*limit));
            }
        }
        Ok(Admission { overrides, ..Admission::default() })
    }

    /// Waits while there are `max.connections`: further clients stay in the listener's backlog, as in Kafka.
    pub async fn room(&self, config: impl Fn() -> Arc<ServerConfig>) {
        loop {
            let freed = self.freed.notified();
            if self.counts().all < at_most(config().max_connections) {
                return;
            }
            freed.await;
        }
    }

    /// A place for a connection from `ip`, unless it has too many already.
    pub fn admit(self: &Arc<Admission>, config: &ServerConfig, ip: IpAddr) -> Result<Slot, TooMany> {
        let ip = ip.to_canonical();
        let limit = *self.overrides.get(&ip).unwrap_or(&at_most(config.max_connections_per_ip));
        let mut counts = self.counts();
        let of_ip = counts.by_ip.get(&ip).copied().unwrap_or(0);
        if of_ip >= limit {
            return Err(TooMany { limit });
        }
        counts.by_ip.insert(ip, of_ip + 1);
        counts.all += 1;
        Ok(Slot { admission: Arc::clone(self), ip })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= 1;
        match counts.by_ip.get_mut(&self.ip) {
            Some(more) if *more > 1 => *more -= 1,
            _ => {
                counts.by_ip.remove(&self.ip);
            }
        }
        drop(counts);
        self.admission.freed.notify_waiters();
    }
}

fn at_most(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn config(overrides: &[&str]) -> Arc<ServerConfig> {
        let overrides = overrides.iter().map(|text| (*text).to_owned()).collect();
        Arc::new(Sources { overrides, ..Sources::default() }.load().unwrap().config)
    }

    #[tokio::test]
    async fn an_address_has_its_own_limit_or_everyones() {
        let config =
            config(&["max.connections.per.ip=2", "max.connections.per.ip.overrides=127.0.0.1:1,10.0.0.1:0"]);
        let admission = Arc::new(Admission::new(&config).await.unwrap());
        let admit = |ip: &str| admission.admit(&config, ip.parse().unwrap());
        let first = admit("10.0.0.9").unwrap();
        let second = admit("::ffff:10.0.0.9").unwrap();
        assert_eq!(admit("10.0.0.9").unwrap_err(), TooMany { limit: 2 });
        drop(first);
        let again = admit("10.0.0.9").unwrap();
        let other = admit("127.0.0.1").unwrap();
        assert_eq!(admit("127.0.0.1").unwrap_err(), TooMany { limit: 1 });
        assert_eq!(admit("10.0.0.1").unwrap_err(), TooMany { limit: 0 });
        drop((second, again, other));
        assert!(admission.counts().by_ip.is_empty(), "nothing is kept of those that left");
        assert_eq!(admission.counts().all, 0);
    }

    #[tokio::test]
    async fn at_max_connections_the_next_one_waits() {
        let config = config(&["max.connections=1"]);
        let admission = Arc::new(Admission::new(&config).await.unwrap());
        let only = admission.admit(&config, "10.0.0.1".parse().unwrap()).unwrap();
        let mut room = pin!(admission.room(|| Arc::clone(&config)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(room.as_mut().poll(&mut context).is_pending());
        drop(only);
        assert!(room.as_mut().poll(&mut context).is_ready());
    }

    #[tokio::test]
    async fn a_host_that_nobody_knows_is_named() {
        let config = config(&["max.connections.per.ip.overrides=host.invalid:3"]);
        let error = Admission::new(&config).await.unwrap_err().to_string();
        assert!(error.starts_with("max.connections.per.ip.overrides=host.invalid:3: "), "{error}");
    }
}
