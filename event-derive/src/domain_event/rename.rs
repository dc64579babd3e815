//! serde's `rename_all` rules for fields, which stand in snake case.

/// One of serde's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    AsIs,
    Upper,
    Pascal,
    Camel,
    Kebab,
    ScreamingKebab,
}

impl Rule {
    /// The rule of that name; an unknown one is serde's to refuse.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "lowercase" | "snake_case" => Self::AsIs,
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return None,
        })
    }

    pub(super) fn apply(self, field: &str) -> String {
        match self {
            Self::AsIs => field.to_owned(),
            Self::Upper => field.to_ascii_uppercase(),
            Self::Pascal => pascal(field),
            Self::Camel => {
                let mut name = pascal(field);
                if let Some(first) = name.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                name
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(field: &str) -> String {
    let mut name = String::with_capacity(field.len());
    let mut capital = true;
    for letter in field.chars() {
        if letter == '_' {
            capital = true;
        } else if std::mem::take(&mut capital) {
            name.push(letter.to_ascii_uppercase());
        } else {
            name.push(letter);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_does_what_serde_does() {
        for (rule, expected) in [
            ("lowercase", "assignee_id"),
            ("UPPERCASE", "ASSIGNEE_ID"),
            ("PascalCase", "AssigneeId"),
            ("camelCase", "assigneeId"),
            ("snake_case", "assignee_id"),
            ("SCREAMING_SNAKE_CASE", "ASSIGNEE_ID"),
            ("kebab-case", "assignee-id"),
            ("SCREAMING-KEBAB-CASE", "ASSIGNEE-ID"),
        ] {
            let name = Rule::of(rule).map(|rule| rule.apply("assignee_id"));
            assert_eq!(name.as_deref(), Some(expected), "{rule}");
        }
        assert_eq!(Rule::of("Title Case"), None);
        assert_eq!(Rule::Camel.apply("_"), "");
    }
}
