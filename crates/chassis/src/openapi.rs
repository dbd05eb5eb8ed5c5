//! The schemas of kinds, as the API server publishes them below `/openapi/v3`.
//!
//! An index names a document for each group and version, under an address that changes with its content; a document is
//! therefore fetched once and kept until its address changes. What of it is kept, the reader's type says. Everybody who
//! is known to the cluster may read these addresses (`system:discovery`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::{Clock, Steady};
use futures::AsyncReadExt as _;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use units::ApiVersion;

use crate::client::{get, within};
use crate::error::ApiError;
use crate::limits::{CALL_TIMEOUT, SCHEMA_BYTES_MAX, SCHEMA_DOCUMENTS_MAX, SCHEMA_INDEX_REMEMBERED_FOR};
use crate::paths;

const INDEX: &str = "/openapi/v3";

/// Fetches schemas and remembers them, each read as a `T`.
pub struct OpenApi<T> {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    index: Option<(Arc<Index>, Steady)>,
    /// What was read, and the address that it was read from.
    documents: HashMap<ApiVersion, (String, Arc<T>)>,
}

/// Where the document of each group and version is.
#[derive(Debug, Default, Deserialize)]
struct Index {
    #[serde(default)]
    paths: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "serverRelativeURL")]
    address: String,
}

impl<T> std::fmt::Debug for OpenApi<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenApi").finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> OpenApi<T> {
    /// Asks through this client; has read nothing yet.
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, kept: Mutex::new(Kept { index: None, documents: HashMap::new() }) }
    }

    /// The document of a group and version, at most [`SCHEMA_BYTES_MAX`] bytes; none if the cluster publishes none. What
    /// it says may be as old as [`SCHEMA_INDEX_REMEMBERED_FOR`].
    pub async fn document(&self, version: &ApiVersion) -> Result<Option<Arc<T>>, ApiError> {
        let index = self.index().await?;
        let Some(Entry { address }) = index.entry(version) else { return Ok(None) };
        if let Some(kept) = self.kept_from(version, address) {
            return Ok(Some(kept));
        }
        let text = self.fetch(address).await?;
        let read: T = serde_json::from_slice(&text).map_err(|error| ApiError::Garbled(error.to_string()))?;
        let read = Arc::new(read);
        self.keep(version, address, &read);
        Ok(Some(read))
    }

    async fn index(&self) -> Result<Arc<Index>, ApiError> {
        let now = self.clock.steady();
        if let Some((index, until)) = &self.kept().index
            && now < *until
        {
            return Ok(Arc::clone(index));
        }
        let index = match self.fetch(INDEX).await {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| ApiError::Garbled(error.to_string()))?
            }
            // A server that publishes none.
            Err(error) if error.code() == Some(404) => Index::default(),
            Err(error) => return Err(error),
        };
        let index = Arc::new(index);
        self.kept().index = Some((Arc::clone(&index), now.after(SCHEMA_INDEX_REMEMBERED_FOR)));
        Ok(index)
    }

    /// Reads an address to its end, but not more than is sane, and not for ever.
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, ApiError> {
        let request = get(address, "application/json")?;
        let reading = async {
            let stream = self.client.request_stream(request).await?;
            let mut bytes = Vec::new();
            let mut stream = Box::pin(stream).take(SCHEMA_BYTES_MAX + 1);
            stream.read_to_end(&mut bytes).await.map_err(kube::Error::ReadEvents)?;
            Ok(bytes)
        };
        let bytes = within(CALL_TIMEOUT, reading).await?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SCHEMA_BYTES_MAX {
            return Err(ApiError::Garbled(format!("{address} has more than {SCHEMA_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }

    fn kept_from(&self, version: &ApiVersion, address: &str) -> Option<Arc<T>> {
        let kept = self.kept();
        let (from, document) = kept.documents.get(version)?;
        (from == address).then(|| Arc::clone(document))
    }

    fn keep(&self, version: &ApiVersion, address: &str, document: &Arc<T>) {
        let mut kept = self.kept();
        if kept.documents.len() >= SCHEMA_DOCUMENTS_MAX {
            kept.documents.clear();
        }
        kept.documents.insert(version.clone(), (address.to_owned(), Arc::clone(document)));
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn entry(&self, version: &ApiVersion) -> Option<&Entry> {
        self.paths.get(paths::group_version(version).trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_says_where_a_document_is() {
        let index: Index = serde_json::from_value(serde_json::json!({"paths": {
            "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=A"},
            "apis/batch/v1": {"serverRelativeURL": "/openapi/v3/apis/batch/v1?hash=B"},
        }}))
        .unwrap();
        let address = |version: &str| index.entry(&version.parse().unwrap()).map(|entry| &*entry.address);
        assert_eq!(address("v1"), Some("/openapi/v3/api/v1?hash=A"));
        assert_eq!(address("batch/v1"), Some("/openapi/v3/apis/batch/v1?hash=B"));
        assert_eq!(address("batch/v2"), None);
    }
}
