//! `groundskeeper explain`: what every policy makes of one object now, when it goes, and which policy decides. It tells the
//! present and the future; `why` tells the past.
//!
//! The same engine as `plan`, about one object. Changes nothing.

mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use chassis::Resource;
use chassis::objects;
use control::{Clock as _, SystemClock};
use gc::{Item, Mode, ObjectName, Plan};
use jiff::Timestamp;
use serde::Serialize;
use units::GroupVersionKind;

use crate::cluster::Cluster;
use crate::kind_name::KindName;
use crate::moment;
use crate::output::{self, Form};
use crate::plan::input::{self, Input};
use crate::scene::{self, Cast, Detail, Part, Question, Scene, Warning};

/// What stands in the help below the arguments.
pub(crate) const HELP: &str = "\
Tells what policies make of an object now, or at another moment; `groundskeeper why` tells what was done to it. If files \
with objects are given, no cluster is asked. Policies from files take the place of the cluster's of the same names.

Exit status: 0; 1 after any error, also if there is no such object.";

/// What `explain` is told.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The object: its kind, plural or plural.group, in any case, and its name, such as configmap/report. Of a cluster
    /// also by its short name.
    #[arg(value_name = "KIND/NAME")]
    object: KindName,

    /// A file with policies or objects, a directory of them, or - for standard input, as in `plan`. May be given again.
    /// Default: the cluster's policies and objects.
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// The moment that is asked about, as RFC 3339, such as 2026-11-21T04:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Timestamp>,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,

    #[command(flatten)]
    scene: scene::Whereabouts,
}

/// What policies make of one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    api_version: &'static str,
    kind: &'static str,
    /// The moment that is asked about.
    pub(crate) at: Timestamp,
    /// The object; none if there is none of that name where a policy looks.
    pub(crate) object: Option<ObjectName>,
    /// Which policy decides, if one does.
    pub(crate) decides: Option<Decider>,
    /// How many policies look at its kind in its namespace.
    pub(crate) policies: usize,
    /// What each of them makes of it; none if there is no such object.
    pub(crate) verdicts: Vec<Item>,
    pub(crate) warnings: Vec<Warning>,
    /// Policies that cannot be judged by, and why.
    pub(crate) unusable: Vec<String>,
}

