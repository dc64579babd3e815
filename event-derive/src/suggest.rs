//! What an error about an unknown name says: what exists, and what was probably meant.

/// The known name that was probably meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...? ` or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("did you mean `{nearest}`? "))
}

/// The names in back-ticks, with commas between them.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The message for an attribute that does not exist at `place` ("an enum", "an inbox").
pub(crate) fn unknown(name: &str, place: &str, known: &[&str]) -> String {
    let hint = did_you_mean(name, known.iter().copied());
    format!("{place} has no attribute `{name}`; {hint}there are {}", list(known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_nothing_far_off() {
        assert_eq!(nearest("sumary", ["name", "summary"]), Some("summary"));
        assert_eq!(nearest("zebra", ["name", "summary"]), None);
        assert_eq!(
            unknown("nam", "a variant", &["name"]),
            "a variant has no attribute `nam`; did you mean `name`? there are `name`"
        );
    }
}
