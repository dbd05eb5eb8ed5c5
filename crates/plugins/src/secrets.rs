//! Secrets of our own namespace, by name and key.
//!
//! Each is read by a GET of its name, so that a right for that name suffices, and believed for half a minute. What is read
//! is never printed; who reads it hides it from the answer of whoever gets it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use api::node_cleanup::SecretKey;
use chassis::{ApiError, Redacted};
use control::{Clock, Steady};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::limits::{SECRET_AGE_MAX, SECRET_BYTES_MAX, SECRET_TIMEOUT, SECRETS_CACHED_MAX};

/// The Secrets of one namespace.
#[derive(Clone)]
pub struct Secrets {
    api: Api<Secret>,
    namespace: Arc<str>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

#[derive(Clone)]
struct Known {
    read_at: Steady,
    data: Arc<BTreeMap<String, Redacted<Vec<u8>>>>,
}

/// Why a secret is not there. Names Secret and key, never a value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such Secret.
    #[error("there is no Secret `{name}` in namespace `{namespace}`: make it there, or correct the name")]
    Missing {
        /// The Secret.
        name: String,
        /// Our namespace.
        namespace: String,
    },
    /// It has no such key.
    #[error("the Secret `{name}` has no key `{key}`: add it, or correct the key")]
    NoKey {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// Its value cannot be sent.
    #[error(
        "the key `{key}` of the Secret `{name}` holds no line of text of at most {SECRET_BYTES_MAX} bytes: write one"
    )]
    NotText {
        /// The Secret.
        name: String,
        /// The key.
        key: String,
    },
    /// We may not read it.
    #[error(
        "we may not read the Secret `{name}` in namespace `{namespace}`: allow `get` on it, by its name, to the operator's service account"
    )]
    Forbidden {
        /// The Secret.
        name: String,
        /// Our namespace.
        namespace: String,
    },
    /// The API server did not give it.
    #[error("cannot read the Secret `{name}`: {source}")]
    Api {
        /// The Secret.
        name: String,
        /// What happened.
        source: ApiError,
    },
}

impl Secrets {
    /// Those of this namespace.
    pub(crate) fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.into(), clock, known: Arc::default() }
    }

    /// The text under a key, without the spaces and line breaks around it.
    pub async fn read(&self, key: &SecretKey) -> Result<Redacted<String>, SecretError> {
        let SecretKey { name, key } = key.clone();
        let data = self.data(&name).await?;
        let Some(value) = data.get(&key) else { return Err(SecretError::NoKey { name, key }) };
        let text = std::str::from_utf8(value.expose()).unwrap_or_default().trim();
        if text.is_empty() || text.len() > SECRET_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(SecretError::NotText { name, key });
        }
        Ok(Redacted::new(text.to_owned()))
    }

    /// Forgets what was read of a Secret: whoever got it did not take it.
    pub fn doubt(&self, name: &str) {
        self.known().remove(name);
    }

    async fn data(&self, name: &str) -> Result<Arc<BTreeMap<String, Redacted<Vec<u8>>>>, SecretError> {
        let now = self.clock.steady();
        let known =
            self.known().get(name).filter(|known| now.since(known.read_at) <= SECRET_AGE_MAX).cloned();
        if let Some(known) = known {
            return Ok(known.data);
        }
        let secret = self.get(name).await?;
        let data = secret.data.unwrap_or_default().into_iter();
        let data: Arc<BTreeMap<_, _>> =
            Arc::new(data.map(|(key, value)| (key, Redacted::new(value.0))).collect());
        let mut all = self.known();
        all.retain(|_, known| now.since(known.read_at) <= SECRET_AGE_MAX);
        if all.len() < SECRETS_CACHED_MAX {
            all.insert(name.to_owned(), Known { read_at: now, data: Arc::clone(&data) });
        }
        Ok(data)
    }

    async fn get(&self, name: &str) -> Result<Secret, SecretError> {
        let call = tokio::time::timeout(SECRET_TIMEOUT, self.api.get(name)).await;
        let answer = call
            .map_err(|_| ApiError::TimedOut(SECRET_TIMEOUT))
            .and_then(|answer| answer.map_err(ApiError::from));
        let (name, namespace) = (name.to_owned(), self.namespace.to_string());
        answer.map_err(|source| match source.code() {
            Some(404) => SecretError::Missing { name, namespace },
            Some(401 | 403) => SecretError::Forbidden { name, namespace },
            _ => SecretError::Api { name, source },
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
