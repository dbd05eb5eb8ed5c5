//! Everything that is wrong with what was given, told at once.

use std::fmt::Write as _;

use crate::limits::PROBLEMS_SHOWN_MAX;

/// Problems in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    shown: Vec<String>,
    count: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, problem: String) {
        self.count += 1;
        if self.shown.len() < PROBLEMS_SHOWN_MAX {
            self.shown.push(problem);
        }
    }

    /// An error with all of them, if there are any.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        match &*self.shown {
            [] => Ok(()),
            [only] => Err(anyhow::Error::msg(only.clone())),
            several => {
                let mut text = format!("there are {} problems:", self.count);
                several.iter().for_each(|problem| text += &format!("\n  {problem}"));
                if self.count > several.len() {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\n  and {} more", self.count - several.len());
                }
                Err(anyhow::Error::msg(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: usize) -> Result<(), String> {
        let mut problems = Problems::default();
        (1..=count).for_each(|number| problems.add(format!("p{number}")));
        problems.into_result().map_err(|error| error.to_string())
    }

    #[test]
    fn all_problems_are_told_at_once_up_to_a_screen_of_them() {
        assert_eq!(told(0), Ok(()));
        assert_eq!(told(1), Err("p1".into()));
        assert_eq!(told(2), Err("there are 2 problems:\n  p1\n  p2".into()));
        let many = told(PROBLEMS_SHOWN_MAX + 5).unwrap_err();
        assert!(many.starts_with("there are 25 problems:") && many.ends_with("p20\n  and 5 more"), "{many}");
    }
}
