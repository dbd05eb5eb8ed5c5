//! From a `CleanupPlugin` to what is asked.

use std::sync::Arc;

use api::node_cleanup::CleanupPluginSpec;
use node_cleanup::settings::SettingsSchema;
use serde_json::{Map, Value};

use crate::builtin::{Builtin, Trouble};
use crate::hook::{self, Endpoint};
use crate::invalid::InvalidPlugin;
use crate::job;
use crate::limits::{CONCURRENCY_DEFAULT, CONCURRENCY_MAX};

/// Checks all of a spec.
pub(crate) fn compile(name: &str, spec: &CleanupPluginSpec) -> Result<Arc<dyn Builtin>, InvalidPlugin> {
    let CleanupPluginSpec { http, job, settings_schema: schema, concurrency } = spec;
    let compiled = SettingsSchema::compile(schema)?;
    let concurrency = concurrency.unwrap_or(CONCURRENCY_DEFAULT);
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        return Err(InvalidPlugin::Concurrency { given: concurrency });
    }
    let terms = Terms { schema: schema.clone(), compiled, concurrency };
    match (http, job) {
        (Some(http), None) => {
            let endpoint = Endpoint::of(http).map_err(InvalidPlugin::Http)?;
            Ok(Arc::new(hook::Declared { endpoint, terms }))
        }
        (None, Some(job)) => {
            let jobs = job::Jobs::of(job).map_err(InvalidPlugin::Job)?;
            Ok(Arc::new(job::Declared { name: name.to_owned(), jobs, terms }))
        }
        (Some(_), Some(_)) | (None, None) => Err(InvalidPlugin::NotOneWay),
    }
}

/// What a `CleanupPlugin` says whichever way it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) schema: Map<String, Value>,
    compiled: SettingsSchema,
    pub(crate) concurrency: u32,
}

impl Terms {
    /// Refuses settings that its schema does not allow.
    pub(crate) fn met_by(&self, settings: &Map<String, Value>) -> Result<(), Trouble> {
        self.compiled.check(settings).map_err(|fault| Trouble::Settings(fault.to_string()))
    }
}
