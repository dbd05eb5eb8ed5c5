//! What was found, for people and for programs.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Verdict;
use super::table::{Check, Severity};
use crate::output::printable;

/// Where each check has its section, by its id.
const PAGE: &str = "docs/checks.md";

/// One check, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: Check,
    verdict: Verdict,
}

/// All that was found.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn new(check: Check, verdict: Verdict) -> Self {
        Self { check, verdict }
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    /// `passed`, `warning`, `fatal` or `skipped`.
    fn state(&self) -> &'static str {
        match self.verdict {
            Verdict::Passed(_) => "passed",
            Verdict::Failed(_) => self.check.severity().name(),
            Verdict::Warned(_) => Severity::Warning.name(),
            Verdict::Skipped(_) => "skipped",
        }
    }

    fn message(&self) -> &str {
        match &self.verdict {
            Verdict::Passed(message)
            | Verdict::Failed(message)
            | Verdict::Warned(message)
            | Verdict::Skipped(message) => message,
        }
    }

    fn hint(&self) -> String {
        format!("{PAGE}#{}", self.check.id())
    }

    fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_) | Verdict::Warned(_))
    }
}

impl Report {
    pub(super) fn is_fatal(&self) -> bool {
        self.findings.iter().any(|finding| finding.state() == Severity::Fatal.name())
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let message = printable(finding.message()).into_owned();
            text += &format!("{:<8} {:<25} {message}\n", finding.state(), finding.check.id());
            if finding.is_wrong() {
                text += &format!("{:<34} {} See {}\n", "", finding.check.remedy(), finding.hint());
            }
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let count = |state: &str| self.findings.iter().filter(|finding| finding.state() == state).count();
        format!(
            "{} passed, {} warnings, {} fatal, {} skipped\n",
            count("passed"),
            count("warning"),
            count("fatal"),
            count("skipped")
        )
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        let one = |finding: &Finding| {
            let mut one = json!({
                "id": finding.check.id(),
                "severity": finding.check.severity().name(),
                "state": finding.state(),
                "message": finding.message(),
            });
            if let (true, Some(one)) = (finding.is_wrong(), one.as_object_mut()) {
                one.insert("remedy".to_owned(), finding.check.remedy().into());
                one.insert("hint".to_owned(), finding.hint().into());
            }
            one
        };
        let checks: Vec<Value> = self.findings.iter().map(one).collect();
        let report = json!({"checks": checks, "fatal": self.is_fatal()});
        Ok(serde_json::to_string_pretty(&report).context("cannot write JSON")? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fatal_is_fatal_and_whatever_is_wrong_says_where_to_read_on() {
        let finding = |check, verdict| Finding::new(check, verdict);
        let mut report = Report {
            findings: vec![
                finding(Check::ApiReachable, Verdict::Passed("it answers".into())),
                finding(Check::Lease, Verdict::Failed("nobody holds it".into())),
                finding(Check::ClockSkew, Verdict::Warned("3 s".into())),
                finding(Check::Version, Verdict::Skipped("no \u{1b}[2J Deployment".into())),
            ],
        };
        assert!(!report.is_fatal());
        let text = report.table();
        assert!(text.contains("docs/checks.md#gk-lease") && !text.contains('\u{1b}'), "{text}");
        assert!(text.ends_with("1 passed, 2 warnings, 0 fatal, 1 skipped\n"), "{text}");
        report.findings.push(finding(Check::Definitions, Verdict::Failed("missing".into())));
        assert!(report.is_fatal());
        let read: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(read["fatal"], true);
        assert_eq!(read["checks"][4]["state"], "fatal");
        assert_eq!(read["checks"][0].get("hint"), None);
    }
}
