//! Which crate of the workspace may depend on which: the table of the architecture as data.
//!
//! Arrows point down. A crate may name what its arrows lead to, in one step or in several, for it depends on that
//! anyway. Crates may stand here before they exist.

/// The highest tier whose crates stay free of runtimes and HTTP clients.
const PURE_TIER_MAX: u8 = 1;

/// The lowest tier whose tests may start a control plane.
const CLUSTER_TEST_TIER_MIN: u8 = 2;

const TESTBED: &str = "testbed";

#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Absent for what is not part of the product.
    tier: Option<u8>,
    arrows: Arrows,
}

#[derive(Debug, Clone, Copy)]
enum Arrows {
    To(&'static [&'static str]),
    ToLowerTiers,
    ToAll,
}

const ENGINE: Arrows = Arrows::To(&["api", "views", "expr", "units", "control"]);

pub(super) const TABLE: &[Row] = &[
    row(0, "units", Arrows::To(&[])),
    row(0, "control", Arrows::To(&[])),
    row(1, "api", Arrows::To(&["units"])),
    row(1, "views", Arrows::To(&["units"])),
    row(1, "expr", Arrows::To(&["units"])),
    row(1, "gc", ENGINE),
    row(1, "node-cleanup", ENGINE),
    row(1, "compliance", ENGINE),
    row(1, "autoscaler", ENGINE),
    row(2, "chassis", Arrows::To(&["control", "api", "views"])),
    row(2, "store", Arrows::To(&["units"])),
    row(2, "plugins", Arrows::To(&["chassis", "node-cleanup"])),
    row(2, "providers", Arrows::To(&["chassis", "autoscaler"])),
    row(3, "controllers", Arrows::ToLowerTiers),
    row(3, "dashboard", Arrows::To(&["chassis", "store"])),
    row(4, "groundskeeper", Arrows::ToLowerTiers),
    Row { name: TESTBED, tier: None, arrows: Arrows::To(&[]) },
    Row { name: "xtask", tier: None, arrows: Arrows::ToAll },
];

const fn row(tier: u8, name: &'static str, arrows: Arrows) -> Row {
    Row { name, tier: Some(tier), arrows }
}

pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

impl Row {
    pub(super) fn is_pure(&self) -> bool {
        self.tier.is_some_and(|tier| tier <= PURE_TIER_MAX)
    }

    /// Whether the arrows lead from this crate to that one.
    pub(super) fn leads_to(&self, name: &str) -> bool {
        let mut seen: Vec<&str> = Vec::new();
        let mut next = self.targets();
        while let Some(target) = next.pop() {
            if target.name == name {
                return true;
            }
            if !seen.contains(&target.name) {
                seen.push(target.name);
                next.extend(target.targets());
            }
        }
        false
    }

    /// Whether this crate's tests may use that one.
    pub(super) fn may_test_with(&self, name: &str) -> bool {
        let tests_on_a_cluster = self.tier.is_some_and(|tier| tier >= CLUSTER_TEST_TIER_MIN);
        name == self.name || self.leads_to(name) || (name == TESTBED && tests_on_a_cluster)
    }

    fn targets(&self) -> Vec<&'static Row> {
        let is_target = |row: &&Row| match self.arrows {
            Arrows::To(names) => names.contains(&row.name),
            // What has no tier is below nothing.
            Arrows::ToLowerTiers => row.tier.is_some() && row.tier < self.tier,
            Arrows::ToAll => row.name != self.name,
        };
        TABLE.iter().filter(is_target).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_arrows_lead_back_to_where_they_start() {
        for row in TABLE {
            assert!(!row.leads_to(row.name), "{} would depend on itself", row.name);
        }
    }

    #[test]
    fn every_arrow_ends_at_a_crate_of_the_table() {
        for row in TABLE {
            if let Arrows::To(names) = row.arrows {
                assert_eq!(row.targets().len(), names.len(), "{}", row.name);
            }
        }
    }

    #[test]
    fn no_arrow_points_up() {
        let tiered = TABLE.iter().filter(|row| row.tier.is_some());
        for row in tiered {
            assert!(row.targets().iter().all(|target| target.tier <= row.tier), "{}", row.name);
        }
    }
}
