//! The names that many rows have in common: of subjects, actors and actions.

use std::borrow::Cow;

use event_core::registry;

/// How many are kept: to walk over more takes longer than to look one up.
const MOST: usize = 16;

/// The names of the rows read so far, each looked up once. What the program knows needs no copy for each row.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<&'static str>);

impl Names {
    pub(crate) fn get(&mut self, name: Cow<'_, str>) -> Cow<'static, str> {
        if let Some(known) = self.0.iter().find(|known| **known == name) {
            return Cow::Borrowed(known);
        }
        match registry::name(&name) {
            Some(known) => {
                if self.0.len() < MOST {
                    self.0.push(known);
                }
                Cow::Borrowed(known)
            }
            None => Cow::Owned(name.into_owned()),
        }
    }
}