/// The policy that decides about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decider {
    /// `namespace/name` of the policy, or the name of a policy of the cluster.
    pub(crate) policy: String,
    /// `Delete`: it goes by this policy, now or later. `Report`: it would go by this policy, which deletes nothing as it
    /// stands. `Keep`: this policy keeps it.
    pub(crate) effect: &'static str,
    /// When it goes, or went due.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Explains.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let input = if args.filename.is_empty() { Input::default() } else { input::read(&args.filename)? };
    let at = args.at.unwrap_or(now);
    let explanation = if let Some(objects) = &input.objects {
        let namespace = args.scene.offline_namespace();
        let policies = scene::compile(input.policies, namespace, &args.scene.rails())?;
        let [scene] = scene::from_files([policies], objects, namespace, at)?;
        let means = |part: &Part| {
            part.policy.targets.iter().any(|target| args.object.means(&target.kind.kind, target.kind.group()))
        };
        let count = scene.asked.iter().filter(|part| means(part)).count();
        explain(&scene, &args.object.name, namespace, count, |kind| {
            let group = kind.api_version.split_once('/').map_or("", |(group, _)| group);
            args.object.means(&kind.kind, group)
        })
    } else {
        let mut cluster = args.scene.connection.cluster().await?;
        let namespace = args.scene.namespace_in(&cluster);
        let question = Question { at, now, detail: Detail::All, alone: false, focus: Some(namespace) };
        let rails = args.scene.rails();
        live(&mut cluster, &args.object, (input, &rails), question).await?
    };
    ensure!(
        explanation.object.is_some() || explanation.policies == 0,
        "there is no {}/{} where a policy looks; say where it is with --namespace",
        args.object.kind,
        args.object.name
    );
    output::warn(&explanation.warnings);
    match args.output {
        Form::Table => output::print(&text::render(&explanation, &args.object))?,
        Form::Json => output::print_json(&explanation)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the policies of a cluster, and given ones, make of an object in it.
pub(crate) async fn live(
    cluster: &mut Cluster,
    object: &KindName,
    (input, rails): (Input, &api::Rails),
    question: Question,
) -> anyhow::Result<Explanation> {
    let namespace = question.focus.clone().unwrap_or_default();
    let mut cast = Cast::gather(cluster, input.policies, (&namespace, rails), &question).await?;
    // Whoever was not asked about has a word on it, too.
    cast.asked.append(&mut cast.others);
    // Who cannot look it up may still have said the kind as manifests do.
    let known = objects::find_kind(&cluster.client, &object.kind).await.ok().flatten();
    let means = |kind: &GroupVersionKind| {
        let is_known = |known: &Resource| known.kind.kind == kind.kind && known.kind.group() == kind.group();
        known.as_ref().is_some_and(is_known) || object.means(&kind.kind, kind.group())
    };
    let targets = cast.asked.iter().flat_map(|policy| &policy.targets);
    let kinds: Vec<_> = targets.map(|target| target.kind.clone()).filter(means).collect();
    cast.asked.retain(|policy| {
        policy.targets.iter().any(|target| kinds.contains(&target.kind))
            && policy.reach.namespace().is_none_or(|own| own == namespace)
    });
    let count = cast.asked.len();
    let scene = scene::from_cluster(cluster, cast, &question).await?;
    Ok(explain(&scene, &object.name, &namespace, count, |name| {
        kinds.iter().any(|kind| kind.kind == name.kind && kind.api_version.to_string() == name.api_version)
    }))
}

/// What the policies of a scene make of the object of this name, in this namespace or in none.
fn explain(
    scene: &Scene,
    name: &str,
    namespace: &str,
    policies: usize,
    is_of_kind: impl Fn(&ObjectName) -> bool,
) -> Explanation {
    let Plan { items, .. } = scene.plan();
    let is_there = |object: &ObjectName| object.namespace == namespace || object.namespace.is_empty();
    let is_meant =
        |item: &Item| &*item.object.name == name && is_there(&item.object) && is_of_kind(&item.object);
    let elsewhere = scene.elsewhere((namespace, name)).into_iter();
    let verdicts: Vec<Item> = items.into_iter().chain(elsewhere).filter(is_meant).collect();
    Explanation {
        api_version: "groundskeeper.dev/v1alpha1",
        kind: "Explanation",
        at: scene.at,
        object: verdicts.first().map(|item| item.object.clone()),
        decides: decider(&scene.asked, &verdicts),
        policies,
        verdicts,
        warnings: scene.warnings.clone(),
        unusable: scene.unusable.clone(),
    }
}

/// Which policy decides: the one by which the object goes first, else the one by which it would, else one that keeps it.
/// What is kept goes by no policy, so that these do not contradict each other.
fn decider(parts: &[Part], verdicts: &[Item]) -> Option<Decider> {
    let mode = |item: &Item| {
        let part = parts.iter().find(|part| part.policy.key.to_string() == item.policy);
        part.map(|part| part.policy.mode)
    };
    let first = |acts: bool| {
        let goes = |item: &&Item| item.expires_at.is_some() && (mode(item) == Some(Mode::Enforce)) == acts;
        verdicts.iter().filter(goes).min_by_key(|item| item.expires_at)
    };
    let keeps = |item: &&Item| item.reason == "Keeping" && mode(item) == Some(Mode::Enforce);
    let decides =
        |item: &Item, effect| Decider { policy: item.policy.clone(), effect, expires_at: item.expires_at };
    first(true)
        .map(|item| decides(item, "Delete"))
        .or_else(|| first(false).map(|item| decides(item, "Report")))
        .or_else(|| verdicts.iter().find(keeps).map(|item| decides(item, "Keep")))
}
