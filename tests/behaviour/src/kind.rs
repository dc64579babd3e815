//! The kinds of databases that tests run on, and where a server of each is.

use std::io::Write as _;
use std::sync::Once;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

impl Kind {
    /// As people call it. `MySql` is the server at hand, which may be MariaDB.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL or MariaDB",
        }
    }

    /// The variable that holds the server's URL.
    fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => unreachable!("SQLite needs no server"),
            Self::Postgres => "EVENTS_TEST_POSTGRES_URL",
            Self::MySql => "EVENTS_TEST_MYSQL_URL",
        }
    }

    /// The server's URL. Without one `what` is skipped and says so, or fails under `CI=true`.
    pub fn url_or_skip(self, what: &str) -> Option<String> {
        let variable = self.variable();
        if let Some(url) = std::env::var(variable).ok().filter(|url| !url.is_empty()) {
            return Some(url);
        }
        let (name, ci) = (self.name(), std::env::var("CI").is_ok_and(|ci| ci == "true"));
        assert!(!ci, "{what} on {name}: {variable} is not set, and under CI=true nothing is skipped");
        println!("skipped: {what} on {name}: {variable} is not set");
        self.say_once(&format!("skipped: what is about {name}, since {variable} is not set\n"));
        None
    }

    /// Past the capture of a test's output: what is skipped has to be seen without asking for it.
    fn say_once(self, text: &str) {
        static POSTGRES: Once = Once::new();
        static MYSQL: Once = Once::new();
        let once = if self == Self::MySql { &MYSQL } else { &POSTGRES };
        once.call_once(|| drop(std::io::stderr().write_all(text.as_bytes())));
    }
}
