//! A configuration database as ServiceNow's Table API is published: `/api/now/table/TABLE`, records with a `sys_id`, HTTP Basic.
//!
//! POST creates whatever it is sent, twice if it is sent twice; only if it was told to, it knows a request by its
//! `Idempotency-Key`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};

use super::{Behaviour, Received, Reply};

/// See the module.
#[derive(Debug)]
pub struct Cmdb {
    authorization: String,
    knows_keys: bool,
    by_key: BTreeMap<String, String>,
    /// By table and `sys_id`.
    records: BTreeMap<(String, String), Map<String, Value>>,
    created: u32,
    changed: u32,
}

impl Cmdb {
    /// An empty one, for somebody of this name and password.
    pub fn new(username: &str, password: &str) -> Self {
        Self {
            authorization: basic(username, password),
            knows_keys: false,
            by_key: BTreeMap::new(),
            records: BTreeMap::new(),
            created: 0,
            changed: 0,
        }
    }

    /// Knows from now on a request that it has done by its `Idempotency-Key`.
    pub fn know_keys(&mut self) {
        self.knows_keys = true;
    }

    /// Takes another name and password from now on.
    pub fn change_password(&mut self, username: &str, password: &str) {
        self.authorization = basic(username, password);
    }

    /// The records of a table.
    pub fn records(&self, table: &str) -> Vec<&Map<String, Value>> {
        self.records.iter().filter(|((of, _), _)| of == table).map(|(_, record)| record).collect()
    }

    /// How many records were created.
    pub fn created(&self) -> u32 {
        self.created
    }

    /// How often a record was changed.
    pub fn changed(&self) -> u32 {
        self.changed
    }

    fn create(&mut self, table: &str, request: &Received) -> Reply {
        let key = request.header("idempotency-key").filter(|_| self.knows_keys).map(str::to_owned);
        let known = key.as_ref().and_then(|key| self.by_key.get(key)).cloned();
        let id = known.unwrap_or_else(|| {
            self.created += 1;
            let id = format!("{:032x}", 0xc0ff_ee00_u32 + self.created);
            let mut record = request.json().as_object().cloned().unwrap_or_default();
            record.insert("sys_id".to_owned(), json!(id));
            self.records.insert((table.to_owned(), id.clone()), record);
            self.by_key.extend(key.map(|key| (key, id.clone())));
            id
        });
        let record = self.records.get(&(table.to_owned(), id.clone()));
        Reply::json(201, &json!({"result": record})).header("location", format!("{}/{id}", request.path))
    }

    fn search(&self, table: &str, request: &Received) -> Reply {
        let wanted: Vec<(&str, &str)> = request
            .query("sysparm_query")
            .unwrap_or_default()
            .split('^')
            .filter_map(|condition| condition.split_once('='))
            .collect();
        let limit = request.query("sysparm_limit").and_then(|limit| limit.parse().ok()).unwrap_or(10_000);
        let holds = |record: &&Map<String, Value>| {
            wanted.iter().all(|(field, value)| record.get(*field).and_then(Value::as_str) == Some(value))
        };
        let found: Vec<_> = self.records(table).into_iter().filter(holds).take(limit).collect();
        Reply::json(200, &json!({"result": found}))
    }

    fn change(&mut self, table: &str, id: &str, request: &Received) -> Reply {
        let Some(record) = self.records.get_mut(&(table.to_owned(), id.to_owned())) else {
            return no_record();
        };
        record.extend(request.json().as_object().cloned().unwrap_or_default());
        self.changed += 1;
        Reply::json(200, &json!({"result": record}))
    }
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

fn no_record() -> Reply {
    error(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
}

fn error(status: u16, message: &str, detail: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message, "detail": detail}, "status": "failure"}))
}

impl Behaviour for Cmdb {
    fn answer(&mut self, request: &Received) -> Reply {
        if request.header("authorization") != Some(self.authorization.as_str()) {
            return error(401, "User Not Authenticated", "Required to provide Auth information");
        }
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (&request.method, parts.as_slice()) {
            (&Method::POST, ["api", "now", "table", table]) => self.create(table, request),
            (&Method::GET, ["api", "now", "table", table]) => self.search(table, request),
            (&Method::GET, ["api", "now", "table", table, id]) => {
                match self.records.get(&((*table).to_owned(), (*id).to_owned())) {
                    Some(record) => Reply::json(200, &json!({"result": record})),
                    None => no_record(),
                }
            }
            (&Method::PATCH | &Method::PUT, ["api", "now", "table", table, id]) => {
                self.change(table, id, request)
            }
            _ => error(400, "Requested URI does not represent any resource", &request.path),
        }
    }
}
