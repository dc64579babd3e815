//! The past-tense rule: an action is a fact, so its name holds a past participle in the place where a fact has one; and
//! what to call an action that breaks the rule.

mod words;

use words::{DOUBLING, FOLLOWERS, IRREGULAR, NOT_PARTICIPLES, NOUNS, NOUNS_TOO, PREFIXES, VERBS};

/// Whether an action's name (in snake case) says what happened: a participle as the last word, or one that is followed by
/// a particle or an adverb (`signed_up`, `paid_in_full`, `closed_automatically`).
pub(crate) fn is_past(name: &str) -> bool {
    let words: Vec<_> = name.split('_').filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        is_participle(word) && words.get(at + 1).is_none_or(|next| FOLLOWERS.contains(next) || next.ends_with("ly"))
    })
}

/// What the action might be called instead, in snake case.
pub(crate) fn suggestion(name: &str) -> String {
    let words: Vec<_> = name.split('_').filter(|word| !word.is_empty()).collect();
    let followed = |at: usize| words.get(at + 1).is_some_and(|next| FOLLOWERS.contains(next));
    let last = words.len().saturating_sub(1);

    // `sign_up` keeps its order: `signed_up`; also `user_sign_up`.
    for (at, word) in words.iter().enumerate() {
        if followed(at)
            && let Some(participle) = participle_of_verb(word)
        {
            return replaced(&words, at, &participle);
        }
    }
    // `create_issue` and `created_issue`: the verb goes to the end.
    let in_place = words.last().and_then(|word| participle_of_verb(word).or_else(|| participle_of_noun(word)));
    if last > 0
        && let Some(first) = words.first()
        && !(in_place.is_some() && NOUNS_TOO.contains(first))
        && let Some(participle) =
            is_participle(first).then(|| (*first).to_owned()).or_else(|| participle_of_verb(first))
    {
        let mut moved = words[1..].to_vec();
        moved.push(&participle);
        return moved.join("_");
    }
    // `status_change`, `update`: the verb stands where it belongs.
    if let Some(participle) = in_place {
        return replaced(&words, last, &participle);
    }
    if let [word] = words.as_slice()
        && !is_noun(word)
    {
        return participle_of_unknown(word);
    }
    // No verb at all.
    format!("{}_changed", words.join("_"))
}

fn replaced(words: &[&str], at: usize, participle: &str) -> String {
    let mut words = words.to_vec();
    words[at] = participle;
    words.join("_")
}

fn is_participle(word: &str) -> bool {
    let irregular = |word: &str| IRREGULAR.iter().any(|[_, past, participle]| word == *past || word == *participle);
    if irregular(word) || PREFIXES.iter().any(|prefix| word.strip_prefix(prefix).is_some_and(irregular)) {
        return true;
    }
    word.len() >= 4 && word.ends_with("ed") && !NOT_PARTICIPLES.contains(&word)
}

/// The participle of a verb known here, in any of its forms: `update`, `updates`, `updating`.
fn participle_of_verb(word: &str) -> Option<String> {
    bases(word).into_iter().find_map(|base| {
        if let Some([_, _, participle]) = IRREGULAR.iter().find(|[known, _, _]| *known == base) {
            return Some((*participle).to_owned());
        }
        VERBS.contains(&base.as_str()).then(|| regular(&base))
    })
}

fn participle_of_noun(word: &str) -> Option<String> {
    NOUNS.iter().find(|(noun, _)| *noun == word).map(|(_, participle)| (*participle).to_owned())
}

/// The endings of nouns that no verb has: adding -ed to one makes no word.
fn is_noun(word: &str) -> bool {
    ["ment", "tion", "sion", "ance", "ence", "ness", "ity", "ship"].iter().any(|ending| word.ends_with(ending))
}

fn participle_of_unknown(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ing").filter(|stem| stem.len() >= 3) {
        return format!("{stem}ed");
    }
    match bases(word).pop() {
        Some(base) => regular(&base),
        None => regular(word),
    }
}

/// What a word may be a form of: itself, and without its -s, -es, -ies or -ing.
fn bases(word: &str) -> Vec<String> {
    let mut bases = vec![word.to_owned()];
    if let Some(stem) = word.strip_suffix("ing") {
        bases.extend([stem.to_owned(), format!("{stem}e")]);
        let mut letters = stem.chars();
        if let (Some(last), Some(before)) = (letters.next_back(), letters.next_back())
            && last == before
        {
            bases.push(stem[..stem.len() - last.len_utf8()].to_owned());
        }
    } else if let Some(stem) = word.strip_suffix("ies") {
        bases.push(format!("{stem}y"));
    } else if let Some(stem) = word.strip_suffix("es").filter(|stem| ends_in_hiss(stem)) {
        bases.push(stem.to_owned());
    } else if let Some(stem) = word.strip_suffix('s').filter(|stem| stem.len() >= 2 && !stem.ends_with('s')) {
        bases.push(stem.to_owned());
    }
    bases
}

