//! When an append is as durable as the log promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::StorageError;

/// A future that is ready once the append may be acknowledged: at once, unless the flush settings ask for the disk.
#[derive(Debug, Clone)]
pub struct Commit(Option<Arc<Promise>>);

impl Commit {
    /// Nothing to wait for.
    pub fn ready() -> Self {
        Self(None)
    }

    pub(crate) fn pending() -> (Self, Arc<Promise>) {
        let promise = Arc::new(Promise::default());
        (Self(Some(promise.clone())), promise)
    }

    pub(crate) fn waiting_for(promise: Arc<Promise>) -> Self {
        Self(Some(promise))
    }

    /// Whether waiting would return at once.
    pub fn is_ready(&self) -> bool {
        self.0.as_ref().is_none_or(|promise| promise.lock().outcome.is_some())
    }
}

impl Future for Commit {
    type Output = Result<(), StorageError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(promise) = &self.0 else { return Poll::Ready(Ok(())) };
        let mut state = promise.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

/// The other end of a [`Commit`].
#[derive(Debug, Default)]
pub(crate) struct Promise(Mutex<PromiseState>);

#[derive(Debug, Default)]
struct PromiseState {
    outcome: Option<Result<(), StorageError>>,
    waiting: Vec<Waker>,
}

impl Promise {
    pub fn keep(&self, outcome: Result<(), StorageError>) {
        let wakers = {
            let mut state = self.lock();
            state.outcome.get_or_insert(outcome);
            std::mem::take(&mut state.waiting)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PromiseState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
