//! What policies make of an object now: the same engine as `plan`, about one object.

use anyhow::Context as _;
use api::{GarbageCollectionPolicy, Rails};
use chassis::limits::{CALL_TIMEOUT, LIST_PAGE_OBJECTS};
use control::{Clock as _, SystemClock};
use gc::{Item, Plan, Policy};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::Serialize;

use super::{Args, Named};
use crate::plan;

/// What policies make of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    pub(super) at: Timestamp,
    /// Policies in its namespace that look at its kind.
    pub(super) policies: usize,
    /// What each of them makes of it; none if there is no such object.
    pub(super) verdicts: Vec<Item>,
    /// Policies that cannot be judged by, and why.
    pub(super) unusable: Vec<String>,
}

/// Asks the cluster for the policies and the object.
pub(super) async fn judge(args: &Args) -> anyhow::Result<Live> {
    let client = args.connection.client().await?;
    let (mut policies, mut unusable) = (Vec::new(), Vec::new());
    let rails = Rails::new(&*args.own_namespace);
    for given in policies_in(&client, &args.namespace).await? {
        let name = given.metadata.name.as_deref().unwrap_or_default();
        match Policy::compile(&given, &rails) {
            Ok(policy) if means(&client, &args.object, &policy).await => policies.push(policy),
            Ok(_) => {}
            Err(error) => unusable.push(format!("{}/{name}: {error}", args.namespace)),
        }
    }
    let at = SystemClock.now();
    let mut plan = Plan::new(at);
    for (policy, objects) in policies.iter().zip(plan::observe(&client, &policies).await?) {
        plan.add(policy, objects.iter().filter(|object| *object.name == *args.object.name));
    }
    Ok(Live { at, policies: policies.len(), verdicts: plan.items, unusable })
}

/// The policies of a namespace, in pages.
async fn policies_in(client: &Client, namespace: &str) -> anyhow::Result<Vec<GarbageCollectionPolicy>> {
    let api: Api<GarbageCollectionPolicy> = Api::namespaced(client.clone(), namespace);
    let mut page = ListParams::default().limit(u32::try_from(LIST_PAGE_OBJECTS).unwrap_or(500));
    let mut policies = Vec::new();
    loop {
        let listed = tokio::time::timeout(CALL_TIMEOUT, api.list(&page))
            .await
            .context("the API server did not answer in time")?
            .map_err(chassis::ApiError::from)
            .with_context(|| format!("cannot list the policies in namespace {namespace}"))?;
        policies.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(policies),
        }
    }
}

/// Whether a policy looks at the kind that is meant, by any of the names that the cluster or convention gives it.
async fn means(client: &Client, object: &Named, policy: &Policy) -> bool {
    let target = &policy.target;
    object.means(&target.kind, target.group())
        || chassis::resolve(client, target)
            .await
            .is_ok_and(|resource| object.is_one_of(&[&resource.plural], target.group()))
}