fn ends_in_hiss(stem: &str) -> bool {
    ["s", "x", "z", "ch", "sh"].iter().any(|ending| stem.ends_with(ending))
}

/// The regular participle of a base form.
fn regular(base: &str) -> String {
    let letters: Vec<_> = base.chars().collect();
    let is_vowel = |letter: &char| "aeiou".contains(*letter);
    if base.ends_with('e') {
        return format!("{base}d");
    }
    if let [.., before, 'y'] = letters.as_slice()
        && !is_vowel(before)
    {
        return format!("{}ied", &base[..base.len() - 1]);
    }
    if let [.., before, vowel, last] = letters.as_slice() {
        let closed = !is_vowel(before) && is_vowel(vowel) && !is_vowel(last) && !"wxy".contains(*last);
        let syllables = letters.chunk_by(|one, other| is_vowel(one) == is_vowel(other));
        let one_syllable = syllables.filter(|chunk| chunk.first().is_some_and(is_vowel)).count() == 1;
        if DOUBLING.contains(&base) || (closed && one_syllable) {
            return format!("{base}{last}ed");
        }
    }
    format!("{base}ed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_accepted() {
        for name in [
            "created",
            "status_changed",
            "signed_up",
            "logged_in",
            "paid_in_full",
            "viewed_by_admin",
            "password_reset",
            "sent",
            "paid",
            "built",
            "lost",
            "withdrawn",
            "made",
            "done",
            "held",
            "sold",
            "bought",
            "put",
            "set",
            "cut",
            "read",
            "hit",
            "reset",
            "split",
            "begun",
            "ran",
            "run",
            "gone",
            "went_live",
            "left",
            "met",
            "won",
            "written",
            "taken",
            "given",
            "seen",
            "shown",
            "known",
            "grown",
            "broken",
            "chosen",
            "frozen",
            "driven",
            "drawn",
            "forgotten",
            "hidden",
            "kept",
            "led",
            "laid",
            "meant",
            "caught",
            "taught",
            "thought",
            "told",
            "found",
            "understood",
            "undone",
            "redone",
            "rebuilt",
            "resent",
            "overridden",
            "spent",
            "stuck",
            "agreed",
            "freed",
            "marked_as_read",
            "moved_to_backlog",
            "closed_automatically",
            "prepaid",
            "misread",
            "tied",
            "used",
            "limit_exceeded",
            "embedded",
            "need_added",
        ] {
            assert!(is_past(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_fact_is_refused_with_a_better_name() {
        for (name, better) in [
            ("update", "updated"),
            ("updating", "updated"),
            ("updates", "updated"),
            ("change", "changed"),
            ("do_thing", "thing_done"),
            ("create_issue", "issue_created"),
            ("created_issue", "issue_created"),
            ("status_change", "status_changed"),
            ("order_cancel", "order_cancelled"),
            ("cancel_order", "order_cancelled"),
            ("order_item", "item_ordered"),
            ("send", "sent"),
            ("sending", "sent"),
            ("cancel", "cancelled"),
            ("submit", "submitted"),
            ("submitting", "submitted"),
            ("apply", "applied"),
            ("applies", "applied"),
            ("sign_up", "signed_up"),
            ("user_sign_up", "user_signed_up"),
            ("log_in", "logged_in"),
            ("login", "logged_in"),
            ("reset_password", "password_reset"),
            ("payment", "paid"),
            ("dispatches", "dispatched"),
            ("edit", "edited"),
            ("open", "opened"),
            ("stop", "stopped"),
            ("ship", "shipped"),
            ("embed", "embedded"),
            ("need", "needed"),
            ("speed", "speeded"),
            ("exceed", "exceeded"),
            ("invoicing", "invoiced"),
            ("invoice", "invoiced"),
            ("feed", "fed"),
            ("hundred", "hundreded"),
            ("issue_status", "issue_status_changed"),
            ("measurement", "measurement_changed"),
        ] {
            assert!(!is_past(name), "{name} should be refused");
            assert_eq!(suggestion(name), better, "{name}");
        }
    }

    #[test]
    fn a_suggestion_is_itself_accepted() {
        for name in VERBS.iter().chain(IRREGULAR.iter().map(|[base, _, _]| base)) {
            let better = suggestion(name);
            assert!(is_past(&better), "{name}: {better}");
        }
        for (noun, _) in NOUNS {
            assert!(is_past(&suggestion(noun)), "{noun}");
        }
    }

    #[test]
    fn odd_names_are_survived() {
        for name in ["", "_", "__", "s", "ing", "x", "és", "ies", "es"] {
            assert!(!is_past(name));
            let _ = suggestion(name);
        }
    }
}
