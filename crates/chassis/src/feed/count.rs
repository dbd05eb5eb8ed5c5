//! How many objects of a kind there are.

use kube::Client;

use super::Representation;
use super::decode::Page;
use super::wire::{Form, accept};
use crate::client::{ask, get};
use crate::discovery::Resource;
use crate::error::ApiError;
use crate::limits::LIST_PAGE_OBJECTS;
use crate::paths;

/// How many objects of a kind there are, whatever selects them; without a namespace, in the whole cluster.
///
/// One request of a few hundred bytes: the server says how many lie beyond the first. The API promises an
/// estimate; in fact the number is off by what comes or goes while the server counts. A server that does not say it
/// is listed page by page, metadata only.
///
/// # Errors
///
/// If the server refuses (the right to `list` is needed), does not answer, or its answer is not a list.
pub async fn count(client: &Client, resource: &Resource, namespace: Option<&str>) -> Result<u64, ApiError> {
    let collection = paths::collection(&resource.kind.api_version, &resource.plural, namespace);
    let (mut counted, mut limit, mut continue_from) = (0, 1, String::new());
    loop {
        let path = format!("{collection}?limit={limit}&continue={continue_from}");
        let text = ask(client, get(&path, accept(Representation::Metadata, Form::List))?).await?;
        let Page { metadata, items } =
            serde_json::from_str(&text).map_err(|error| ApiError::Garbled(error.to_string()))?;
        counted += u64::try_from(items.unwrap_or_default().len()).unwrap_or(u64::MAX);
        match (metadata.remaining_item_count, metadata.continue_from.filter(|token| !token.is_empty())) {
            (Some(remaining), _) => return Ok(counted + remaining),
            (None, None) => return Ok(counted),
            (None, Some(token)) => {
                (limit, continue_from) = (LIST_PAGE_OBJECTS, paths::segment(&token).into_owned());
            }
        }
    }
}
