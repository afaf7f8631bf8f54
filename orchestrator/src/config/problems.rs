//! Every problem of a file, so that they are repaired in one go.

/// What was found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// Keeps the problem, where there is one.
    pub(super) fn note<T>(&mut self, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|problem| self.add(problem)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In one line, numbered where there is more than one.
    pub(super) fn told(self) -> String {
        match self.0.as_slice() {
            [one] => one.clone(),
            many => {
                let numbered = many.iter().zip(1..);
                let numbered: Vec<_> = numbered
                    .map(|(problem, number)| format!("({number}) {problem}"))
                    .collect();
                numbered.join("; ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn every_problem_is_told_at_once() {
        let text = "[database]\npool_size = 0\n[delivery]\nretry_min_ms = 0\n[[services]]\n\
                    subscriber_id = 'a'\nhandlers = {}\n";
        let problem = Config::parse(text).unwrap_err();
        for part in [
            "exactly one of",
            "pool_size is 0",
            "retry_min_ms is 0",
            "(3)",
        ] {
            assert!(problem.contains(part), "no {part:?} in {problem}");
        }
        let one = Config::parse("[database]\npool_size = 0").unwrap_err();
        assert!(one.starts_with("[database] pool_size"), "{one}");
    }
}
